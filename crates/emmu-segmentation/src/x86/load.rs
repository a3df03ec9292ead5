//! The checks of loading a segment register or the LDTR.

use super::descriptor::Kind;
use super::linear::LinearMemory;
use super::{SegmentRegister, SegmentState, Selector, X86Descriptor};
use core::fmt;
use emmu_core::{Fault, VirtAddr};

/// The rule by which a selector is refused (Intel SDM Vol. 2: MOV to a segment register, far JMP, LLDT).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// SS outside 64-bit mode, at CPL 3 or with another RPL than the CPL, and CS: no null selector.
    Null,
    /// The index is past the limit of the table, or the LDTR holds no table.
    OutsideTable,
    /// A data or stack segment: no LDT, TSS or gate.
    System,
    /// SS: writable data only.
    NotWritable,
    /// DS, ES, FS, GS: no code that cannot be read.
    NotReadable,
    /// CS: code only.
    NotCode,
    /// SS: RPL and DPL equal the CPL.
    StackPrivilege,
    /// DS, ES, FS, GS: neither RPL nor CPL exceeds the DPL, except of conforming code.
    DataPrivilege,
    /// CS: the DPL is the CPL and not below the RPL, or does not exceed the CPL if the code is conforming.
    CodePrivilege,
    /// CS in IA-32e mode: not both L and D.
    LongAndBig,
    /// The segment, or the LDT, is present.
    NotPresent,
    /// The stack segment is present.
    StackNotPresent,
    /// LLDT: CPL 0.
    Privileged,
    /// LLDT: the selector names a descriptor of the GDT.
    LocalTable,
    /// LLDT: the descriptor is an LDT's, with zeros where IA-32e mode wants them.
    NotATable,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Null,
        Self::OutsideTable,
        Self::System,
        Self::NotWritable,
        Self::NotReadable,
        Self::NotCode,
        Self::StackPrivilege,
        Self::DataPrivilege,
        Self::CodePrivilege,
        Self::LongAndBig,
        Self::NotPresent,
        Self::StackNotPresent,
        Self::Privileged,
        Self::LocalTable,
        Self::NotATable,
    ];

    /// The rule, broken, in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Null => "a null selector",
            Self::OutsideTable => "the descriptor is outside its table",
            Self::System => "a system segment",
            Self::NotWritable => "not writable data",
            Self::NotReadable => "code that is not readable",
            Self::NotCode => "not code",
            Self::StackPrivilege => "RPL or DPL differ from the CPL",
            Self::DataPrivilege => "RPL or CPL exceed the DPL",
            Self::CodePrivilege => "the privilege of the code does not fit the CPL",
            Self::LongAndBig => "64-bit code with D",
            Self::NotPresent => "the segment is not present",
            Self::StackNotPresent => "the stack segment is not present",
            Self::Privileged => "the CPL is not 0",
            Self::LocalTable => "a selector of the local table",
            Self::NotATable => "not a local descriptor table",
        }
    }

    /// The rule of these words.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.text() == text)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// Why a load did not happen; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadError {
    Rule(Rule),
    /// The descriptor could not be read or marked.
    Memory(Fault),
    NotModelled(&'static str),
}

impl From<Rule> for LoadError {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

impl From<Fault> for LoadError {
    fn from(fault: Fault) -> Self {
        Self::Memory(fault)
    }
}

/// The state on which a load depends, besides selector and memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub(super) cpl: u8,
    pub(super) lma: bool,
    pub(super) is_64_bit: bool,
    pub(super) gdt: DescriptorTable,
    pub(super) ldt: Option<DescriptorTable>,
}

/// Where descriptors are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct DescriptorTable {
    pub(super) base: u64,
    /// The last valid byte.
    pub(super) limit: u32,
}

impl DescriptorTable {
    /// Where the descriptor of `bytes` bytes is, if all of it is within the limit.
    fn place(self, selector: Selector, bytes: u32) -> Result<VirtAddr, Rule> {
        // spec: x86seg-table
        let offset = u32::from(selector.index()) * 8;
        match offset + (bytes - 1) <= self.limit {
            true => Ok(VirtAddr::new(self.base).wrapping_add(offset.into())),
            false => Err(Rule::OutsideTable),
        }
    }
}

impl Context {
    /// Returns the content of the register after the load: a MOV to a data or stack segment register, or a far
    /// jump.
    pub(super) fn load(
        self,
        register: SegmentRegister,
        selector: Selector,
        memory: &mut impl LinearMemory,
    ) -> Result<SegmentState, LoadError> {
        // spec: x86seg-register, x86seg-accessed
        if selector.is_null() {
            self.admit_null(register, selector)?;
            return Ok(SegmentState::null(selector));
        }
        let addr = self.table(selector)?.place(selector, 8)?;
        let descriptor = X86Descriptor(memory.read(addr)?);
        let selector = match register {
            SegmentRegister::Cs => self.admit_code(selector, descriptor)?,
            SegmentRegister::Ss => self.admit_stack(selector, descriptor)?,
            _ => self.admit_data(selector, descriptor)?,
        };
        // Type bits are in byte 5 (3.4.5.1: set "when the segment selector … is loaded").
        if !descriptor.is_accessed() {
            memory.set_bit_0(addr.wrapping_add(5))?;
        }
        Ok(SegmentState::new(selector, descriptor.with_accessed()))
    }

    fn table(self, selector: Selector) -> Result<DescriptorTable, Rule> {
        // spec: x86seg-table
        match selector.is_local() {
            true => self.ldt.ok_or(Rule::OutsideTable),
            false => Ok(self.gdt),
        }
    }

    fn admit_null(self, register: SegmentRegister, selector: Selector) -> Result<(), Rule> {
        // spec: x86seg-null
        let admitted = match register {
            SegmentRegister::Cs => false,
            SegmentRegister::Ss => self.is_64_bit && self.cpl != 3 && selector.rpl() == self.cpl,
            _ => true,
        };
        if admitted { Ok(()) } else { Err(Rule::Null) }
    }

    /// "#GP(selector) If … not a data or readable code segment", or "a data or nonconforming code segment, and …
    /// RPL or CPL > DPL"; "#NP(selector)".
    fn admit_data(self, selector: Selector, held: X86Descriptor) -> Result<Selector, Rule> {
        // spec: x86seg-data
        let conforming = match held.kind() {
            Kind::System(_) => return Err(Rule::System),
            Kind::Code { readable: false, .. } => return Err(Rule::NotReadable),
            Kind::Code { conforming, .. } => conforming,
            Kind::Data { .. } => false,
        };
        if !conforming && selector.rpl().max(self.cpl) > held.dpl() {
            return Err(Rule::DataPrivilege);
        }
        if held.is_present() { Ok(selector) } else { Err(Rule::NotPresent) }
    }

    /// "#GP(selector) If … RPL ≠ CPL or segment is not a writable data segment or DPL ≠ CPL"; "#SS(selector)".
    fn admit_stack(self, selector: Selector, held: X86Descriptor) -> Result<Selector, Rule> {
        // spec: x86seg-stack
        match held.kind() {
            Kind::System(_) => return Err(Rule::System),
            Kind::Data { writable: true, .. } => {}
            _ => return Err(Rule::NotWritable),
        }
        if selector.rpl() != self.cpl || held.dpl() != self.cpl {
            return Err(Rule::StackPrivilege);
        }
        if held.is_present() { Ok(selector) } else { Err(Rule::StackNotPresent) }
    }

    /// JMP, "CONFORMING-CODE-SEGMENT" and "NONCONFORMING-CODE-SEGMENT": the CPL stays, and becomes the RPL.
    fn admit_code(self, selector: Selector, held: X86Descriptor) -> Result<Selector, LoadError> {
        // spec: x86seg-code
        let conforming = match held.kind() {
            Kind::Code { conforming, .. } => conforming,
            Kind::System(kind) if self.is_transfer(kind) => {
                return Err(LoadError::NotModelled("a jump to a gate or task"));
            }
            Kind::System(_) | Kind::Data { .. } => return Err(Rule::NotCode.into()),
        };
        if self.lma && held.is_long() && held.is_big() {
            return Err(Rule::LongAndBig.into());
        }
        let fits = match conforming {
            true => held.dpl() <= self.cpl,
            false => held.dpl() == self.cpl && selector.rpl() <= self.cpl,
        };
        if !fits {
            return Err(Rule::CodePrivilege.into());
        }
        if !held.is_present() {
            return Err(Rule::NotPresent.into());
        }
        Ok(selector.with_rpl(self.cpl))
    }

    /// Returns true if a jump may go to a system descriptor of this type (table 3-2): available TSS, call gate,
    /// task gate; in IA-32e mode a call gate only.
    const fn is_transfer(self, kind: u8) -> bool {
        match self.lma {
            true => kind == 12,
            false => matches!(kind, 1 | 4 | 5 | 9 | 12),
        }
    }

    /// LLDT: the table that a selector names; none for a null one.
    pub(super) fn load_table(
        self,
        selector: Selector,
        memory: &mut impl LinearMemory,
    ) -> Result<Option<DescriptorTable>, LoadError> {
        // spec: x86seg-ldt
        if self.cpl != 0 {
            return Err(Rule::Privileged.into());
        }
        if selector.is_null() {
            return Ok(None);
        }
        if selector.is_local() {
            return Err(Rule::LocalTable.into());
        }
        // In IA-32e mode system descriptors have 16 bytes (3.5.2).
        let addr = self.gdt.place(selector, if self.lma { 16 } else { 8 })?;
        let descriptor = X86Descriptor(memory.read(addr)?);
        let high = if self.lma { memory.read(addr.wrapping_add(8))? } else { 0 };
        let is_table = descriptor.kind() == Kind::System(LDT) && high & LDT_ZEROS == 0;
        if !is_table {
            return Err(Rule::NotATable.into());
        }
        if !descriptor.is_present() {
            return Err(Rule::NotPresent.into());
        }
        let base = u64::from(descriptor.base()) | high << 32;
        Ok(Some(DescriptorTable { base, limit: descriptor.limit() }))
    }
}

/// The type of an LDT's descriptor (table 3-2).
const LDT: u8 = 2;

/// Where the type would be in the upper half of a 16-byte descriptor (figure 8-4 of the chapter on tasks).
const LDT_ZEROS: u64 = 0x1f << 40;
