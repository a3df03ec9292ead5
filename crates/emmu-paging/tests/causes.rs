//! Every cause has an exception in every architecture. Whoever adds a cause looks it up in the manuals, and adds it here.

use emmu_core::{
    Access, AccessKind, Cause, Fault, FaultEntry, GuestAccess, Invalidate, PhysAddr, Privilege,
    VirtAddr,
};
use emmu_paging::format::x86::{Ept, VmExit, X86Exception};
use emmu_paging::{AArch64, RiscV, X86};

/// A user load, refused by an entry for this cause.
fn fault(cause: Cause) -> Fault {
    let access = Access::load(VirtAddr::new(0x1000), 8).with_privilege(Privilege::User);
    let entry = FaultEntry { level: 0, addr: PhysAddr::new(0x8008), raw: Some(1) };
    Fault::new(access, cause).with_entry(entry)
}

/// The exception of each cause, one a line.
fn table(exception: impl Fn(&Fault) -> String) -> String {
    let line = |cause: &Cause| format!("{}: {}\n", cause.name(), exception(&fault(*cause)));
    Cause::ALL.iter().map(line).collect()
}

#[test]
fn every_cause_has_an_exception_of_risc_v() {
    let exceptions = table(|fault| RiscV::rv64().exception(fault).cause.to_string());
    assert_eq!(
        exceptions,
        "non-canonical: 13\n\
         walk-disabled: 13\n\
         bounds: 13\n\
         no-segment: 13\n\
         absent: 13\n\
         reserved: 13\n\
         misaligned: 13\n\
         permission: 13\n\
         read-only: 13\n\
         protection-key: 13\n\
         access-flag: 13\n\
         dirty-flag: 13\n\
         address-size: 5\n\
         protection: 5\n\
         bus: 5\n"
    );
}

#[test]
fn every_cause_has_an_exception_of_x86() {
    let exceptions = table(|fault| match X86::default().exception(fault) {
        X86Exception::PageFault { code, .. } => format!("#PF {:#04x}", code.bits()),
        other => format!("{other:?}"),
    });
    assert_eq!(
        exceptions,
        "non-canonical: GeneralProtection\n\
         walk-disabled: #PF 0x05\n\
         bounds: #PF 0x05\n\
         no-segment: #PF 0x05\n\
         absent: #PF 0x04\n\
         reserved: #PF 0x0d\n\
         misaligned: #PF 0x05\n\
         permission: #PF 0x05\n\
         read-only: #PF 0x05\n\
         protection-key: #PF 0x25\n\
         access-flag: #PF 0x05\n\
         dirty-flag: #PF 0x05\n\
         address-size: #PF 0x05\n\
         protection: MachineCheck\n\
         bus: MachineCheck\n"
    );
}

#[test]
fn every_cause_of_the_second_stage_has_a_vm_exit() {
    let guest =
        GuestAccess { addr: PhysAddr::new(0x3000), kind: AccessKind::Load, walk: false, rights: 0 };
    let exits = table(|fault| match Ept::exit(&fault.with_guest(guest)) {
        Some(VmExit::EptViolation { .. }) => "violation".to_owned(),
        Some(VmExit::EptMisconfiguration { .. }) => "misconfiguration".to_owned(),
        None => "none".to_owned(),
    });
    assert_eq!(
        exits,
        "non-canonical: violation\n\
         walk-disabled: violation\n\
         bounds: violation\n\
         no-segment: violation\n\
         absent: violation\n\
         reserved: misconfiguration\n\
         misaligned: misconfiguration\n\
         permission: violation\n\
         read-only: violation\n\
         protection-key: violation\n\
         access-flag: violation\n\
         dirty-flag: violation\n\
         address-size: violation\n\
         protection: violation\n\
         bus: none\n"
    );
}

#[test]
fn every_cause_has_an_abort_of_aarch64() {
    let aborts = table(|fault| AArch64::new().exception(fault).status.to_string());
    assert_eq!(
        aborts,
        "non-canonical: translation\n\
         walk-disabled: translation\n\
         bounds: translation\n\
         no-segment: translation\n\
         absent: translation\n\
         reserved: translation\n\
         misaligned: translation\n\
         permission: permission\n\
         read-only: permission\n\
         protection-key: permission\n\
         access-flag: access-flag\n\
         dirty-flag: permission\n\
         address-size: address-size\n\
         protection: external-abort-on-walk\n\
         bus: external-abort-on-walk\n"
    );
}

/// A paging unit drops everything for a scope that it does not know. Whoever adds a scope says in `forget.rs` and `reach.rs`
/// how much less is enough.
#[test]
fn every_scope_of_an_invalidation_is_known() {
    let known =
        ["all", "non-global", "asid", "page", "page-in-asid", "range", "guest", "second-stage"];
    assert_eq!(Invalidate::NAMES, known);
}
