//! Snapshots that no machine can have written are refused, by the name of the field; what they must keep is kept.

use emmu_base_bounds::{Bare, BaseBounds};
use emmu_core::{
    Access, AccessFlags, Bus, Chain, PhysAddr, RegisterId, TranslationUnit, VirtAddr, Width,
};
use emmu_cpu::Cpu;
use emmu_memory::Memory;
use emmu_paging::{
    ConfigError, Geometry, Paging, PagingConfig, Policy, RiscV, X86,
    format::riscv::{HGATP, RiscVH, RiscVHart, SATP},
};
use emmu_segmentation::{SegmentTable, Segmentation, Selection, x86::X86Segments};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Returns the error of the snapshot with another value at this place.
fn refusal<T: Serialize + DeserializeOwned>(of: &T, place: &str, value: Value) -> String {
    let mut snapshot = serde_json::to_value(of).unwrap();
    assert!(serde_json::from_value::<T>(snapshot.clone()).is_ok());
    *snapshot.pointer_mut(place).unwrap() = value;
    serde_json::from_value::<T>(snapshot).err().map_or(String::new(), |error| error.to_string())
}

fn segments() -> Segmentation {
    let selection = Selection::Explicit { selector_bits: 2, segments: 3 };
    Segmentation::new(14, selection).unwrap()
}

#[test]
fn segments_that_no_unit_has_are_refused() {
    let refusal = |place, value| refusal(&segments(), place, value);
    assert_eq!(refusal("/epoch", json!(77)), "");
    assert!(refusal("/geometry/address_bits", json!(65)).starts_with("geometry: "));
    assert!(refusal("/geometry/address_bits", json!(2)).starts_with("geometry: "));
    assert!(refusal("/geometry/selection/Explicit/segments", json!(5)).starts_with("geometry: "));
    assert!(refusal("/segments", json!([])).starts_with("segments: not as many"));
    assert!(refusal("/segments/1/bounds", json!(4097)).starts_with("segments: more bytes"));
    assert!(refusal("/segments/1/flags", json!(16)).starts_with("flags: "));
}

#[test]
fn segment_tables_that_no_unit_has_are_refused() {
    let cache = Geometry::fully_associative(4, Policy::Lru).ok();
    let unit = SegmentTable::new(14, 4, cache).unwrap();
    let refusal = |place, value| refusal(&unit, place, value);
    assert_eq!(refusal("/length", json!(16)), "");
    assert!(refusal("/length", json!(17)).starts_with("length: "));
    assert!(refusal("/base", json!(8)).starts_with("base: "));
    assert!(refusal("/geometry/selection", json!("Implicit")).starts_with("geometry: "));
    assert!(refusal("/geometry/address_bits", json!(64)).starts_with("geometry: "));
    // A time that never comes, an entry of the future, a segment that is not in the table.
    assert!(refusal("/cache/current", json!(u64::MAX)).starts_with("cache: "));
    assert!(refusal("/cache/assoc/slots/0/owner", json!(2)).starts_with("cache: "));
    let entry = json!({"owner": 1, "version": 1, "value": {"base": 0, "bounds": 1025, "flags": 1}});
    assert!(refusal("/cache/assoc/slots/0", entry).starts_with("cache: "));
    assert!(refusal("/cache/assoc/slots", json!([])).starts_with("table: "));
}

#[test]
fn x86_segments_that_no_processor_has_are_refused() {
    let refusal = |place, value| refusal(&X86Segments::flat(), place, value);
    assert_eq!(refusal("/lma", json!(true)), "");
    assert!(refusal("/gdt/base", json!(1_u64 << 60)).starts_with("gdt: "));
    assert!(refusal("/gdt/limit", json!(0x1_0000)).starts_with("gdt: "));
    assert!(refusal("/ldtr", json!(8)).starts_with("ldt: "));
}

/// Lets the unit meet an entry of an empty table, and damages the cached copy.
fn damage_to_invalid_entries_is_refused<U>(mut unit: U, register: RegisterId, stage: &str)
where
    U: TranslationUnit<Memory, ()> + Serialize + DeserializeOwned,
{
    let mut memory = Memory::ram(0x8000);
    let access = Access::load(VirtAddr::new(8), 8).with_flags(AccessFlags::GUEST);
    unit.write_register(register, 8 << 60 | 4, &mut memory, &mut ()).unwrap();
    assert!(unit.translate(access, &mut memory, &mut ()).is_err());

    let refusal = |place: &str, value| refusal(&unit, &format!("{stage}{place}"), value);
    let slot = "/invalid/assoc/slots/0";
    assert_eq!(refusal(&format!("{slot}/value/bits"), json!(21)), "");
    let damages = [
        ("/invalid".to_owned(), json!(null)),
        ("/config/invalid_entries".to_owned(), json!(null)),
        ("/config/invalid_entries".to_owned(), json!([2, 2, "Lru"])),
        (format!("{slot}/value/bits"), json!(0)),
        (format!("{slot}/value/bits"), json!(65)),
        (format!("{slot}/owner"), json!(u32::MAX)),
    ];
    for (place, value) in damages {
        let told = refusal(&place, value.clone());
        assert!(told.starts_with("invalid: "), "{place} {value}: {told}");
    }
}

fn remembering_invalid_entries() -> PagingConfig {
    let invalid_entries = Geometry::fully_associative(2, Policy::Lru).ok();
    PagingConfig { invalid_entries, ..PagingConfig::default() }
}

#[test]
fn invalid_entries_that_no_unit_remembers_are_refused() {
    let unit = Paging::new(RiscV::rv64(), &remembering_invalid_entries()).unwrap();
    damage_to_invalid_entries_is_refused(unit, SATP, "");
}

#[test]
fn invalid_entries_that_no_second_stage_remembers_are_refused() {
    let config = remembering_invalid_entries();
    let unit: RiscVHart = RiscVH::rv64().hart(&PagingConfig::default(), &config).unwrap();
    damage_to_invalid_entries_is_refused(unit, HGATP, "/second");
}

#[test]
fn invalid_entries_of_an_architecture_that_forbids_them_are_refused() {
    let unit = Paging::new(X86::new(52), &PagingConfig::default()).unwrap();
    let told = refusal(&unit, "/config/invalid_entries", json!([1, 2, "Lru"]));
    assert_eq!(told, ConfigError::InvalidEntries.to_string());
}

#[test]
fn chains_of_units_with_the_same_registers_are_refused() {
    let chain = Chain::new(Bare, BaseBounds::default()).unwrap();
    assert!(serde_json::to_value(&chain).is_ok());
    let both = json!({"first": BaseBounds::default(), "second": BaseBounds::default()});
    let refused = serde_json::from_value::<Chain<BaseBounds, BaseBounds>>(both).unwrap_err();
    assert!(refused.to_string().starts_with("both units have a register"));
}

#[test]
fn a_reservation_of_more_than_its_bytes_is_refused() {
    let mut cpu = Cpu::new(Bare, Memory::ram(0x1000));
    cpu.load_reserved(VirtAddr::new(8), Width::B2).unwrap();
    let refusal = |value| refusal(&cpu, "/own/reservation/held", value);
    assert_eq!(refusal(json!(0xffff)), "");
    assert!(refusal(json!(0x1_0000)).starts_with("reservation: "));
}

#[test]
fn a_reservation_is_kept() {
    let [reserved, beside] = [8, 16].map(VirtAddr::new);
    let mut cpu = Cpu::new(Bare, Memory::ram(0x1000));
    cpu.load_reserved(reserved, Width::B8).unwrap();
    let text = serde_json::to_string(&cpu).unwrap();
    let read = || serde_json::from_str::<Cpu<Bare, Memory>>(&text).unwrap();

    let mut undisturbed = read();
    undisturbed.store(beside, Width::B8, 1).unwrap();
    assert_eq!(undisturbed.store_conditional(reserved, Width::B8, 1), Ok(true));

    // Of the two stores to the page, the second could go the short path, but must be seen.
    let mut disturbed = read();
    disturbed.store(beside, Width::B8, 1).unwrap();
    disturbed.store(reserved, Width::B8, 0).unwrap();
    assert_eq!(disturbed.store_conditional(reserved, Width::B8, 1), Ok(false));
}

#[test]
fn a_refused_register_is_told_of_in_the_words_of_the_unit_or_in_none() {
    let unit = segments();
    let mut cpu = Cpu::new(unit, Memory::ram(0x1000));
    cpu.install_handler(VirtAddr::ZERO).unwrap();
    let stop = cpu.write_register(emmu_segmentation::flags_register(0), 99).unwrap_err();
    let mut snapshot = serde_json::to_value(&cpu).unwrap();
    let read = |snapshot: &Value| {
        let cpu: Cpu<Segmentation, Memory> = serde_json::from_value(snapshot.clone()).unwrap();
        cpu.trap().and_then(|trap| trap.exception)
    };
    assert_eq!(read(&snapshot), stop.exception());
    let what = "/own/trap/exception/RegisterRefused/Reserved/what";
    *snapshot.pointer_mut(what).unwrap() = json!("a forged reason");
    let told = read(&snapshot).map(|exception| exception.to_string()).unwrap();
    assert_eq!(told, "seg0_flags refuses 0x63: as it did when this was written");
}

#[test]
fn memory_outlives_its_snapshot_byte_for_byte() {
    let mut cpu = Cpu::new(Bare, Memory::ram(1 << 40));
    let far = PhysAddr::new((1 << 40) - 8);
    cpu.bus_mut().write(far, Width::B8, 0x0123_4567_89ab_cdef).unwrap();
    let snapshot = postcard::to_allocvec(&cpu).unwrap();
    assert!(snapshot.len() < 5000, "one frame, and not a terabyte");
    let again: Cpu<Bare, Memory> = postcard::from_bytes(&snapshot).unwrap();
    assert_eq!(again.bus().peek(far, Width::B8), Ok(0x0123_4567_89ab_cdef));
}
