//! The numbers of the course (`numeric` in its scenarios.json) that concern machines, as a program meets them.

use crate::common::{data, grow, layout, run};
use emmu_base_bounds::{BaseBounds, Convention};
use emmu_core::{AccessKind, Bus, Event, PhysAddr, Privilege, VirtAddr, Width};
use emmu_cpu::{Cpu, Trap};
use emmu_memory::{Disk, Memory};
use emmu_os::{Contiguous, Direction, Exit, FRAME, Kill, Os, OutOfMemory, PhysicalMemory};
use emmu_paging::Paging;
use emmu_paging::format::described::{Described, Description, MODE, PTBR};

/// A CPU in user mode that keeps what happens.
fn base_100() -> Cpu<BaseBounds, Memory, Vec<Event>> {
    let unit = BaseBounds::new(Convention::Size).with_registers(100, 1000);
    let mut cpu = Cpu::with_probe(unit, Memory::ram(0x2000), Vec::new());
    cpu.install_handler(VirtAddr::ZERO).unwrap();
    cpu.set_trap(Trap::start(VirtAddr::ZERO, Privilege::User)).unwrap();
    cpu.return_from_trap().unwrap();
    cpu.probe_mut().clear();
    cpu
}

/// Returns the places to which the last operation moved bytes.
fn transfers(cpu: &Cpu<BaseBounds, Memory, Vec<Event>>) -> Vec<(AccessKind, u64)> {
    let moved = cpu.probe().iter().filter_map(|event| match event {
        Event::Transfer { access, addr } => Some((access.kind, addr.raw())),
        _ => None,
    });
    moved.collect()
}

#[test]
fn with_base_100_virtual_address_10_is_physical_address_110() {
    let mut cpu = base_100();
    cpu.store(VirtAddr::new(10), Width::B1, 7).unwrap();
    assert_eq!(transfers(&cpu), [(AccessKind::Store, 110)]);
    assert_eq!(cpu.bus().peek(PhysAddr::new(110), Width::B1), Ok(7));
}

#[test]
fn the_instruction_at_virtual_address_100_is_fetched_through_the_mmu() {
    let mut cpu = base_100();
    cpu.fetch(VirtAddr::new(100), Width::B4).unwrap();
    assert_eq!(transfers(&cpu), [(AccessKind::Fetch, 200)]);
}

/// A linear table of one-byte entries at 0x100 for pages of 2^`page_bits` bytes, bit 7 valid.
fn linear(page_bits: u8, index_bits: u8, entries: &[(u64, u8)]) -> Cpu<Paging<Described>, Memory> {
    let machine = Description::new(Width::B1, page_bits, &[index_bits]).frame(0, 7).valid(7);
    let mut memory = Memory::ram(0x1_0000);
    for &(page, frame) in entries {
        memory.write(PhysAddr::new(0x100 + page), Width::B1, u64::from(0x80 | frame)).unwrap();
    }
    let mut cpu = Cpu::new(Paging::uncached(Described::new(machine).unwrap()), memory);
    cpu.install_handler(VirtAddr::ZERO).unwrap();
    cpu.write_register(PTBR, 0x100).unwrap();
    cpu.write_register(MODE, 1).unwrap();
    cpu
}

#[test]
fn page_0_in_frame_3_is_at_12288_to_16383() {
    let mut cpu = linear(12, 2, &[(0, 3)]);
    for (virt, phys) in [(0, 12288), (1, 12289), (4095, 16383)] {
        cpu.store(VirtAddr::new(virt), Width::B1, 9).unwrap();
        assert_eq!(cpu.bus().peek(PhysAddr::new(phys), Width::B1), Ok(9), "{virt}");
    }
    assert!(cpu.load(VirtAddr::new(4096), Width::B1).is_err());
}

#[test]
fn of_five_address_bits_00101_the_page_is_0_and_the_offset_5() {
    let mut cpu = linear(3, 2, &[(0, 6), (1, 9)]);
    cpu.store(VirtAddr::new(0b00101), Width::B1, 1).unwrap();
    cpu.store(VirtAddr::new(0b01101), Width::B1, 2).unwrap();
    let byte = |addr| cpu.bus().peek(PhysAddr::new(addr), Width::B1);
    assert_eq!((byte(6 * 8 + 5), byte(9 * 8 + 5)), (Ok(1), Ok(2)));
}

#[test]
fn two_views_share_what_is_at_42_and_not_what_is_at_0() {
    // Pages of 8 bytes: 42 is in page 5. Both views are tables of one machine; the root says which is seen.
    let mut cpu = linear(3, 3, &[(0, 64), (5, 65)]);
    let second = [(0, 66), (5, 65)];
    for (page, frame) in second {
        let entry = PhysAddr::new(0x180 + page);
        cpu.bus_mut().write(entry, Width::B1, 0x80 | frame).unwrap();
    }
    let (shared, private) = (VirtAddr::new(42), VirtAddr::ZERO);
    cpu.store(shared, Width::B1, 1).unwrap();
    cpu.store(private, Width::B1, 2).unwrap();
    cpu.write_register(PTBR, 0x180).unwrap();
    assert_eq!(cpu.load(shared, Width::B1), Ok(1));
    assert_eq!(cpu.load(private, Width::B1), Ok(0));
    cpu.store(shared, Width::B1, 3).unwrap();
    cpu.store(private, Width::B1, 4).unwrap();
    cpu.write_register(PTBR, 0x100).unwrap();
    assert_eq!(cpu.load(shared, Width::B1), Ok(3), "a switch is one register");
    assert_eq!(cpu.load(private, Width::B1), Ok(2));
}

#[test]
fn eight_gibibytes_are_2097152_frames() {
    let memory = PhysicalMemory::new(PhysAddr::ZERO, 8 << 30, 0).unwrap();
    assert_eq!((memory.pool_frames(), FRAME), (2_097_152, 4096));
}

#[test]
fn of_the_slides_nine_frames_three_are_the_systems_and_six_are_free() {
    let memory = PhysicalMemory::new(PhysAddr::ZERO, 9 * FRAME, 3 * FRAME).unwrap();
    assert_eq!((memory.pool(), memory.pool_frames()), (PhysAddr::new(3 * FRAME), 6));
    let mut bus = Memory::ram(9 * FRAME);
    // Free frames have no meaning: whatever they hold, a process finds zeros.
    bus.write_bytes(PhysAddr::ZERO, &[0xa5; 9 * 4096]).unwrap();
    let cpu = Cpu::new(BaseBounds::default(), bus);
    let mut os = Os::boot(cpu, Contiguous::default(), &memory).unwrap();
    let six = layout([data(0, 6 * FRAME)]);
    let (exit, seen) = run(&mut os, &six, &[crate::common::load(0, 6 * 4096)]);
    assert_eq!((exit, seen), (Exit::Code(0), vec![vec![0; 6 * 4096]]));
    let seven = OutOfMemory::Area { needed: 7 * FRAME, free: 6 * FRAME, total: 6 * FRAME };
    let refused = os.spawn(&layout([data(0, 7 * FRAME)])).unwrap_err();
    assert_eq!(refused, seven.into());
}

#[test]
fn base_12418_and_limit_472_reach_430_and_not_523() {
    // A process of 472 bytes behind 12418 bytes, rounded up to 12432, that others have.
    let memory = PhysicalMemory::new(PhysAddr::ZERO, 4 * FRAME, 0).unwrap();
    let cpu = Cpu::new(BaseBounds::default(), Memory::ram(4 * FRAME));
    let mut os = Os::boot(cpu, Contiguous::default(), &memory).unwrap();
    os.spawn(&layout([data(0, 12418)])).unwrap();
    let process = layout([data(0, 472)]);
    let (exit, _) = run(&mut os, &process, &[crate::common::store(430, 1, 0x5c)]);
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(os.cpu().bus().peek(PhysAddr::new(12432 + 430), Width::B1), Ok(0x5c));
    let (exit, _) = run(&mut os, &process, &[crate::common::load(523, 1)]);
    assert!(matches!(exit, Exit::Killed(Kill::NoRegion(_))));
    let (exit, seen) =
        run(&mut os, &process, &[grow(0, 52, Direction::Up), crate::common::load(523, 1)]);
    assert_eq!((exit, seen), (Exit::Code(0), vec![vec![1], vec![0]]));
}

#[test]
fn a_disk_a_hundred_times_as_large_as_memory_is_reached_by_its_controller_alone() {
    let at = PhysAddr::new(0x1000_0000);
    let ram = 9 * FRAME;
    let disk = Disk::new(100 * 9);
    assert_eq!(disk.blocks() * Disk::BLOCK_SIZE, 100 * ram);
    let mut bus = Memory::ram(ram).with_device(at, Disk::SIZE, disk).unwrap();
    assert!(Disk::SIZE < ram, "what the CPU can address of it is less than memory");
    assert!(bus.read(at.wrapping_add(Disk::SIZE), Width::B1).is_err());
    let last = bus.write(at.wrapping_add(Disk::BLOCK), Width::B8, 899);
    assert_eq!(last, Ok(()));
    assert_eq!(bus.write(at.wrapping_add(Disk::COMMAND), Width::B8, Disk::READ), Ok(()));
}
