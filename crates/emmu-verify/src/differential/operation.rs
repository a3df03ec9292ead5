//! Makes accesses by the operations of the CPU that are meant for them.

use emmu_core::{Access, AccessKind, Bus, Probe, TranslationUnit, Width};
use emmu_cpu::{Cpu, Stop};

/// Makes the access, with `bytes` if it writes. Returns the bytes that it read, or `None` if the CPU does not return
/// them.
pub(crate) fn perform<U: TranslationUnit<B, P>, B: Bus, P: Probe>(
    cpu: &mut Cpu<U, B, P>,
    access: Access,
    bytes: &[u8],
) -> Result<Option<Vec<u8>>, Stop> {
    match (access.kind, width(access)) {
        (AccessKind::Fetch | AccessKind::Load, _) => {
            let mut held = vec![0; bytes.len()];
            read(cpu, access, &mut held)?;
            Ok(Some(held))
        }
        (AccessKind::Amo, Some(width)) if access.addr.raw().is_multiple_of(width.bytes()) => {
            let held = cpu.amo(access.addr, width, |_| number(bytes))?;
            Ok(Some(held.to_le_bytes()[..bytes.len()].to_vec()))
        }
        (AccessKind::Store | AccessKind::Amo, _) => write(cpu, access, bytes).map(|()| None),
    }
}

fn read<U: TranslationUnit<B, P>, B: Bus, P: Probe>(
    cpu: &mut Cpu<U, B, P>,
    access: Access,
    bytes: &mut [u8],
) -> Result<(), Stop> {
    let (addr, fetch) = (access.addr, access.kind == AccessKind::Fetch);
    match (width(access), bytes.len()) {
        _ if !access.flags.is_empty() => cpu.read(access, bytes),
        (Some(width), len) => {
            let number = if fetch { cpu.fetch(addr, width)? } else { cpu.load(addr, width)? };
            bytes.copy_from_slice(&number.to_le_bytes()[..len]);
            Ok(())
        }
        (None, _) if fetch => cpu.fetch_bytes(addr, bytes),
        (None, 16) => {
            bytes.copy_from_slice(&cpu.load_u128(addr)?.to_le_bytes());
            Ok(())
        }
        (None, _) => cpu.load_bytes(addr, bytes),
    }
}

fn write<U: TranslationUnit<B, P>, B: Bus, P: Probe>(
    cpu: &mut Cpu<U, B, P>,
    access: Access,
    bytes: &[u8],
) -> Result<(), Stop> {
    match (width(access), <[u8; 16]>::try_from(bytes)) {
        _ if access.kind == AccessKind::Amo || !access.flags.is_empty() => cpu.write(access, bytes),
        (Some(width), _) => cpu.store(access.addr, width, number(bytes)),
        (None, Ok(bytes)) => cpu.store_u128(access.addr, u128::from_le_bytes(bytes)),
        (None, Err(_)) => cpu.store_bytes(access.addr, bytes),
    }
}

/// Returns the width of an access that has one and no flags, so that an operation of the CPU can make it.
fn width(access: Access) -> Option<Width> {
    Width::from_bytes(access.size.into()).filter(|_| access.flags.is_empty())
}

/// Returns the first eight bytes as a little-endian number.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
