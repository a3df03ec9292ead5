//! The registers of a vector, as its file gives them.

/// The registers of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registers {
    /// Of the formats `riscv-*`.
    RiscV(RiscVRegisters),
    /// Of the formats `x86-*`.
    X86(X86Registers),
    /// Of the formats `aarch64-*`.
    AArch64(AArch64Registers),
}

/// RISC-V.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiscVRegisters {
    /// `satp`.
    pub satp: u64,
    /// `mstatus`.
    pub mstatus: u64,
    /// `menvcfg`, as 64 bits on RV32 too.
    pub menvcfg: u64,
    /// The ISA string, such as `rv64gc_svnapot`: base, then extensions.
    pub isa: String,
}

impl RiscVRegisters {
    /// Returns true if the ISA string has this extension of several letters, such as `svnapot`.
    #[must_use]
    pub fn has_extension(&self, name: &str) -> bool {
        self.isa.split('_').skip(1).any(|extension| extension == name)
    }
}

/// x86.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X86Registers {
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// IA32_EFER.
    pub efer: u64,
    /// PKRU; 0 where CR4.PKE is 0.
    pub pkru: u32,
    /// MAXPHYADDR, 32 to 52.
    pub maxphyaddr: u32,
}

/// AArch64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AArch64Registers {
    /// TTBR0_EL1.
    pub ttbr0_el1: u64,
    /// TTBR1_EL1.
    pub ttbr1_el1: u64,
    /// TCR_EL1.
    pub tcr_el1: u64,
    /// SCTLR_EL1.
    pub sctlr_el1: u64,
    /// MAIR_EL1.
    pub mair_el1: u64,
}
