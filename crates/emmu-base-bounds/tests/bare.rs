//! Tests of the unit that translates nothing.

use emmu_base_bounds::Bare;
use emmu_core::{
    Access, AccessKind, PhysAddr, Privilege, RegisterError, RegisterId, Registers, TranslationUnit,
    VirtAddr,
};
use emmu_property::quickcheck;

fn unit() -> impl TranslationUnit<(), ()> {
    Bare
}

const KINDS: [AccessKind; 4] =
    [AccessKind::Fetch, AccessKind::Load, AccessKind::Store, AccessKind::Amo];

quickcheck! {
    fn every_address_is_the_physical_one_in_every_mode(addr: u64, kind: u8) -> bool {
        let modes = [Privilege::User, Privilege::Supervisor, Privilege::Machine];
        let kind = KINDS[usize::from(kind % 4)];
        modes.into_iter().all(|mode| {
            let access = Access::new(kind, VirtAddr::new(addr), 1).with_privilege(mode);
            let found = unit().translate(access, &mut (), &mut ()).unwrap();
            let to_the_top = (u64::MAX - addr).saturating_add(1);
            assert_eq!(unit().peek(access, &()), Ok(found));
            (found.addr, found.span) == (PhysAddr::new(addr), to_the_top)
        })
    }
}

#[test]
fn there_is_no_register_to_protect() {
    let id = RegisterId(0x10);
    assert!(Bare.registers().is_empty());
    assert_eq!(Bare.read_register(id), Err(RegisterError::Unknown { id }));
    assert_eq!(unit().write_register(id, 0, &mut (), &mut ()), Err(RegisterError::Unknown { id }));
}
