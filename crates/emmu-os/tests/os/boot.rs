//! Tests of boot, and of machines that are unfit for it.

use crate::common::*;
use emmu_core::{Access, Bus, Cause, PhysAddr, Privilege, Registers, VirtAddr, Width};
use emmu_cpu::{Cpu, Exception, Stop};
use emmu_memory::Memory;
use emmu_os::{
    AArch64Tables, Exit, MemoryError, Op, Os, OsError, Paged, PhysicalMemory, RiscVTables,
    Segmented, X86Tables,
};
use emmu_paging::format::aarch64;
use emmu_paging::format::riscv::{Extensions, SSTATUS, Status};
use emmu_paging::format::x86::{self, Cr0, Cr4, Efer};
use emmu_paging::{AArch64, Paging, RiscV, X86};
use emmu_segmentation::{Segmentation, Selection};

fn riscv_cpu(memory: &PhysicalMemory) -> Cpu<Paging<RiscV>, Memory> {
    Cpu::new(Paging::uncached(RiscV::rv64()), ram(memory))
}

#[test]
fn a_fault_before_boot_is_a_double_fault_that_no_boot_cures() {
    let memory = ample();
    let mut cpu = riscv_cpu(&memory);
    let stop = cpu.load(VirtAddr::new(0), Width::B8).unwrap_err();
    assert!(matches!(stop, Stop::DoubleFault(Exception::Fault(_))), "{stop}");
    let refused = Os::boot(cpu, Paged::new(RiscVTables::SV39), &memory).unwrap_err();
    assert!(matches!(refused, OsError::Kernel(Stop::Halted(_))), "{refused}");
}

#[test]
fn a_fault_during_boot_finds_the_handler() {
    let memory = ample();
    let cpu = Cpu::new(Paging::uncached(RiscV::rv64()), Memory::new());
    let refused = Os::boot(cpu, Paged::new(RiscVTables::SV39), &memory).unwrap_err();
    let OsError::Kernel(Stop::Trap(Exception::Fault(fault))) = refused else { panic!("{refused}") };
    assert_eq!(fault.access, Access::store(VirtAddr::new(START.raw()), 4096));
}

#[test]
fn user_mode_cannot_boot() {
    let memory = ample();
    let mut cpu = riscv_cpu(&memory);
    cpu.set_privilege(Privilege::User);
    let refused = Os::boot(cpu, Paged::new(RiscVTables::SV39), &memory).unwrap_err();
    assert!(matches!(refused, OsError::Kernel(Stop::DoubleFault(_))), "{refused}");
}

#[test]
fn memory_that_is_not_there_stops_the_kernel_and_names_the_access() {
    let memory = memory(1, 8);
    let bus = Memory::new().with_ram(START, 0x2000).unwrap();
    let cpu = Cpu::new(Paging::uncached(RiscV::rv64()), bus);
    let mut os = Os::boot(cpu, Paged::new(RiscVTables::SV39), &memory).unwrap();
    os.spawn(&portable()).unwrap();
    let refused = os.spawn(&portable()).unwrap_err();
    let OsError::Kernel(Stop::Trap(Exception::Fault(fault))) = refused else { panic!("{refused}") };
    assert!(matches!(fault.cause, Cause::Bus(_)), "{refused}");
    assert_eq!(fault.addr, VirtAddr::new(0xffff_ffc0_8000_2000));
}

#[test]
fn a_mode_that_the_hart_lacks_is_unsupported() {
    let memory = ample();
    let hart = RiscV::rv64().with_extensions(Extensions::SVADU | Extensions::SV48);
    let boot = |tables| {
        let cpu = Cpu::new(Paging::uncached(hart), ram(&memory));
        Os::boot(cpu, Paged::new(tables), &memory).map(drop)
    };
    assert_eq!(boot(RiscVTables::SV48), Ok(()));
    assert_eq!(boot(RiscVTables::SV57), Err(OsError::Unsupported { what: "Sv57" }));
    assert_eq!(boot(RiscVTables::SV32), Err(OsError::Unsupported { what: "Sv32" }));
    let narrow = Cpu::new(Paging::uncached(RiscV::rv32()), ram(&memory));
    let refused = Os::boot(narrow, Paged::new(RiscVTables::SV39), &memory).map(drop);
    assert_eq!(refused, Err(OsError::Unsupported { what: "Sv39" }));
}

#[test]
fn a_32_bit_machine_sees_two_gib_from_the_start_of_its_memory_on() {
    let boot = |size| {
        let memory = PhysicalMemory::new(START, size, 1 << 20).unwrap();
        let bus = Memory::new().with_ram(START, size).unwrap();
        Os::boot(
            Cpu::new(Paging::uncached(RiscV::rv32()), bus),
            Paged::new(RiscVTables::SV32),
            &memory,
        )
    };
    let limit = 2 << 30;
    let (exit, seen) =
        run(&mut boot(limit).unwrap(), &portable(), &[store(HEAP.0, 8, 3), load(HEAP.0, 8)]);
    assert_eq!((exit, seen), (Exit::Code(0), vec![3u64.to_le_bytes().to_vec()]));
    let end = START.wrapping_add(limit + 0x1000);
    let beyond = OsError::Memory(MemoryError::BeyondWindow { end, limit });
    assert_eq!(boot(limit + 0x1000).map(drop), Err(beyond));
}

#[test]
fn entries_of_four_bytes_name_four_gib_and_cannot_withhold_execution() {
    let boot = |start, size: u64| {
        let memory = PhysicalMemory::new(PhysAddr::new(start), size, 1 << 20).unwrap();
        let bus = Memory::new().with_ram(memory.start(), size).unwrap();
        let cpu = Cpu::new(Paging::new(X86::new(46), &tiny()).unwrap(), bus);
        Os::boot(cpu, Paged::new(X86Tables::BITS32), &memory)
    };
    let mut os = boot(2 << 30, 2 << 30).unwrap();
    let ops = [store(HEAP.0, 8, 3), load(HEAP.0, 8), fetch(HEAP.0, 4)];
    let three = 3u64.to_le_bytes();
    let seen = vec![three.to_vec(), three[..4].to_vec()];
    assert_eq!(run(&mut os, &layout([data(HEAP.0, 0x1000)]), &ops), (Exit::Code(0), seen));
    let (first, second) = (os.spawn(&portable()).unwrap(), os.spawn(&portable()).unwrap());
    for (pid, value) in [(first, 1), (second, 2)] {
        os.resume(pid, &mut Recorder::new([store(HEAP.0, 8, value), Op::YIELD])).unwrap();
    }
    for (pid, value) in [(first, 1u64), (second, 2)] {
        let mut program = Recorder::new([load(HEAP.0, 8), load(STACK.0, 8)]);
        os.resume(pid, &mut program).unwrap();
        assert_eq!(program.seen, [value.to_le_bytes(), [0; 8]]);
    }
    assert_all_free("x86, 32-bit", &os);
    let end = PhysAddr::new((4 << 30) + 0x1000);
    let beyond = OsError::Memory(MemoryError::BeyondEntries { end });
    assert_eq!(boot((4 << 30) - 0x20_0000, 0x20_1000).map(drop), Err(beyond));
}

#[test]
fn aarch64_boots_with_pan_and_without_tables_for_programs() {
    let os = aarch64_os(AArch64Tables::K4, &ample());
    let register = |id| os.cpu().unit().read_register(id).unwrap();
    assert_eq!(register(aarch64::SCTLR_EL1) & 1, 1, "the MMU is on");
    assert_eq!(register(aarch64::PAN), 1 << 22);
    let empty = register(aarch64::TTBR0_EL1);
    assert_ne!(empty, register(aarch64::TTBR1_EL1));
    assert!((0..512).all(|index| word(os.cpu(), empty + 8 * index) == 0));
}

#[test]
fn another_architectures_tables_find_no_register() {
    let memory = ample();
    let refused = Os::boot(riscv_cpu(&memory), Paged::new(X86Tables::LEVEL4), &memory).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the kernel cannot go on: illegal instruction: no register has the number 0x4"
    );
}

#[test]
fn implicit_selection_is_unsupported() {
    let unit = Segmentation::new(16, Selection::Implicit).unwrap();
    let refused = Segmented::of(&unit).unwrap_err();
    assert_eq!(refused.to_string(), "the machine does not have explicit selection of segments");
}

#[test]
fn the_supervisor_has_no_way_into_user_pages_on_riscv() {
    let memory = ample();
    let mut cpu = riscv_cpu(&memory);
    cpu.write_register(SSTATUS, (Status::SUM | Status::MXR).bits()).unwrap();
    let os = Os::boot(cpu, Paged::new(RiscVTables::SV39), &memory).unwrap();
    assert_eq!(os.cpu().unit().read_register(SSTATUS), Ok(0));
}

#[test]
fn x86_boots_into_long_mode_with_every_protection_on() {
    let os = x86_os(&ample());
    let register = |id| os.cpu().unit().read_register(id).unwrap();
    let cr0 = Cr0::from_bits_retain(register(x86::CR0));
    let cr4 = Cr4::from_bits_retain(register(x86::CR4));
    let efer = Efer::from_bits_retain(register(x86::EFER));
    assert!(cr0.contains(Cr0::PE | Cr0::WP | Cr0::PG), "{cr0:?}");
    assert!(cr4.contains(Cr4::PAE | Cr4::PGE | Cr4::PCIDE | Cr4::SMEP | Cr4::SMAP), "{cr4:?}");
    assert!(efer.contains(Efer::LMA | Efer::NXE), "{efer:?}");
}

#[test]
fn memory_must_be_whole_frames_and_leave_some_for_processes() {
    let new = |start, size, kernel| PhysicalMemory::new(PhysAddr::new(start), size, kernel);
    let unaligned = |what, value| Err(MemoryError::Unaligned { what, value, frame: 4096 });
    assert_eq!(new(0x10, 0x4000, 0x1000), unaligned("the start of memory", 0x10));
    assert_eq!(new(0, 0x4010, 0x1000), unaligned("its size", 0x4010));
    assert_eq!(new(0, 0x4000, 0x10), unaligned("the kernel's part", 0x10));
    assert_eq!(new(0, 0x4000, 0x4000), Err(MemoryError::NoPool { kernel: 0x4000, size: 0x4000 }));
    let (start, size) = (PhysAddr::new(u64::MAX - 0xfff), 0x1000);
    assert_eq!(PhysicalMemory::new(start, size, 0), Err(MemoryError::TooLong { start, size }));
}

#[test]
fn the_kernels_part_must_hold_its_tables() {
    let boot =
        |tables, kernel| paged_os(RiscV::rv64(), tables, &tiny(), &memory(kernel, 4)).map(drop);
    let too_small = |kernel, needed| {
        Err(OsError::Memory(MemoryError::KernelTooSmall {
            kernel: kernel << 12,
            needed: needed << 12,
        }))
    };
    for (tables, needed) in [(RiscVTables::SV39, 1), (RiscVTables::SV48, 2), (RiscVTables::SV57, 3)]
    {
        assert_eq!(boot(tables, needed - 1), too_small(needed - 1, needed));
        assert_eq!(boot(tables, needed), Ok(()));
    }
    // A root for each half, and one table below the kernel's.
    let boot = |kernel| paged_os(AArch64::new(), AArch64Tables::K4, &tiny(), &memory(kernel, 4));
    assert_eq!(boot(2).map(drop), too_small(2, 3));
    assert!(boot(3).is_ok());
}

#[test]
fn the_window_shows_only_so_much_memory() {
    let boot = |size| {
        let memory = PhysicalMemory::new(START, size, 1 << 20).unwrap();
        let bus = Memory::new().with_ram(START, size).unwrap();
        let cpu = Cpu::new(Paging::uncached(RiscV::rv64()), bus);
        Os::boot(cpu, Paged::new(RiscVTables::SV39), &memory).map(drop)
    };
    let limit = 1 << 38;
    assert_eq!(boot(limit - START.raw()), Ok(()));
    let end = PhysAddr::new(limit + 0x1000);
    let beyond = OsError::Memory(MemoryError::BeyondWindow { end, limit });
    assert_eq!(boot(limit - START.raw() + 0x1000), Err(beyond));
}

#[test]
fn memory_above_4_gib_serves_x86_programs_if_the_kernels_part_is_below() {
    let (start, size) = (PhysAddr::new(0xffff_f000 - 0x1000), 64 << 12);
    let memory = PhysicalMemory::new(start, size, 0x2000).unwrap();
    let mut bus = Memory::new().with_ram(start, size).unwrap();
    bus.write(start.wrapping_add(0x2000), Width::B8, 5).unwrap();
    let cpu = Cpu::new(Paging::uncached(X86::new(46)), bus);
    let mut os = Os::boot(cpu, Paged::new(X86Tables::LEVEL4), &memory).unwrap();
    let (exit, seen) = run(&mut os, &portable(), &[store(HEAP.0, 8, 3), load(HEAP.0, 8)]);
    assert_eq!((exit, seen), (Exit::Code(0), vec![3u64.to_le_bytes().to_vec()]));

    let high = PhysicalMemory::new(PhysAddr::new(1 << 32), 64 << 12, 0x2000).unwrap();
    let cpu = Cpu::new(Paging::uncached(X86::new(46)), ram(&high));
    let refused = Os::boot(cpu, Paged::new(X86Tables::LEVEL4), &high).unwrap_err();
    let OsError::Kernel(Stop::Trap(Exception::Fault(fault))) = refused else { panic!("{refused}") };
    assert_eq!(fault.cause, Cause::NonCanonical);
}
