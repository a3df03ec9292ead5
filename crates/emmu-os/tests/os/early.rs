//! Machines without translation: one process, or several on disk, or several patched for their places.

use crate::common::*;
use emmu_core::{Bus, PhysAddr, VirtAddr, Width};
use emmu_memory::Disk;
use emmu_os::toy::{Assembly, Core, Instruction};
use emmu_os::{
    AddressSpaces, Exit, Image, Kill, Layout, LayoutError, MemoryError, OsError, OutOfMemory, Pid,
    Region, Rights, StaticRelocation, TimeSharing, Turn, Uniprogramming,
};

const DATA: u32 = 0x1000;

fn data() -> Region {
    Region::new(VirtAddr::new(DATA.into()), 0x1000, Rights::RW).unwrap()
}

/// Sums the numbers up to the one that it finds in its data: each reference in it is needed.
fn summing(up_to: u8) -> Image {
    let data = data().with_image(vec![up_to]).unwrap();
    let text = [
        Instruction::Load { to: 1, width: Width::B1, addr: DATA },
        Instruction::AddRegister { to: 0, from: 1 },
        Instruction::Add { to: 1, value: u32::MAX },
        Instruction::Yield,
        Instruction::JumpUnless0 { register: 1, addr: 8 },
        Instruction::Store { from: 0, width: Width::B8, addr: DATA + 8 },
        Instruction::Address { to: 2, addr: DATA + 8 },
        Instruction::LoadAt { to: 3, pointer: 2, width: Width::B8 },
        Instruction::Show { from: 3 },
        Instruction::Exit { code: 3 },
    ];
    Assembly::new(text).with_region(data).image().unwrap()
}

/// A program that does these instructions and ends, with a page of data.
fn image(text: &[Instruction]) -> Image {
    let text = text.iter().copied().chain([Instruction::Exit { code: 0 }]);
    Assembly::new(text).with_region(data()).image().unwrap()
}

fn start<S: AddressSpaces>(os: &mut BareOs<S>, image: &Image) -> (Pid, Core) {
    let pid = os.spawn(image.layout()).unwrap();
    (pid, Core::of(image, os.origin(pid).unwrap()))
}

/// Runs in turns to the ends, which are returned.
fn in_turns<S: AddressSpaces, const N: usize>(
    os: &mut BareOs<S>,
    processes: &mut [(Pid, Core); N],
) -> [Exit; N] {
    let mut exits = [None; N];
    while exits.contains(&None) {
        for (exit, (pid, core)) in exits.iter_mut().zip(&mut *processes) {
            if exit.is_none()
                && let Turn::Ended(how) = os.resume(*pid, core).unwrap()
            {
                *exit = Some(how);
            }
        }
    }
    exits.map(Option::unwrap)
}

fn disk<S: AddressSpaces>(os: &BareOs<S>) -> &Disk {
    os.cpu().bus().device(DISK).unwrap()
}

#[test]
fn one_process_has_all_memory_and_a_second_is_refused() {
    let mut os = bare_os(Uniprogramming::new(), &memory(2, 6));
    let image = summing(10);
    for _ in 0..2 {
        let mut process = [start(&mut os, &image)];
        assert_eq!(os.usage().programs, 6 << 12);
        assert_eq!(os.spawn(image.layout()), Err(OsError::Occupied));
        assert_eq!(in_turns(&mut os, &mut process), [Exit::Code(55)]);
        assert_eq!(process[0].1.shown(), [55]);
    }
}

#[test]
fn a_process_finds_zeros_around_its_image_whoever_was_there_before() {
    let last = 6 * 0x1000 - 8;
    let touch = image(&[
        Instruction::Load { to: 1, width: Width::B8, addr: last },
        Instruction::Show { from: 1 },
        Instruction::Number { to: 1, value: 7 },
        Instruction::Store { from: 1, width: Width::B8, addr: last },
        Instruction::Load { to: 1, width: Width::B8, addr: last },
        Instruction::Show { from: 1 },
    ]);
    let mut os = bare_os(Uniprogramming::new(), &memory(2, 6));
    for _ in 0..2 {
        let mut process = [start(&mut os, &touch)];
        assert_eq!(in_turns(&mut os, &mut process), [Exit::Code(0)]);
        assert_eq!(process[0].1.shown(), [0, 7]);
    }
}

/// A program that stores a byte at this physical address: its pointer is no reference, so it is not patched.
fn vandal(addr: u64) -> Image {
    image(&[
        Instruction::Number { to: 1, value: addr.try_into().unwrap() },
        Instruction::Number { to: 2, value: 0x5a },
        Instruction::StoreAt { from: 2, pointer: 1, width: Width::B1 },
    ])
}

fn overwrite_the_os<S: AddressSpaces>(spaces: S) {
    let mut os = bare_os(spaces, &memory(2, 6));
    // Past the bitmap that time sharing keeps at the start of the kernel's memory.
    for addr in [START.raw() + 0x100, START.raw() + 0x1fff] {
        assert_eq!(os.inspect(), Ok(()));
        let mut process = [start(&mut os, &vandal(addr))];
        let before = os.cpu().bus().peek(PhysAddr::new(addr), Width::B1).unwrap();
        assert_eq!(in_turns(&mut os, &mut process), [Exit::Code(0)], "nothing stops it");
        assert_ne!(before, 0x5a);
        assert_eq!(os.inspect(), Err(OsError::Damaged { addr: PhysAddr::new(addr), found: 0x5a }));
        os.cpu_mut().bus_mut().write(PhysAddr::new(addr), Width::B1, before).unwrap();
    }
    assert_eq!(os.inspect(), Ok(()));
}

#[test]
fn a_process_can_overwrite_the_operating_system_and_inspection_finds_it() {
    overwrite_the_os(Uniprogramming::new());
    overwrite_the_os(TimeSharing::new(DISK));
    overwrite_the_os(StaticRelocation::new());
}

#[test]
fn an_address_without_memory_kills_also_without_protection() {
    let mut os = bare_os(StaticRelocation::new(), &memory(2, 6));
    let mut processes = [start(&mut os, &vandal(0)), start(&mut os, &summing(3))];
    let [vandal, summing] = in_turns(&mut os, &mut processes);
    assert!(matches!(vandal, Exit::Killed(Kill::NoRegion(_))), "{vandal:?}");
    assert_eq!(summing, Exit::Code(6), "only the offender ends");
    assert_eq!(os.usage().free, os.usage().total);
}

#[test]
fn two_processes_share_the_time_of_one_place() {
    let mut os = bare_os(TimeSharing::new(DISK), &memory(2, 2));
    let mut processes = [10, 4, 7].map(|up_to| start(&mut os, &summing(up_to)));
    let [first, second, third] = processes.each_ref().map(|&(pid, _)| os.origin(pid));
    assert!(first == second && second == third);
    let sums = [55, 10, 28];
    assert_eq!(in_turns(&mut os, &mut processes), sums.map(Exit::Code));
    assert_eq!(processes.map(|(_, core)| core.shown().to_vec()), sums.map(|sum| vec![sum]));
}

#[test]
fn a_switch_saves_and_restores_as_many_blocks_as_the_image_has() {
    for pages in [2u64, 3, 50] {
        let more =
            Region::new(VirtAddr::new(0x2000), ((pages - 2) << 12).saturating_sub(5), Rights::RW);
        let idle = [Instruction::Yield, Instruction::Jump { addr: 0 }];
        let idle = Assembly::new(idle).with_region(data());
        let idle = more.map_or(idle.clone(), |region| idle.with_region(region)).image().unwrap();
        let mut os = bare_os(TimeSharing::new(DISK), &memory(2, 50));
        let mut processes = [(); 2].map(|()| start(&mut os, &idle));
        for index in [0, 1, 0] {
            let (pid, core) = &mut processes[index];
            let pid = *pid;
            let before = (disk(&os).writes(), disk(&os).reads());
            os.resume(pid, core).unwrap();
            let moved = (disk(&os).writes() - before.0, disk(&os).reads() - before.1);
            assert_eq!(moved, (pages, pages), "{pid}");
            os.resume(pid, core).unwrap();
            assert_eq!(disk(&os).writes(), before.0 + pages, "no switch, no cost");
        }
    }
}

#[test]
fn every_byte_is_as_it_was_after_a_switch() {
    let mut os = bare_os(TimeSharing::new(DISK), &memory(2, 3));
    let program = image(&[Instruction::Yield, Instruction::Yield, Instruction::Yield]);
    let mut processes = [(); 2].map(|()| start(&mut os, &program));
    let base = PhysAddr::new(os.origin(processes[0].0).unwrap()).wrapping_add(0x1000);
    let content = |seed: u8| -> Vec<u8> {
        (0..0x1000u32).map(|index| index.to_le_bytes()[0].wrapping_mul(seed) ^ seed).collect()
    };
    for ((pid, core), seed) in processes.iter_mut().zip([3, 5]) {
        os.resume(*pid, core).unwrap();
        os.cpu_mut().bus_mut().write_bytes(base, &content(seed)).unwrap();
    }
    for ((pid, core), seed) in processes.iter_mut().zip([3, 5]) {
        os.resume(*pid, core).unwrap();
        let mut held = vec![0; 0x1000];
        os.cpu_mut().bus_mut().read_bytes(base, &mut held).unwrap();
        assert!(held == content(seed), "{pid}");
    }
}

#[test]
fn a_smaller_process_does_not_see_the_end_of_a_larger_one() {
    let tag = 0x5c5c_5c5c;
    let larger = [
        Instruction::Number { to: 1, value: tag },
        Instruction::Store { from: 1, width: Width::B4, addr: 0x2ff8 },
        Instruction::Yield,
        Instruction::Load { to: 0, width: Width::B4, addr: 0x2ff8 },
        Instruction::Exit { code: 0 },
    ];
    let region = Region::new(VirtAddr::new(0x2000), 0x1000, Rights::RW).unwrap();
    let larger = Assembly::new(larger).with_region(region).image().unwrap();
    let peeping = [Instruction::Yield, Instruction::Load { to: 0, width: Width::B4, addr: 0x2ff8 }];
    let mut os = bare_os(TimeSharing::new(DISK), &memory(2, 3));
    let mut processes = [start(&mut os, &larger), start(&mut os, &image(&peeping))];
    let exits = in_turns(&mut os, &mut processes);
    assert_eq!(exits, [Exit::Code(tag.into()), Exit::Code(0)]);
}

#[test]
fn a_disk_without_room_refuses_and_changes_nothing() {
    let mut os = bare_os(TimeSharing::new(DISK), &memory(2, 2));
    let mut processes = [(); 8].map(|()| start(&mut os, &summing(9)));
    let refused = os.spawn(summing(1).layout());
    assert_eq!(refused, Err(OsError::OutOfMemory(OutOfMemory::Disk { slots: 8 })));
    assert_eq!(in_turns(&mut os, &mut processes), [Exit::Code(45); 8]);
    assert!(os.spawn(summing(1).layout()).is_ok());
}

#[test]
fn time_sharing_needs_a_disk_as_large_as_memory_and_room_for_its_bitmap() {
    let boot = |memory, blocks| {
        let bus = ram(&memory).with_device(DISK, Disk::SIZE, Disk::new(blocks)).unwrap();
        let cpu = emmu_cpu::Cpu::new(emmu_base_bounds::Bare, bus);
        emmu_os::Os::boot(cpu, TimeSharing::new(DISK), &memory).map(drop)
    };
    assert_eq!(boot(memory(1, 4), 4), Ok(()));
    let what = "a disk as large as the processes' memory";
    assert_eq!(boot(memory(1, 4), 3), Err(OsError::Unsupported { what }));
    let small = MemoryError::KernelTooSmall { kernel: 0x1000, needed: 0x1008 };
    assert_eq!(boot(memory(1, 1), 0x8001), Err(OsError::Memory(small)));
}

#[test]
fn two_copies_run_at_different_places_with_the_same_result() {
    let mut os = bare_os(StaticRelocation::new(), &memory(2, 6));
    let image = summing(10);
    let mut processes = [(); 3].map(|()| start(&mut os, &image));
    let origins = processes.each_ref().map(|&(pid, _)| os.origin(pid).unwrap());
    let pool = START.raw() + 0x2000;
    assert_eq!(origins, [pool, pool + 0x2000, pool + 0x4000]);
    assert_eq!(in_turns(&mut os, &mut processes), [Exit::Code(55); 3]);
    assert_eq!(processes.map(|(_, core)| core.shown().to_vec()), [(); 3].map(|()| vec![55]));
}

#[test]
fn the_loader_adds_the_origin_to_every_reference_and_changes_nothing_else() {
    let mut os = bare_os(StaticRelocation::new(), &memory(2, 6));
    let image = summing(10);
    let _first = start(&mut os, &image);
    let (pid, _) = start(&mut os, &image);
    let origin = os.origin(pid).unwrap();
    let text = &image.layout().regions()[0];
    let mut expected = text.image().to_vec();
    assert_eq!(text.references().len(), 4);
    for reference in text.references() {
        let at = usize::try_from(reference.offset()).unwrap();
        let operand = u32::from_le_bytes(expected[at..at + 4].try_into().unwrap());
        let patched = u32::try_from(u64::from(operand) + origin).unwrap();
        expected[at..at + 4].copy_from_slice(&patched.to_le_bytes());
    }
    let mut held = vec![0; expected.len()];
    os.cpu_mut().bus_mut().read_bytes(PhysAddr::new(origin), &mut held).unwrap();
    assert_eq!(held, expected);
}

#[test]
fn a_program_that_is_not_patched_goes_astray() {
    let patched = summing(10);
    let unpatched = patched.layout().regions().iter().map(|region| {
        let bare = Region::new(region.start(), region.size(), region.rights()).unwrap();
        bare.with_image(region.image().to_vec()).unwrap()
    });
    let unpatched = Image::new(VirtAddr::ZERO, Layout::new(unpatched).unwrap()).unwrap();
    let mut os = bare_os(StaticRelocation::new(), &memory(2, 6));
    let mut process = [start(&mut os, &unpatched)];
    let [exit] = in_turns(&mut os, &mut process);
    assert!(matches!(exit, Exit::Killed(Kill::NoRegion(fault)) if fault.addr.raw() == 0x1000));
}

#[test]
fn a_wild_pointer_corrupts_the_neighbour() {
    let mut os = bare_os(StaticRelocation::new(), &memory(2, 6));
    let victim = summing(10);
    let (pid, core) = start(&mut os, &victim);
    let count = os.origin(pid).unwrap() + u64::from(DATA);
    let vandal = start(&mut os, &vandal(count));
    let exits = in_turns(&mut os, &mut [vandal, (pid, core)]);
    // It sums up to 0x5a instead of 10.
    assert_eq!(exits, [Exit::Code(0), Exit::Code(0x5a * 0x5b / 2)]);
}

#[test]
fn a_reference_without_room_for_its_address_is_refused_and_nothing_is_taken() {
    let text = [Instruction::Address { to: 0, addr: 0x8000_0000 }, Instruction::Exit { code: 0 }];
    let far = Assembly::new(text).image().unwrap();
    fn refusal<S: AddressSpaces>(spaces: S, far: &Image) -> OsError {
        let mut os = bare_os(spaces, &memory(2, 2));
        let refused = os.spawn(far.layout()).unwrap_err();
        assert_eq!(os.usage().programs, 0);
        assert!(os.spawn(summing(1).layout()).is_ok());
        refused
    }
    let too_wide = OsError::Layout(LayoutError::ReferenceTooWide {
        addr: VirtAddr::new(4),
        held: 0x8000_0000,
        origin: 0x8000_2000,
    });
    assert_eq!(refusal(StaticRelocation::new(), &far), too_wide);
    assert_eq!(refusal(TimeSharing::new(DISK), &far), too_wide);
    assert_eq!(refusal(Uniprogramming::new(), &far), too_wide);
}

#[test]
fn a_program_larger_than_memory_is_refused() {
    fn refusal<S: AddressSpaces>(spaces: S) -> OsError {
        let mut os = bare_os(spaces, &memory(2, 1));
        os.spawn(summing(1).layout()).unwrap_err()
    }
    let area = OutOfMemory::Area { needed: 0x2000, free: 0x1000, total: 0x1000 };
    assert_eq!(refusal(Uniprogramming::new()), OsError::OutOfMemory(area));
    assert_eq!(refusal(TimeSharing::new(DISK)), OsError::OutOfMemory(area));
    assert_eq!(refusal(StaticRelocation::new()), OsError::OutOfMemory(area));
}

#[test]
fn a_process_whose_place_a_new_one_took_comes_back_when_it_goes_on() {
    let mut os = bare_os(TimeSharing::new(DISK), &memory(2, 2));
    let (pid, mut core) = start(&mut os, &summing(10));
    os.resume(pid, &mut core).unwrap();
    let mut processes = [(pid, core), start(&mut os, &summing(4))];
    assert_eq!(in_turns(&mut os, &mut processes), [Exit::Code(55), Exit::Code(10)]);
}
