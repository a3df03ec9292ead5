//! Tests of the rules that the vectors do not cover, and of those that they cover, as sentences.

mod attributes;
mod dirty;
mod geometry;
mod sizes;

use super::{Fault, FaultKind, Leaf, Mapping, Registers};
use crate::Write;
use crate::reference::SparseMemory;
use emmu_core::{Access, AccessKind, PhysAddr, Privilege, VirtAddr};

/// `TG1:TG0` of the three granules in `TCR_EL1`, and log2 of their sizes.
const GRANULES: [(u64, u32); 3] =
    [(0b10 << 30, 12), (0b01 << 30 | 0b10 << 14, 14), (0b11 << 30 | 0b01 << 14, 16)];
/// `TCR_EL1` with 4 KiB granules.
const K4: u64 = GRANULES[0].0;
/// `TCR_EL1.IPS`: 48 bits.
const IPS_48: u64 = 0b101 << 32;
const HA: u64 = 1 << 39;
const HD: u64 = 1 << 40;

/// Where the tables of a [`Machine`] stand, one per level.
const TABLES: [u64; 4] = [0x0100_0000, 0x0200_0000, 0x0300_0000, 0x0400_0000];

/// Descriptor bits.
const TABLE: u64 = 0b11;
const BLOCK: u64 = 0b01;
const PAGE: u64 = 0b11;
const AF: u64 = 1 << 10;
const EL0: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const DBM: u64 = 1 << 51;
const CONTIGUOUS: u64 = 1 << 52;

/// Registers and tables: one table per level, each pointing to the next by its first entry.
struct Machine {
    registers: Registers,
    memory: SparseMemory,
}

impl Machine {
    /// A machine with these granule bits of `TCR_EL1`, this TxSZ in both halves, which share the tables.
    fn new(granule: u64, txsz: u64, start_level: usize) -> Self {
        let mut memory = SparseMemory::default();
        for level in start_level..3 {
            memory.write64(PhysAddr::new(TABLES[level]), TABLES[level + 1] | TABLE);
        }
        let root = TABLES[start_level];
        let registers = Registers {
            ttbr0_el1: root,
            ttbr1_el1: root,
            tcr_el1: granule | IPS_48 | txsz << 16 | txsz,
            sctlr_el1: 1,
            ..Registers::default()
        };
        Self { registers, memory }
    }

    /// 4 KiB granules, 48 bits of address, tables at levels 0 to 3.
    fn k4() -> Self {
        Self::new(K4, 16, 0)
    }

    /// Returns this machine with one page at address 0, which has these bits beside its address and type.
    fn with_page(bits: u64) -> Self {
        Self::k4().put(3, 0x5000_0000 | PAGE | bits)
    }

    /// Writes the first entry of a level's table.
    fn put(self, level: usize, descriptor: u64) -> Self {
        self.put_at(TABLES[level], descriptor)
    }

    fn put_at(mut self, addr: u64, descriptor: u64) -> Self {
        self.memory.write64(PhysAddr::new(addr), descriptor);
        self
    }

    /// Sets bits of `TCR_EL1`.
    fn tcr(mut self, bits: u64) -> Self {
        self.registers.tcr_el1 |= bits;
        self
    }

    /// Sets `TCR_EL1.IPS`.
    fn ips(mut self, ips: u64) -> Self {
        self.registers.tcr_el1 = self.registers.tcr_el1 & !(0b111 << 32) | ips << 32;
        self
    }

    /// Sets `SCTLR_EL1.WXN`.
    fn wxn(mut self) -> Self {
        self.registers.sctlr_el1 |= 1 << 19;
        self
    }

    fn access(&self, access: Access) -> Result<Mapping, Fault> {
        self.registers.mapping(access, &self.memory)
    }

    fn load(&self, va: u64) -> Result<Mapping, Fault> {
        self.access(load(va))
    }

    /// The physical address of a load at EL1.
    fn pa(&self, va: u64) -> u64 {
        self.load(va).expect("the load is allowed").pa.raw()
    }

    /// The kind and level of the fault of a load at EL1.
    fn fault(&self, va: u64) -> (FaultKind, u32) {
        kind_and_level(self.load(va))
    }

    /// The descriptor as the access leaves it, if it changes it.
    fn updated(&self, access: Access) -> Option<u64> {
        self.access(access).ok()?.write.map(|write| write.value)
    }
}

fn load(va: u64) -> Access {
    Access::load(VirtAddr::new(va), 8)
}

fn at(kind: AccessKind, privilege: Privilege) -> Access {
    Access::new(kind, VirtAddr::new(0), 4).with_privilege(privilege)
}

fn kind_and_level(result: Result<Mapping, Fault>) -> (FaultKind, u32) {
    let fault = result.expect_err("the access faults");
    (fault.kind, fault.level)
}
