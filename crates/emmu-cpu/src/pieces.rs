//! The pieces of an access that spans several translations, and their bytes on the bus.

use alloc::vec::Vec;
use emmu_core::{
    Access, Bus, BusError, Cause, Event, Fault, PhysAddr, Probe, Transfer, Translation,
    TranslationUnit, Width,
};

/// A part of an access that is contiguous in physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The access with the virtual address and the size of the piece.
    pub(crate) access: Access,
    /// The physical address of the piece.
    pub(crate) addr: PhysAddr,
}

impl Piece {
    /// Reads the piece in one transfer, and tells the probe.
    #[inline]
    pub(crate) fn load(
        self,
        bus: &mut impl Bus,
        probe: &mut impl Probe,
        width: Width,
    ) -> Result<u64, Fault> {
        let value = bus.read(self.addr, width).map_err(|error| self.fault(error))?;
        probe.on(self.transferred());
        Ok(value)
    }

    /// Writes the piece in one transfer, and tells the probe.
    #[inline]
    pub(crate) fn store(
        self,
        bus: &mut impl Bus,
        probe: &mut impl Probe,
        width: Width,
        value: u64,
    ) -> Result<(), Fault> {
        bus.write(self.addr, width, value).map_err(|error| self.fault(error))?;
        probe.on(self.transferred());
        Ok(())
    }

    /// Reads the piece into `bytes`, which has its size.
    pub(crate) fn read(
        self,
        bus: &mut impl Bus,
        probe: &mut impl Probe,
        bytes: &mut [u8],
    ) -> Result<(), Fault> {
        bus.read_bytes(self.addr, bytes).map_err(|error| self.fault(error))?;
        probe.on(self.transferred());
        Ok(())
    }

    /// Writes `bytes`, which has the size of the piece.
    pub(crate) fn write(
        self,
        bus: &mut impl Bus,
        probe: &mut impl Probe,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        bus.write_bytes(self.addr, bytes).map_err(|error| self.fault(error))?;
        probe.on(self.transferred());
        Ok(())
    }

    pub(crate) fn transferred(self) -> Event {
        Event::Transfer { access: self.access, addr: self.addr }
    }

    /// Makes the fault for a byte of this piece that the bus refused.
    #[cold]
    pub(crate) fn fault(self, error: BusError) -> Fault {
        let into = error.addr().raw().wrapping_sub(self.addr.raw());
        let into = into.min(u64::from(self.access.size).saturating_sub(1));
        let addr = self.access.addr.wrapping_add(into);
        Fault { addr, ..Fault::new(self.access, Cause::Bus(error)) }
    }

    /// Returns true if the piece overlaps the `len` bytes from `addr` on.
    pub(crate) fn touches(self, addr: PhysAddr, len: u64) -> bool {
        let ahead = addr.raw().wrapping_sub(self.addr.raw());
        let behind = self.addr.raw().wrapping_sub(addr.raw());
        ahead < u64::from(self.access.size) || behind < len
    }
}

/// The physical place of an access.
#[derive(Clone, Copy)]
pub(crate) enum Located {
    /// The access has contiguous bytes from this address on. This is the usual case.
    Whole(PhysAddr),
    /// The access has the pieces in the CPU's list.
    Pieces,
}

/// Translates all pieces of `access`, lower addresses first. If there are several, it puts them into `list`. It
/// also returns the first translation.
#[inline]
pub(crate) fn translate<U: TranslationUnit<B, P>, B, P>(
    access: Access,
    unit: &mut U,
    bus: &mut B,
    probe: &mut P,
    list: &mut Vec<Piece>,
) -> Result<(Located, Translation), Fault> {
    check_end(access)?;
    let first = unit.translate(access, bus, probe)?;
    if first.span >= access.size.into() {
        return Ok((Located::Whole(first.addr), first));
    }
    translate_pieces(access, first, unit, bus, probe, list)?;
    Ok((Located::Pieces, first))
}

#[inline(never)]
fn translate_pieces<U: TranslationUnit<B, P>, B, P>(
    mut access: Access,
    mut found: Translation,
    unit: &mut U,
    bus: &mut B,
    probe: &mut P,
    list: &mut Vec<Piece>,
) -> Result<(), Fault> {
    list.clear();
    loop {
        let (piece, rest) = split(access, found.span);
        list.push(Piece { access: piece, addr: found.addr });
        let Some(rest) = rest else { return Ok(()) };
        found = unit.translate(rest, bus, probe)?;
        access = rest;
    }
}

/// Asks the bus if it accepts every piece.
pub(crate) fn check(pieces: &[Piece], bus: &impl Bus, transfer: Transfer) -> Result<(), Fault> {
    pieces.iter().try_for_each(|piece| {
        bus.check(piece.addr, piece.access.size.into(), transfer)
            .map_err(|error| piece.fault(error))
    })
}

/// Reads all pieces into `bytes`, which has their size.
pub(crate) fn read(
    pieces: &[Piece],
    bus: &mut impl Bus,
    probe: &mut impl Probe,
    mut bytes: &mut [u8],
) -> Result<(), Fault> {
    for piece in pieces {
        let (now, later) = bytes.split_at_mut(piece.access.size as usize);
        piece.read(bus, probe, now)?;
        bytes = later;
    }
    Ok(())
}

/// Writes `bytes`, which has the size of all pieces.
pub(crate) fn write(
    pieces: &[Piece],
    bus: &mut impl Bus,
    probe: &mut impl Probe,
    mut bytes: &[u8],
) -> Result<(), Fault> {
    for piece in pieces {
        let (now, later) = bytes.split_at(piece.access.size as usize);
        piece.write(bus, probe, now)?;
        bytes = later;
    }
    Ok(())
}

/// Splits an access into its first `span` bytes and the rest. A span of 0 breaks the contract of units and
/// counts as 1, so that no unit can make the CPU hang.
fn split(access: Access, span: u64) -> (Access, Option<Access>) {
    let size = u32::try_from(span).unwrap_or(u32::MAX).clamp(1, access.size);
    let rest = access.at(access.addr.wrapping_add(size.into()), access.size - size);
    (access.at(access.addr, size), (rest.size > 0).then_some(rest))
}

/// Reads, without any effect, the bytes that `access` would read now.
pub(crate) fn peek<U: TranslationUnit<B, P>, B: Bus, P>(
    access: Access,
    unit: &U,
    bus: &B,
    mut bytes: &mut [u8],
) -> Result<(), Fault> {
    check_end(access)?;
    let mut rest = Some(access);
    while let Some(now) = rest {
        let found = unit.peek(now, bus)?;
        let (piece, later) = split(now, found.span);
        let piece = Piece { access: piece, addr: found.addr };
        let (into, others) = bytes.split_at_mut(piece.access.size as usize);
        peek_piece(bus, piece.addr, into).map_err(|error| piece.fault(error))?;
        (rest, bytes) = (later, others);
    }
    Ok(())
}

fn peek_piece(bus: &impl Bus, mut addr: PhysAddr, mut bytes: &mut [u8]) -> Result<(), BusError> {
    while !bytes.is_empty() {
        let width = Width::widest_within(bytes.len() as u64);
        let (now, later) = bytes.split_at_mut(width as usize);
        put(now, bus.peek(addr, width)?);
        (addr, bytes) = (addr.wrapping_add(width.bytes()), later);
    }
    Ok(())
}

/// Refuses an access whose last byte has no address: virtual addresses do not wrap.
#[inline]
fn check_end(access: Access) -> Result<(), Fault> {
    match access.addr.checked_add(u64::from(access.size).saturating_sub(1)) {
        Some(_) => Ok(()),
        None => Err(Fault::new(access, Cause::NonCanonical)),
    }
}

/// Returns the little-endian number in 1, 2, 4 or 8 bytes. Of other lengths it takes at most 8 bytes.
#[inline(always)]
pub(crate) fn take(bytes: &[u8]) -> u64 {
    match *bytes {
        [a] => a.into(),
        [a, b] => u16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)),
    }
}

/// Stores the low bytes of `value`, little-endian, and zeros beyond the 8th byte.
#[inline(always)]
pub(crate) fn put(bytes: &mut [u8], value: u64) {
    let value = value.to_le_bytes();
    match bytes.len() {
        1 => bytes.copy_from_slice(&value[..1]),
        2 => bytes.copy_from_slice(&value[..2]),
        4 => bytes.copy_from_slice(&value[..4]),
        8 => bytes.copy_from_slice(&value),
        _ => {
            bytes.fill(0);
            bytes.iter_mut().zip(value).for_each(|(byte, value)| *byte = value);
        }
    }
}
