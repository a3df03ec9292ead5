//! Every cause has an exception in every architecture. A new cause is looked up in the manuals, and then added here.

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
        "non_canonical: 13\n\
         walk_disabled: 13\n\
         bounds: 13\n\
         no_segment: 13\n\
         absent: 13\n\
         reserved: 13\n\
         misaligned: 13\n\
         permission: 13\n\
         read_only: 13\n\
         protection_key: 13\n\
         access_flag: 13\n\
         dirty_flag: 13\n\
         address_size: 5\n\
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
        "non_canonical: GeneralProtection\n\
         walk_disabled: #PF 0x05\n\
         bounds: #PF 0x05\n\
         no_segment: #PF 0x05\n\
         absent: #PF 0x04\n\
         reserved: #PF 0x0d\n\
         misaligned: #PF 0x05\n\
         permission: #PF 0x05\n\
         read_only: #PF 0x05\n\
         protection_key: #PF 0x25\n\
         access_flag: #PF 0x05\n\
         dirty_flag: #PF 0x05\n\
         address_size: #PF 0x05\n\
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
        "non_canonical: violation\n\
         walk_disabled: violation\n\
         bounds: violation\n\
         no_segment: violation\n\
         absent: violation\n\
         reserved: misconfiguration\n\
         misaligned: misconfiguration\n\
         permission: violation\n\
         read_only: violation\n\
         protection_key: violation\n\
         access_flag: violation\n\
         dirty_flag: violation\n\
         address_size: violation\n\
         protection: violation\n\
         bus: none\n"
    );
}

#[test]
fn every_cause_has_an_abort_of_aarch64() {
    let aborts = table(|fault| AArch64::new().exception(fault).status.to_string());
    assert_eq!(
        aborts,
        "non_canonical: translation\n\
         walk_disabled: translation\n\
         bounds: translation\n\
         no_segment: translation\n\
         absent: translation\n\
         reserved: translation\n\
         misaligned: translation\n\
         permission: permission\n\
         read_only: permission\n\
         protection_key: permission\n\
         access_flag: access-flag\n\
         dirty_flag: permission\n\
         address_size: address-size\n\
         protection: external-abort-on-walk\n\
         bus: external-abort-on-walk\n"
    );
}

/// A paging unit drops everything for a scope that it does not know. A new scope needs an arm of its own in `invalidate.rs`, in
/// `reach.rs`, and in the `anatomy.rs` of each architecture.
#[test]
fn every_scope_of_an_invalidation_is_known() {
    let known =
        ["all", "non_global", "asid", "page", "page_in_asid", "range", "guest", "second_stage"];
    assert_eq!(Invalidate::NAMES, known);
}
