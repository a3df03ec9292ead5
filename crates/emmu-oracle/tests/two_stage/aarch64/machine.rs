//! A processing element, and tables of both its stages.

pub(super) use core::ops::RangeInclusive;
pub(super) use emmu_core::{Access, PhysAddr, Privilege, VirtAddr};
pub(super) use emmu_oracle::aarch64::stage2::{Fault, Registers, Stage2Fault};
pub(super) use emmu_oracle::aarch64::{self, FaultKind};
pub(super) use emmu_oracle::reference::SparseMemory;
pub(super) use emmu_oracle::two_stage::{Nested, Stage};
pub(super) use emmu_oracle::{Outcome, TwoStage};

/// HCR_EL2.
pub(super) const VM: u64 = 1 << 0;
pub(super) const PTW: u64 = 1 << 2;
/// VTCR_EL2.
pub(super) const HA: u64 = 1 << 21;
pub(super) const HD: u64 = 1 << 22;

/// Descriptors.
pub(super) const TABLE: u64 = 0b11;
pub(super) const PAGE: u64 = 0b11;
pub(super) const BLOCK: u64 = 0b01;
pub(super) const AF: u64 = 1 << 10;
pub(super) const DBM: u64 = 1 << 51;
pub(super) const CONTIGUOUS: u64 = 1 << 52;
/// Stage 2: readable, writable, Normal memory.
pub(super) const R: u64 = 1 << 6;
pub(super) const W: u64 = 1 << 7;
pub(super) const NORMAL: u64 = 0b1111 << 2;
/// The bits of a stage 2 page that allows everything.
pub(super) const OPEN: u64 = AF | R | W | NORMAL;
/// Stage 1: EL0 too, or read-only.
pub(super) const EL0: u64 = 1 << 6;
pub(super) const READ_ONLY: u64 = 1 << 7;

/// Where stage 1's page is, intermediate physical, and an offset into it.
pub(super) const DATA: u64 = 0xf000;
pub(super) const VA: u64 = 0x124;

/// Where stage 2 maps the lowest intermediate physical pages to.
pub(super) fn host(ipa: u64) -> u64 {
    0x4000_0000 + ipa
}

/// Stage 1's table of this level, intermediate physical: levels 1 to 3.
pub(super) fn s1_table(level: u64) -> u64 {
    0x1000 * level
}

/// Stage 2's table of this level: levels 1 to 3.
pub(super) fn s2_table(level: u64) -> u64 {
    0x10_0000 + 0x1000 * level
}

/// Granules of 4 KiB and 39 bits of address at both stages, three levels each. Stage 1 maps the first page to `DATA`, stage
/// 2 the sixteen first pages to `host`; all of it allows everything, and access flags are set.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) vm: Registers,
    pub(super) memory: SparseMemory,
}

impl Machine {
    pub(super) fn new() -> Self {
        let el1 = aarch64::Registers {
            tcr_el1: 25 | 25 << 16 | 0b10 << 30 | 0b101 << 32,
            ttbr0_el1: s1_table(1),
            sctlr_el1: 1,
            ..aarch64::Registers::default()
        };
        let vtcr_el2 = 25 | 0b01 << 6 | 0b101 << 16;
        let vm = Registers { el1, hcr_el2: VM, vtcr_el2, vttbr_el2: s2_table(1) };
        let mut machine = Self { vm, memory: SparseMemory::default() };
        for level in 1..3 {
            machine.put(s2_table(level), s2_table(level + 1) | TABLE);
            machine.put(host(s1_table(level)), s1_table(level + 1) | TABLE);
        }
        for page in 0..16 {
            machine.put(s2_table(3) + 8 * page, host(0x1000 * page) | OPEN | PAGE);
        }
        machine.s1(DATA | AF | PAGE)
    }

    /// Stage 2 alone.
    pub(super) fn stage_2() -> Self {
        Self::new().with(|vm| vm.el1.sctlr_el1 = 0)
    }

    pub(super) fn put(&mut self, addr: u64, descriptor: u64) {
        self.memory.write64(PhysAddr::new(addr), descriptor);
    }

    /// With this page descriptor at stage 1.
    pub(super) fn s1(mut self, descriptor: u64) -> Self {
        self.put(host(s1_table(3)), descriptor);
        self
    }

    /// With the descriptor of an intermediate physical page changed.
    pub(super) fn s2(mut self, ipa: u64, change: impl FnOnce(u64) -> u64) -> Self {
        self.put(s2_page(ipa), change(host(ipa) | OPEN | PAGE));
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Registers)) -> Self {
        change(&mut self.vm);
        self
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

    /// The kind and level of the fault of stage 2.
    pub(super) fn fault(&self, access: Access) -> (FaultKind, u32) {
        let fault = self.stage_2_fault(access);
        (fault.kind, fault.level)
    }

    pub(super) fn stage_2_fault(&self, access: Access) -> Stage2Fault {
        match self.ask(access) {
            Err(Fault::Stage2(fault)) => fault,
            other => panic!("no fault of stage 2: {other:x?}"),
        }
    }
}

/// Where stage 2's descriptor of a page is.
pub(super) fn s2_page(ipa: u64) -> u64 {
    s2_table(3) + 8 * (ipa >> 12)
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

pub(super) fn amo(va: u64) -> Access {
    Access::amo(VirtAddr::new(va), 4)
}
