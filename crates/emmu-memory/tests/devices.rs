//! Tests which transfers reach a device on the bus.

use emmu_core::{Bus, BusError, PhysAddr, Transfer, Width};
use emmu_memory::{Device, Memory, Refused};

/// A device that records every write, refuses single bytes, and reads as its offset.
#[derive(Clone, Default)]
struct Log(Vec<(u64, Width, u64)>);

impl Device for Log {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, Refused> {
        if width == Width::B1 { Err(Refused) } else { Ok(offset | 0xabcd_0000_0000_0000) }
    }
    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), Refused> {
        self.check(offset, width.bytes(), Transfer::Write)?;
        self.0.push((offset, width, value));
        Ok(())
    }
    fn check(&self, _: u64, len: u64, _: Transfer) -> Result<(), Refused> {
        if len % 2 == 1 { Err(Refused) } else { Ok(()) }
    }
}

const BASE: u64 = 0x1000;

fn at(offset: u64) -> PhysAddr {
    PhysAddr::new(BASE + offset)
}

/// Makes a memory of RAM, then the device, then RAM, each of 4 KiB.
fn machine() -> Memory {
    Memory::new()
        .with_ram(PhysAddr::ZERO, BASE)
        .and_then(|memory| memory.with_device(at(0), 0x1000, Log::default()))
        .and_then(|memory| memory.with_ram(at(0x1000), 0x1000))
        .expect("they do not overlap")
}

fn log(memory: &Memory) -> &[(u64, Width, u64)] {
    &memory.device::<Log>(at(0)).expect("a log").0
}

#[test]
fn a_device_sees_offset_width_and_the_bits_of_the_width() {
    let mut memory = machine();
    memory.write(at(0x10), Width::B2, 0x1234_5678).unwrap();
    assert_eq!(log(&memory), [(0x10, Width::B2, 0x5678)]);
}

#[test]
fn bits_above_the_width_are_dropped_from_what_a_device_returns() {
    assert_eq!(machine().read(at(8), Width::B4), Ok(8));
}

#[test]
fn a_refusal_names_the_physical_address() {
    let mut memory = machine();
    let refused = BusError::Refused { addr: at(5) };
    assert_eq!(memory.read(at(5), Width::B1), Err(refused));
    assert_eq!(memory.write(at(5), Width::B1, 0), Err(refused));
    assert_eq!(memory.check(at(5), 1, Transfer::Write), Err(refused));
    assert_eq!(memory.compare_exchange(at(5), Width::B1, 0, 0), Err(refused));
}

#[test]
fn a_transfer_that_is_partly_a_devices_is_refused_where_the_device_begins() {
    let mut memory = machine();
    let into = PhysAddr::new(BASE - 4);
    assert_eq!(memory.write(into, Width::B8, !0), Err(BusError::Refused { addr: at(0) }));
    assert_eq!(memory.write_bytes(into, &[1; 6]), Err(BusError::Refused { addr: at(0) }));
    let out = at(0xffe);
    assert_eq!(memory.read(out, Width::B4), Err(BusError::Refused { addr: out }));
    assert_eq!(memory.peek(into, Width::B4), Ok(0));
    assert!(log(&memory).is_empty());
}

#[test]
fn a_slice_reaches_a_device_in_the_widest_transfers() {
    let mut memory = machine();
    memory.write_bytes(at(0), &[0x11; 14]).unwrap();
    let widths: Vec<_> = log(&memory).iter().map(|&(offset, width, _)| (offset, width)).collect();
    assert_eq!(widths, [(0, Width::B8), (8, Width::B4), (12, Width::B2)]);
    let mut read = [0xff; 6];
    memory.read_bytes(at(2), &mut read).unwrap();
    assert_eq!(read, [2, 0, 0, 0, 6, 0]);
}

#[test]
fn a_slice_that_the_device_would_refuse_in_part_does_nothing() {
    let mut memory = machine();
    assert_eq!(memory.write_bytes(at(0), &[0; 15]), Err(BusError::Refused { addr: at(0) }));
    assert!(log(&memory).is_empty());
}

#[test]
fn a_device_is_no_ram_page_and_cannot_be_loaded() {
    let mut memory = machine();
    assert_eq!(memory.ram_page(at(0)), None);
    assert_eq!(memory.load(at(0), &[0; 2]), Err(BusError::Refused { addr: at(0) }));
}

#[test]
fn a_device_is_found_by_any_of_its_addresses_and_by_its_type() {
    let mut memory = machine();
    assert!(memory.device::<Log>(at(0xfff)).is_some());
    assert!(memory.device_mut::<Log>(at(0x1000)).is_none());
    assert!(memory.device::<Other>(at(0)).is_none());
}

#[derive(Clone)]
struct Other;

impl Device for Other {
    fn read(&mut self, _: u64, _: Width) -> Result<u64, Refused> {
        Err(Refused)
    }
    fn write(&mut self, _: u64, _: Width, _: u64) -> Result<(), Refused> {
        Err(Refused)
    }
}

#[test]
fn a_clone_has_a_device_of_its_own() {
    let mut memory = machine();
    let clone = memory.clone();
    memory.write(at(0), Width::B8, 1).unwrap();
    assert_eq!((log(&memory).len(), log(&clone).len()), (1, 0));
}
