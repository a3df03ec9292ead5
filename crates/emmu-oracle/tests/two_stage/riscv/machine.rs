//! A hart, and tables of both its stages.

pub(super) use emmu_core::{Access, AccessFlags, PhysAddr, Privilege, VirtAddr};
pub(super) use emmu_oracle::reference::SparseMemory;
pub(super) use emmu_oracle::riscv::hypervisor::{Exception, Fault, Registers};
pub(super) use emmu_oracle::riscv::{self, PmpEntry, Xlen};
pub(super) use emmu_oracle::two_stage::{Nested, Stage};
pub(super) use emmu_oracle::{Outcome, TwoStage, Write};

pub(super) const V: u64 = 1;
pub(super) const R: u64 = 1 << 1;
pub(super) const W: u64 = 1 << 2;
pub(super) const X: u64 = 1 << 3;
pub(super) const U: u64 = 1 << 4;
pub(super) const G: u64 = 1 << 5;
pub(super) const A: u64 = 1 << 6;
pub(super) const D: u64 = 1 << 7;
pub(super) const RWX: u64 = V | R | W | X;
/// The bits of a G-stage page that allows everything.
pub(super) const OPEN: u64 = RWX | U | A | D;

pub(super) const SUM: u64 = 1 << 18;
pub(super) const MXR: u64 = 1 << 19;
pub(super) const ADUE: u64 = 1 << 61;
pub(super) const PBMTE: u64 = 1 << 62;

/// Guest-physical page `n` stands in host memory at this address.
pub(super) fn host(gpa: u64) -> u64 {
    0x10_0000 + gpa
}

/// Where the guest's page at virtual address 0 is, guest-physical.
pub(super) const DATA: u64 = 0xf000;
/// Where the leaf that maps it is, guest-physical: the last of the guest's tables, which stand at 0x1000 and so on.
pub(super) fn guest_leaf(levels: u64) -> u64 {
    0x1000 * levels
}

/// A machine of two stages, both with pages of 4 KiB: virtual 0 is guest-physical `DATA`, and the lowest
/// guest-physical 2 MiB (64 KiB of them mapped) are host memory from 0x10_0000 on.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) hart: Registers,
    pub(super) memory: SparseMemory,
    pub(super) levels: u64,
}

impl Machine {
    pub(super) fn new(xlen: Xlen, mode: u64, levels: u64) -> Self {
        let mode = if xlen == Xlen::Rv32 { mode << 31 } else { mode << 60 };
        let hs = riscv::Registers::bare(xlen);
        let hart = Registers { hgatp: mode | 4, vsatp: mode | 1, ..Registers::new(hs) };
        let mut machine = Self { hart, memory: SparseMemory::default(), levels };
        // G-stage: a root at 0x4000, the next tables at 0x8000 and so on.
        let g_table = |number: u64| if number == 0 { 0x4000 } else { 0x7000 + 0x1000 * number };
        for number in 0..levels - 1 {
            machine.put(g_table(number), pte(g_table(number + 1), V));
        }
        for page in 0..16 {
            let size = machine.pte_size();
            machine.put(g_table(levels - 1) + size * page, pte(host(0x1000 * page), OPEN));
        }
        for level in 1..levels {
            machine.put(host(0x1000 * level), pte(0x1000 * (level + 1), V));
        }
        machine.put(host(guest_leaf(levels)), pte(DATA, RWX | A | D));
        machine
    }

    pub(super) fn sv39() -> Self {
        Self::new(Xlen::Rv64, 8, 3)
    }

    pub(super) fn pte_size(&self) -> u64 {
        if self.hart.hs.xlen == Xlen::Rv32 { 4 } else { 8 }
    }

    pub(super) fn put(&mut self, addr: u64, pte: u64) {
        let size = if self.hart.hs.xlen == Xlen::Rv32 { 4 } else { 8 };
        self.memory.apply(Write { addr: PhysAddr::new(addr), size, value: pte });
    }

    /// With this entry for the guest's page at virtual address 0.
    pub(super) fn guest_pte(mut self, pte: u64) -> Self {
        self.put(host(guest_leaf(self.levels)), pte);
        self
    }

    /// With this entry for a guest-physical page.
    pub(super) fn g_pte(mut self, gpa: u64, pte: u64) -> Self {
        self.put(self.g_leaf(gpa), pte);
        self
    }

    /// Where G-stage's entry for a guest-physical page is.
    pub(super) fn g_leaf(&self, gpa: u64) -> u64 {
        0x7000 + 0x1000 * (self.levels - 1) + (gpa >> 12) * self.pte_size()
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Registers)) -> Self {
        change(&mut self.hart);
        self
    }

    pub(super) fn nested(&self, access: Access) -> Nested<Fault> {
        self.hart.nested(access, &self.memory)
    }

    pub(super) fn ask(&self, access: Access) -> Result<Outcome, Fault> {
        self.nested(access).answer
    }

    pub(super) fn pa(&self, access: Access) -> Result<u64, Exception> {
        self.ask(access).map(|outcome| outcome.pa.raw()).map_err(|fault| fault.exception)
    }

    pub(super) fn writes(&self, access: Access) -> Vec<(u64, u64)> {
        let writes = self.ask(access).expect("allowed").writes;
        writes.iter().map(|write| (write.addr.raw(), write.value)).collect()
    }
}

pub(super) fn pte(addr: u64, flags: u64) -> u64 {
    addr >> 12 << 10 | flags
}

pub(super) fn load(va: u64) -> Access {
    Access::load(VirtAddr::new(va), 4).with_flags(AccessFlags::GUEST)
}

pub(super) fn store(va: u64) -> Access {
    Access::store(VirtAddr::new(va), 4).with_flags(AccessFlags::GUEST)
}

pub(super) fn fetch(va: u64) -> Access {
    Access::fetch(VirtAddr::new(va), 4).with_flags(AccessFlags::GUEST)
}

pub(super) fn hlvx(va: u64) -> Access {
    load(va).with_flags(AccessFlags::GUEST | AccessFlags::EXECUTABLE)
}

/// A guest-page fault of the access itself.
pub(super) fn guest_page_fault(exception: Exception, va: u64, gpa: u64) -> Fault {
    Fault { exception, tval: va, gva: true, tval2: gpa >> 2, tinst: 0 }
}
