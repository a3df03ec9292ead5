//! The translation unit.

#[cfg(feature = "serde")]
mod snapshot;

use super::check::{Violation, check};
use super::linear::Linear;
use super::load::{Context, DescriptorTable, LoadError, Rule};
use super::register::{self, FS_BASE, GDTR_BASE, GDTR_LIMIT, GS_BASE, LDTR, LMA};
use super::{SegmentRegister, SegmentState, Selector, X86Descriptor};
use emmu_core::{
    Access, Bus, Fault, Invalidate, PhysAddr, Probe, RegisterError, RegisterId, RegisterInfo,
    Registers, Translation, TranslationUnit, is_sign_extended, low_mask,
};

/// The segment registers of an x86 logical processor, and what they make of an address: a logical address (the
/// offset, with flags that say through which register) becomes a linear one.
///
/// Data accesses are made through DS, or through the register that [`AccessFlags`](emmu_core::AccessFlags) name:
/// `STACK`, `CS`, `ES`, `FS`, `GS`; fetches through CS. All bytes of data must be within the limit before the first
/// one is translated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "snapshot::Read"))]
pub struct X86Segments {
    /// By number of the register.
    segments: [SegmentState; 6],
    gdt: DescriptorTable,
    ldtr: Selector,
    ldt: Option<DescriptorTable>,
    lma: bool,
}

impl Default for X86Segments {
    fn default() -> Self {
        Self::flat()
    }
}

impl X86Segments {
    /// Protected mode as boot loaders leave it: CPL 0, CS is 8 and all others are 16, all of them from 0 to 4 GiB.
    /// There are no descriptor tables yet.
    #[must_use]
    pub fn flat() -> Self {
        let data = SegmentState::new(Selector(16), X86Descriptor::FLAT_DATA);
        let mut segments = [data; 6];
        segments[SegmentRegister::Cs as usize] =
            SegmentState::new(Selector(8), X86Descriptor::FLAT_CODE);
        Self { segments, gdt: DescriptorTable::default(), ldtr: Selector(0), ldt: None, lma: false }
    }

    /// A segment register with its hidden part.
    #[must_use]
    pub const fn segment(&self, register: SegmentRegister) -> &SegmentState {
        &self.segments[register as usize]
    }

    /// Puts something into a segment register without any check, as the processor does when it delivers an
    /// exception, returns from one, or enters a virtual machine. What goes into CS decides the CPL.
    pub const fn set_segment(&mut self, register: SegmentRegister, state: SegmentState) {
        self.segments[register as usize] = state;
    }

    /// The current privilege level, 0 to 3: the RPL of CS.
    #[must_use]
    pub const fn cpl(&self) -> u8 {
        self.segment(SegmentRegister::Cs).selector.rpl()
    }

    /// Returns true in 64-bit mode: IA-32e mode with 64-bit code (Intel SDM Vol. 3A, "Code-Segment Descriptor
    /// in 64-bit Mode").
    #[must_use]
    pub fn is_64_bit(&self) -> bool {
        self.lma && self.segment(SegmentRegister::Cs).is_long_code()
    }

    /// The linear address of an access's first byte, and how far it goes on from there: what a translation says,
    /// and if there is none, why.
    ///
    /// # Errors
    /// The [`Violation`]; in 64-bit mode there are none.
    #[inline]
    pub fn linear(&self, access: Access) -> Result<(u64, u64), Violation> {
        let register = SegmentRegister::of(access);
        match self.is_64_bit() {
            true => Ok(self.linear_64(register, access.addr.raw())),
            false => check(self.segment(register), access),
        }
    }

    /// In 64-bit mode only FS and GS have bases, sums wrap, and nothing is checked (Intel SDM Vol. 3A, 3.2.4,
    /// 3.4.4). That the address is canonical is the paging unit's to check.
    fn linear_64(&self, register: SegmentRegister, offset: u64) -> (u64, u64) {
        // spec: x86seg-64bit
        let base = match register {
            SegmentRegister::Fs | SegmentRegister::Gs => self.segment(register).base,
            _ => 0,
        };
        let linear = base.wrapping_add(offset);
        (linear, (u64::MAX - linear.max(offset)).saturating_add(1))
    }

    fn answer(&self, access: Access) -> Result<Translation, Fault> {
        let (linear, span) = self.linear(access).map_err(|violation| {
            let fault = Fault::new(access, violation.cause());
            match violation {
                Violation::Limit { offset } => Fault { addr: offset, ..fault },
                Violation::Null | Violation::Type => fault,
            }
        })?;
        Ok(Translation::new(PhysAddr::new(linear), span))
    }

    fn context(&self) -> Context {
        Context {
            cpl: self.cpl(),
            lma: self.lma,
            is_64_bit: self.is_64_bit(),
            gdt: self.gdt,
            ldt: self.ldt,
        }
    }

    fn write<B: Bus + ?Sized, P: Probe + ?Sized>(
        &mut self,
        id: RegisterId,
        value: u64,
        memory: &mut Linear<'_, B, P>,
    ) -> Result<(), RegisterError> {
        let name = register::REGISTERS.iter().find(|info| info.id == id).map(|info| info.name);
        let name = name.ok_or(RegisterError::Unknown { id })?;
        let refuse = |what| Err(RegisterError::Reserved { name, value, what });
        if let Some(register) = SegmentRegister::of_id(id) {
            let loaded = self.context().load(register, Selector::of_register(value), memory);
            self.set_segment(register, loaded.map_err(|error| error.of(name, value))?);
            return Ok(());
        }
        match id {
            LDTR => {
                let selector = Selector::of_register(value);
                let loaded = self.context().load_table(selector, memory);
                self.ldt = loaded.map_err(|error| error.of(name, value))?;
                self.ldtr = selector;
            }
            GDTR_BASE if !self.lma && value > low_mask(32) => {
                return refuse(WIDE);
            }
            GDTR_BASE | FS_BASE | GS_BASE if !is_sign_extended(value, 57) => {
                return refuse(NOT_CANONICAL);
            }
            GDTR_BASE => self.gdt.base = value,
            FS_BASE => self.segments[SegmentRegister::Fs as usize].base = value,
            GS_BASE => self.segments[SegmentRegister::Gs as usize].base = value,
            GDTR_LIMIT => match u16::try_from(value) {
                Ok(limit) => self.gdt.limit = limit.into(),
                Err(_) => return refuse(LIMIT),
            },
            _ => match value {
                0 | 1 => self.lma = value == 1,
                _ => return refuse(NO_BIT),
            },
        }
        Ok(())
    }

    fn linear_mask(&self) -> u64 {
        if self.lma { u64::MAX } else { low_mask(32) }
    }
}

const WIDE: &str = "linear addresses have 32 bits";
const NOT_CANONICAL: &str = "the address is not canonical";
const LIMIT: &str = "the limit has 16 bits";
const NO_BIT: &str = "0 or 1";

impl LoadError {
    fn of(self, name: &'static str, value: u64) -> RegisterError {
        match self {
            Self::Rule(rule) => RegisterError::Reserved { name, value, what: rule.text() },
            Self::Memory(fault) => RegisterError::Fault(fault),
            Self::NotModelled(what) => RegisterError::NotModelled { name, value, what },
        }
    }
}

impl Registers for X86Segments {
    fn registers(&self) -> &'static [RegisterInfo] {
        &register::REGISTERS
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        if let Some(register) = SegmentRegister::of_id(id) {
            return Ok(self.segment(register).selector.0.into());
        }
        match id {
            LDTR => Ok(self.ldtr.0.into()),
            GDTR_BASE => Ok(self.gdt.base),
            GDTR_LIMIT => Ok(self.gdt.limit.into()),
            LMA => Ok(self.lma.into()),
            FS_BASE => Ok(self.segment(SegmentRegister::Fs).base),
            GS_BASE => Ok(self.segment(SegmentRegister::Gs).base),
            _ => Err(RegisterError::Unknown { id }),
        }
    }

    fn known_reason(&self, words: &str) -> Option<&'static str> {
        let others = [WIDE, NOT_CANONICAL, LIMIT, NO_BIT];
        let known = Rule::ALL.into_iter().map(Rule::text).chain(others);
        known.into_iter().find(|known| *known == words)
    }
}

impl<B: Bus + ?Sized, P: Probe + ?Sized> TranslationUnit<B, P> for X86Segments {
    #[inline]
    fn translate(&mut self, access: Access, _: &mut B, _: &mut P) -> Result<Translation, Fault> {
        self.answer(access)
    }

    fn peek(&self, access: Access, _: &B) -> Result<Translation, Fault> {
        self.answer(access)
    }

    /// Loads a segment register where linear addresses are physical: no paging is behind.
    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        bus: &mut B,
        probe: &mut P,
    ) -> Result<(), RegisterError> {
        let mask = self.linear_mask();
        self.write(id, value, &mut Linear { behind: None, bus, probe, mask })
    }

    fn write_register_before(
        &mut self,
        id: RegisterId,
        value: u64,
        behind: &mut dyn TranslationUnit<B, P>,
        bus: &mut B,
        probe: &mut P,
    ) -> Result<(), RegisterError> {
        let mask = self.linear_mask();
        self.write(id, value, &mut Linear { behind: Some(behind), bus, probe, mask })
    }

    /// Nothing: hidden parts of segment registers stay until they are loaded again.
    fn invalidate(&mut self, _: Invalidate) {}
}
