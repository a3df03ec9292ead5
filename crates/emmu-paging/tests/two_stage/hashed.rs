//! Hashed page tables at both stages, or behind x86's: references, faults, flags and virtual machines.

use crate::counts::{none, tlb};
use crate::tables::{ABOVE, GPA, GUEST_ROOT, HOST_ROOT, LONG, Machine, Stage, VA};
use emmu_core::{
    Access, AccessFlags, Cause, Fault, Invalidate, PhysAddr, Privilege, VirtAddr, Vmid,
};
use emmu_memory::Memory;
use emmu_paging::{
    Paging, PagingConfig, SecondStageFormat, X86,
    format::{
        Format,
        hashed::{DELETED, HTAB, HTAB2, HashTable, Hashed, HashedSecond, Place, Pte},
        x86::{CR0, CR3, CR4, EFER},
    },
};

/// Both tables have 1024 entries; the guest's is guest-physical.
const GUEST: u64 = 1 << 63 | GUEST_ROOT | 10;
const HOST: u64 = 1 << 63 | HOST_ROOT | 10;

const ALL: Pte = Pte::all().difference(Pte::U);

fn places(htab: u64, page: u64) -> Vec<Place> {
    HashTable::of(htab).unwrap().places(VirtAddr::new(page)).collect()
}

/// The methods of all machines with a hashed second stage.
impl<F: Format, H: SecondStageFormat> Machine<F, H> {
    /// Maps the page by the entry of this probe, behind deleted ones.
    fn map(&mut self, htab: u64, above: u64, (page, frame): (u64, u64), probe: usize, bits: Pte) {
        let places = places(htab, page);
        for place in &places[..probe] {
            self.set(place.addr().raw() + above, DELETED);
        }
        let place = places[probe];
        self.set(place.addr().raw() + above, place.entry(PhysAddr::new(frame), bits));
    }

    fn map_guest(&mut self, probe: usize, bits: Pte) {
        self.map(GUEST, ABOVE, (VA, GPA), probe, bits);
    }

    fn map_host(&mut self, page: u64, probe: usize, bits: Pte) {
        self.map(HOST, 0, (page, page + ABOVE), probe, bits);
    }
}

/// The guest-physical page that holds the guest's entry for [`VA`].
fn entry_page() -> u64 {
    places(GUEST, VA)[0].addr().align_down(12).raw()
}

/// Where the second stage's entry for a page is.
fn host_entry(page: u64) -> u64 {
    places(HOST, page)[0].addr().raw()
}

fn machine(config: &PagingConfig) -> Machine<Hashed, HashedSecond> {
    let unit = Hashed::new().guest(config, &none()).unwrap();
    let registers = [(HTAB2, HOST), (HTAB, GUEST)];
    Machine::new(unit, Memory::ram(1 << 34), AccessFlags::empty(), &registers)
}

/// One page, mapped without collisions, and with all flags set.
fn with_a_page(config: &PagingConfig) -> Machine<Hashed, HashedSecond> {
    let mut machine = machine(config);
    machine.map_guest(0, ALL);
    machine.map_host(entry_page(), 0, ALL);
    machine.map_host(GPA, 0, ALL);
    machine
}

#[test]
fn hash_on_hash_makes_3_references_without_a_collision() {
    let mut machine = with_a_page(&none());
    assert_eq!(machine.reads(VA), 3);
    assert_eq!(machine.load(VA + 0x123), Ok(GPA + 0x123 + ABOVE));
}

#[test]
fn g_collisions_on_h_make_as_many_as_g_levels_on_h_and_one_more_each() {
    for (g, h) in (0..8).flat_map(|g| (0..8).map(move |h| (g, h))) {
        let mut machine = machine(&none());
        machine.map_guest(g, ALL);
        machine.map_host(entry_page(), h, ALL);
        machine.map_host(GPA, h, ALL);
        assert_eq!(machine.reads(VA), (g + 2) * (h + 2) - 1, "{g} on {h}");
    }
}

#[test]
fn four_levels_on_a_hash_make_9_references() {
    let second = Paging::new(HashedSecond::default(), &none()).unwrap();
    let unit = Paging::two_stage(X86::new(40), &none(), second).unwrap();
    let registers =
        [(HTAB2, HOST), (EFER, 1 << 8), (CR4, 1 << 5), (CR3, GUEST_ROOT), (CR0, 1 << 31 | 1)];
    let mut machine = Machine::new(unit, Memory::ram(1 << 34), AccessFlags::empty(), &registers);
    let mut tables = Stage::new(LONG, GUEST_ROOT, 4);
    tables.map(&mut machine.memory, VA, GPA, 0);
    for word in (GUEST_ROOT..tables.next).step_by(8) {
        machine.set(word + ABOVE, machine.get(word));
    }
    for page in (GUEST_ROOT..tables.next).step_by(0x1000).chain([GPA]) {
        machine.map_host(page, 0, ALL);
    }
    assert_eq!(machine.reads(VA), 4 + 5);
    assert_eq!(machine.load(VA), Ok(GPA + ABOVE));
}

/// Cause, guest-physical address, whether it is the walk's, and the rights left there.
fn told(fault: Fault) -> (Cause, u64, bool, u8) {
    let guest = fault.guest.unwrap();
    (fault.cause, guest.addr.raw(), guest.walk, guest.rights)
}

#[test]
fn what_the_second_stage_lacks_is_told_of_the_entry_or_of_the_data() {
    let mut machine = with_a_page(&none());
    machine.set(host_entry(GPA), 0);
    assert_eq!(told(machine.load(VA + 8).unwrap_err()), (Cause::Absent, GPA + 8, false, 0));
    machine.set(host_entry(entry_page()), 0);
    let fault = machine.load(VA).unwrap_err();
    assert_eq!(fault.entry.map(|entry| entry.addr.raw()), Some(host_entry(entry_page())));
    assert_eq!(told(fault), (Cause::Absent, places(GUEST, VA)[0].addr().raw(), true, 0));
}

#[test]
fn a_store_that_the_second_stage_refuses_leaves_the_guest_s_entry_as_it_was() {
    let mut machine = with_a_page(&none());
    machine.map_guest(0, ALL - Pte::A - Pte::D);
    machine.map_host(GPA, 0, ALL - Pte::W);
    let entry = places(GUEST, VA)[0].addr().raw() + ABOVE;
    let before = machine.get(entry);
    assert_eq!(told(machine.store(VA).unwrap_err()), (Cause::ReadOnly, GPA, false, 0b101));
    assert_eq!(machine.get(entry), before);
}

#[test]
fn the_guest_s_walk_dirties_the_page_of_the_entry_whose_flags_it_sets() {
    let mut machine = with_a_page(&none());
    machine.map_guest(0, ALL - Pte::A);
    for page in [entry_page(), GPA] {
        machine.map_host(page, 0, ALL - Pte::A - Pte::D);
    }
    machine.load(VA).unwrap();
    let flags = |page| Pte::from_bits_truncate(machine.get(host_entry(page))) & (Pte::A | Pte::D);
    assert_eq!((flags(entry_page()), flags(GPA)), (Pte::A | Pte::D, Pte::A));
}

#[test]
fn the_user_bit_is_the_first_stage_s() {
    let mut machine = with_a_page(&none());
    let user = Access::load(VirtAddr::new(VA), 8).with_privilege(Privilege::User);
    assert_eq!(machine.translate(user).unwrap_err().guest, None);
    machine.map_guest(0, ALL | Pte::U);
    assert!(machine.translate(user).is_ok());
}

#[test]
fn either_stage_alone_makes_1_reference() {
    let mut machine = with_a_page(&none());
    machine.write(HTAB, 0);
    assert_eq!((machine.reads(GPA), machine.load(GPA)), (1, Ok(GPA + ABOVE)));
    machine.write(HTAB2, 0);
    assert_eq!(machine.load(GPA), Ok(GPA));
    machine.map(GUEST, 0, (VA, GPA), 0, ALL);
    machine.write(HTAB, GUEST);
    assert_eq!((machine.reads(VA), machine.load(VA)), (1, Ok(GPA)));
}

#[test]
fn virtual_machines_are_told_apart_by_their_vmids() {
    let mut machine = with_a_page(&tlb());
    let vm = |number: u64| HOST | number << 40;
    assert_eq!((machine.reads(VA), machine.reads(VA)), (3, 0));
    machine.write(HTAB2, vm(1));
    assert_eq!((machine.reads(VA), machine.reads(VA)), (3, 0));
    // What the host forgets of virtual machine 0 leaves 1.
    let second = Invalidate::SecondStage { tables: Some(0), addr: None, combined: true };
    let first = Invalidate::Guest { vmid: Vmid(0), asid: None, addr: None, keeps_global: false };
    for scope in [second, first] {
        machine.invalidate(scope);
        assert_eq!(machine.reads(VA), 0);
        machine.write(HTAB2, vm(0));
        assert_eq!((machine.reads(VA), machine.reads(VA)), (3, 0));
        machine.write(HTAB2, vm(1));
    }
    // What the guest forgets, it forgets for itself.
    machine.invalidate(Invalidate::All);
    assert_eq!(machine.reads(VA), 3);
    machine.write(HTAB2, vm(0));
    assert_eq!(machine.reads(VA), 0);
    // Without a second stage, nothing of theirs is seen.
    machine.write(HTAB2, 0);
    assert!(machine.load(VA).is_err());
}
