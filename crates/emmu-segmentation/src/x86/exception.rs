//! From a refusal to the exception that the processor raises.

use super::{Rule, SegmentRegister, Selector, X86Segments};
use core::fmt;
use emmu_core::{Cause, Fault, RegisterError};

/// Which exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vector {
    /// #NP, vector 11: the segment is not present.
    NotPresent,
    /// #SS, vector 12: a limit of the stack segment, or a stack segment that is not present.
    StackFault,
    /// #GP, vector 13: everything else.
    GeneralProtection,
}

impl Vector {
    /// Its number in the interrupt descriptor table.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::NotPresent => 11,
            Self::StackFault => 12,
            Self::GeneralProtection => 13,
        }
    }
}

/// An exception that segmentation raises, as the processor pushes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SegmentException {
    /// Which one.
    pub vector: Vector,
    /// The error code: the selector without its RPL, or 0. EXT is not set.
    pub code: u16,
}

impl fmt::Display for SegmentException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.vector {
            Vector::NotPresent => "#NP",
            Vector::StackFault => "#SS",
            Vector::GeneralProtection => "#GP",
        };
        write!(f, "{name}({:#x})", self.code)
    }
}

impl SegmentException {
    /// The exception of a refused load of a segment register or the LDTR (Intel SDM Vol. 2, MOV, JMP, LLDT,
    /// "Protected Mode Exceptions").
    #[must_use]
    pub const fn of_rule(rule: Rule, selector: Selector) -> Self {
        // spec: x86seg-error-code
        let (vector, code) = match rule {
            Rule::Null | Rule::Privileged => (Vector::GeneralProtection, 0),
            Rule::NotPresent => (Vector::NotPresent, selector.error_code()),
            Rule::StackNotPresent => (Vector::StackFault, selector.error_code()),
            Rule::OutsideTable
            | Rule::System
            | Rule::NotWritable
            | Rule::NotReadable
            | Rule::NotCode
            | Rule::StackPrivilege
            | Rule::DataPrivilege
            | Rule::CodePrivilege
            | Rule::LongAndBig
            | Rule::LocalTable
            | Rule::NotATable => (Vector::GeneralProtection, selector.error_code()),
        };
        Self { vector, code }
    }

    /// The exception of a register write that [`X86Segments`] refused. `None` if the write does not fault, or faults
    /// on the way to the descriptor: [`RegisterError::Fault`] is then the paging unit's to explain.
    #[must_use]
    pub fn of_write(error: &RegisterError) -> Option<Self> {
        match *error {
            RegisterError::Reserved { value, what, .. } => Some(match Rule::of_text(what) {
                Some(rule) => Self::of_rule(rule, Selector::of_register(value)),
                None => Self { vector: Vector::GeneralProtection, code: 0 },
            }),
            RegisterError::Unknown { .. }
            | RegisterError::NotModelled { .. }
            | RegisterError::Bus { .. }
            | RegisterError::Fault(_) => None,
        }
    }
}

impl X86Segments {
    /// The exception that a refused access raises, if it was refused here and not by a unit behind; to be asked
    /// in the state that refused it.
    ///
    /// Null selectors, limits and types alike raise #SS(0) through the stack segment and #GP(0) through others.
    #[must_use]
    pub fn exception(&self, fault: &Fault) -> Option<SegmentException> {
        // spec: x86seg-error-code
        let own = match fault.cause {
            Cause::Bounds | Cause::NoSegment => true,
            // Pages deny permission too.
            Cause::Permission => self.linear(fault.access).is_err(),
            // Of paging behind, or of the bus.
            _ => false,
        };
        let vector = match SegmentRegister::of(fault.access) {
            SegmentRegister::Ss => Vector::StackFault,
            _ => Vector::GeneralProtection,
        };
        own.then_some(SegmentException { vector, code: 0 })
    }
}
