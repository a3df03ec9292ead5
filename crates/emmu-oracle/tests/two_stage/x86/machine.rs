//! A guest, and tables of both its stages.

pub(super) use emmu_core::{Access, AccessKind, PhysAddr, Privilege, VirtAddr};
pub(super) use emmu_oracle::reference::SparseMemory;
pub(super) use emmu_oracle::two_stage::{Nested, Stage};
pub(super) use emmu_oracle::x86;
pub(super) use emmu_oracle::x86::ept::{Fault, InvalidEptp, Registers};
pub(super) use emmu_oracle::{Outcome, TwoStage, Write};

pub(super) const PG: u64 = 1 << 31;
pub(super) const PAE: u64 = 1 << 5;
pub(super) const LA57: u64 = 1 << 12;
pub(super) const LME: u64 = 1 << 8;

pub(super) const P: u64 = 1;
pub(super) const RW: u64 = 1 << 1;
pub(super) const US: u64 = 1 << 2;
pub(super) const A: u64 = 1 << 5;
pub(super) const D: u64 = 1 << 6;
pub(super) const PS: u64 = 1 << 7;

pub(super) const R: u64 = 1;
pub(super) const W: u64 = 2;
pub(super) const X: u64 = 4;
pub(super) const RWX: u64 = R | W | X;
pub(super) const WB: u64 = 6 << 3;
pub(super) const EPT_A: u64 = 1 << 8;
pub(super) const EPT_D: u64 = 1 << 9;

/// Exit qualification: the guest-linear address is valid; and the violation is at its translation.
pub(super) const LINEAR: u64 = 1 << 7;
pub(super) const PAGE: u64 = 1 << 7 | 1 << 8;

/// Where the guest's page is, guest-physical.
pub(super) const DATA: u64 = 0xf000;
/// Its address and an offset, as the guest accesses it.
pub(super) const VA: u64 = 0x123;

/// Where EPT maps guest-physical memory to.
pub(super) fn host(gpa: u64) -> u64 {
    0x4000_0000 + gpa
}

/// Where the guest's table `number` is, guest-physical, counted from the root.
pub(super) fn guest_table(number: u64) -> u64 {
    0x1000 * (number + 1)
}

/// Where EPT's table `number` is.
pub(super) fn ept_table(number: u64) -> u64 {
    0x10_0000 + 0x1000 * number
}

/// A guest in 64-bit mode on EPT, each with so many levels, and with pages of the level, 0 being that of 4 KiB. All entries
/// allow everything; the guest's have their flags set.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) vm: Registers,
    pub(super) memory: SparseMemory,
    /// The last table of EPT, and of the guest.
    pub(super) ept_last: u64,
    pub(super) guest_last: u64,
}

impl Machine {
    pub(super) fn new((levels, leaf): (u64, u64), (ept_levels, ept_leaf): (u64, u64)) -> Self {
        let la57 = if levels == 5 { LA57 } else { 0 };
        let guest = x86::Registers {
            cr0: PG | 1,
            cr3: guest_table(0),
            cr4: PAE | la57,
            efer: LME,
            ..x86::Registers::without_paging(52)
        };
        let eptp = ept_table(0) | (ept_levels - 1) << 3 | 6;
        let vm = Registers { guest, eptp, ..Registers::default() };
        let (guest_last, ept_last) = (levels - 1 - leaf, ept_levels - 1 - ept_leaf);
        let mut machine = Self { vm, memory: SparseMemory::default(), ept_last, guest_last };
        for number in 0..ept_last {
            machine.put(ept_table(number), ept_table(number + 1) | RWX);
        }
        for page in 0..16 {
            let (page, size) = if ept_leaf == 0 { (page, 0) } else { (0, PS) };
            machine.put(ept_table(ept_last) + 8 * page, host(0x1000 * page) | size | WB | RWX);
        }
        for number in 0..guest_last {
            machine.put(host(guest_table(number)), guest_table(number + 1) | P | RW | US | A);
        }
        let (page, size) = if leaf == 0 { (DATA, 0) } else { (0, PS) };
        machine.guest_pte(page | size | P | RW | US | A | D)
    }

    /// Four levels and pages of 4 KiB at both stages.
    pub(super) fn four() -> Self {
        Self::new((4, 0), (4, 0))
    }

    pub(super) fn put(&mut self, addr: u64, entry: u64) {
        self.memory.write64(PhysAddr::new(addr), entry);
    }

    /// With this entry at the end of the guest's walk.
    pub(super) fn guest_pte(mut self, entry: u64) -> Self {
        self.put(host(guest_table(self.guest_last)), entry);
        self
    }

    /// With EPT's entry for a guest-physical page changed.
    pub(super) fn ept(mut self, gpa: u64, change: impl FnOnce(u64) -> u64) -> Self {
        let entry = change(host(gpa) | WB | RWX);
        self.put(self.ept_pte(gpa), entry);
        self
    }

    pub(super) fn ept_pte(&self, gpa: u64) -> u64 {
        ept_table(self.ept_last) + 8 * (gpa >> 12)
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Registers)) -> Self {
        change(&mut self.vm);
        self
    }

    /// With accessed and dirty flags for EPT.
    pub(super) fn with_flags(self) -> Self {
        self.with(|vm| vm.eptp |= 1 << 6)
    }

    pub(super) fn nested(&self, access: Access) -> Nested<Fault> {
        self.vm.nested(access, &self.memory)
    }

    pub(super) fn ask(&self, access: Access) -> Result<Outcome, Fault> {
        self.nested(access).answer
    }

    pub(super) fn pa(&self, access: Access) -> Result<u64, Fault> {
        self.ask(access).map(|outcome| outcome.pa.raw())
    }

    pub(super) fn writes(&self, access: Access) -> Vec<(u64, u64)> {
        let writes = self.ask(access).expect("allowed").writes;
        writes.iter().map(|write| (write.addr.raw(), write.value)).collect()
    }
}

pub(super) fn load(va: u64) -> Access {
    Access::load(VirtAddr::new(va), 4)
}

pub(super) fn store(va: u64) -> Access {
    Access::store(VirtAddr::new(va), 4)
}

pub(super) fn fetch(va: u64) -> Access {
    Access::fetch(VirtAddr::new(va), 4)
}

pub(super) fn violation(qualification: u64, gpa: u64, linear: u64) -> Fault {
    Fault::EptViolation { qualification, gpa, linear: Some(linear) }
}

/// The entries that a load reads; it arrives at guest-physical 0xf123.
pub(super) fn references(guest: (u64, u64), ept: (u64, u64)) -> usize {
    let va = if guest.1 == 0 { VA } else { DATA + VA };
    let nested = Machine::new(guest, ept).nested(load(va));
    assert_eq!(nested.answer.map(|outcome| outcome.pa.raw()), Ok(host(DATA + VA)));
    nested.reads.len()
}
