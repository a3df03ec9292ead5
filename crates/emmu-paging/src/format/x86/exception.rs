//! From a fault to the exception that the processor raises.

use super::{Cr4, Efer, X86};
use bitflags::bitflags;
use emmu_core::{Access, AccessFlags, AccessKind, Cause, Fault, Privilege, VirtAddr};

impl X86 {
    /// The exception that a fault raises.
    ///
    /// An address that is not canonical raises #GP(0), or #SS(0) through the stack segment; a refusal of the
    /// bus is a machine check and no page fault; all else is #PF with the error code of SDM 5.7.
    #[must_use]
    pub fn exception(&self, fault: &Fault) -> X86Exception {
        // spec: x86-canonical, x86-machine-check
        match fault.cause {
            Cause::NonCanonical if is_stack_operand(fault.access) => X86Exception::StackFault,
            Cause::NonCanonical => X86Exception::GeneralProtection,
            Cause::Bus(_) | Cause::Protection => X86Exception::MachineCheck,
            cause => X86Exception::PageFault {
                code: self.error_code(fault.access, cause),
                cr2: fault.addr,
            },
        }
    }

    fn error_code(&self, access: Access, cause: Cause) -> PageFaultCode {
        // spec: x86-error-code
        let mut code = PageFaultCode::empty();
        let reports_fetch = self.cr4.contains(Cr4::SMEP)
            || self.efer.contains(Efer::NXE) && self.cr4.contains(Cr4::PAE);
        code.set(PageFaultCode::P, cause != Cause::Absent);
        code.set(PageFaultCode::W, access.kind.writes());
        let user =
            access.privilege == Privilege::User && !access.flags.contains(AccessFlags::IMPLICIT);
        code.set(PageFaultCode::U, user);
        code.set(PageFaultCode::RSVD, cause == Cause::Reserved);
        code.set(PageFaultCode::I, access.kind == AccessKind::Fetch && reports_fetch);
        code.set(PageFaultCode::PK, cause == Cause::ProtectionKey);
        code
    }
}

/// Data through the stack segment; a fetch never is.
fn is_stack_operand(access: Access) -> bool {
    access.flags.contains(AccessFlags::STACK) && access.kind != AccessKind::Fetch
}

bitflags! {
    /// The error code of a page fault.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PageFaultCode: u32 {
        /// The fault was a violation of a present entry.
        const P = 1 << 0;
        /// The access was a write.
        const W = 1 << 1;
        /// The access was made in user mode.
        const U = 1 << 2;
        /// A reserved bit was set.
        const RSVD = 1 << 3;
        /// The access was a fetch (told only with NXE and PAE, or SMEP).
        const I = 1 << 4;
        /// A protection key forbade it.
        const PK = 1 << 5;
    }
}

/// An exception as a processor raises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum X86Exception {
    /// #PF.
    PageFault {
        /// The error code pushed.
        code: PageFaultCode,
        /// The address left in CR2.
        cr2: VirtAddr,
    },
    /// #GP(0).
    GeneralProtection,
    /// #SS(0).
    StackFault,
    /// #MC: nothing answered a physical address.
    MachineCheck,
}
