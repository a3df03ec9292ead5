//! Tests of machine descriptions that name a replacement policy of the user's own.

use emmu_paging::{Banks, Geometry, Own, Policy, Replace};
use emmu_timing::{Machine, MachineError};

/// A policy that always evicts way `WAY`.
#[derive(Clone, Debug)]
struct Way<const WAY: usize>;

impl<const WAY: usize> Replace for Way<WAY> {
    fn new(_: usize, _: usize) -> Self {
        Self
    }
    fn hit(&mut self, _: usize, _: usize) {}
    fn filled(&mut self, _: usize, _: usize) {}
    fn victim(&mut self, _: usize) -> usize {
        WAY
    }
    fn name() -> &'static str {
        ["first", "second", "lru"][WAY]
    }
}

/// A policy that has no name but that of its type.
#[derive(Clone, Debug)]
struct Nameless;

impl Replace for Nameless {
    fn new(_: usize, _: usize) -> Self {
        Self
    }
    fn hit(&mut self, _: usize, _: usize) {}
    fn filled(&mut self, _: usize, _: usize) {}
    fn victim(&mut self, _: usize) -> usize {
        0
    }
}

const FIRST: Own = Own::of::<Way<0>>();
const SECOND: Own = Own::of::<Way<1>>();

/// Describes a machine with tables of every kind. The `replacement` of each table is taken from `policies`.
fn text(policies: [&str; 5]) -> String {
    let [tlb, walk_cache, invalid, second_stage, cache] = policies;
    format!(
        r#"
name = "mine"
format = "riscv-sv39"
memory = {{ size = "64M", latency = 100 }}
[tlb.l1]
latency = 0
[[tlb.l1.unified]]
pages = ["4K"]
sets = 4
ways = 2
replacement = "{tlb}"
[walk_cache]
latency = 1
[[walk_cache.tables]]
levels = [0]
entries = 2
replacement = "{walk_cache}"
[invalid_entries]
entries = 2
replacement = "{invalid}"
[second_stage.tlb.l1]
latency = 0
[[second_stage.tlb.l1.unified]]
pages = ["4K"]
entries = 2
replacement = "{second_stage}"
[cache.l2]
size = "32K"
ways = 8
line = 64
latency = 4
replacement = "{cache}"
"#
    )
}

const MIXED: [&str; 5] = ["first", "second", "first", "srrip", "second"];

fn read(text: &str) -> Result<Machine, MachineError> {
    Machine::from_toml_with("x.toml", text, &[FIRST, SECOND])
}

fn policies(machine: &Machine) -> Vec<Policy> {
    let (first, second) = (machine.paging_config(), machine.second_stage_config());
    let tlb = |level: &emmu_paging::TlbLevel| match &level.banks {
        Banks::Unified(bank) => bank[0].geometry,
        Banks::Split { .. } => panic!("unified"),
    };
    let cache = machine.caches.l2.as_ref().unwrap().value.geometry();
    let (walk_cache, invalid) = (first.walk_cache[0].geometry, first.invalid_entries.unwrap());
    let all = [tlb(&first.tlb[0]), walk_cache, invalid, tlb(&second.tlb[0]), cache];
    all.map(Geometry::policy).to_vec()
}

#[test]
fn every_kind_of_table_can_have_one() {
    let (first, second) = (Policy::own::<Way<0>>(), Policy::own::<Way<1>>());
    let machine = read(&text(MIXED)).unwrap();
    assert_eq!(policies(&machine), [first, second, first, Policy::Srrip, second]);
}

#[test]
fn the_canonical_form_names_them_and_reads_back_as_the_same_machine() {
    let machine = read(&text(MIXED)).unwrap();
    let canonical = machine.to_toml();
    assert_eq!(canonical.matches("replacement = \"first\"").count(), 2, "{canonical}");
    assert_eq!(read(&canonical), Ok(machine));
}

#[test]
fn one_without_a_name_of_its_own_reads_back_by_that_of_its_type() {
    let own = [Own::of::<Nameless>()];
    let text = text(["lru", own[0].name(), "lru", "lru", "lru"]);
    let machine = Machine::from_toml_with("x.toml", &text, &own).unwrap();
    assert_eq!(policies(&machine)[1], Policy::own::<Nameless>());
    assert_eq!(Machine::from_toml_with("x.toml", &machine.to_toml(), &own), Ok(machine));
}

#[test]
fn which_one_it_is_counts_in_the_hash() {
    let hash = |policy| read(&text([policy, "lru", "lru", "lru", "lru"])).unwrap().hash();
    assert_ne!(hash("first"), hash("second"));
    assert_ne!(hash("first"), hash("lru"));
}

#[test]
fn an_unknown_name_is_refused_with_all_that_are_known() {
    let refused = read(&text(["third", "lru", "lru", "lru", "lru"])).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "x.toml:11:15: tlb.l1.unified[0].replacement: unknown name \"third\" (expected one of \
         \"lru\", \"tree-plru\", \"fifo\", \"random\", \"srrip\", \"nru\", \"drrip\", \"first\", \"second\")"
    );
}

#[test]
fn a_reader_that_knows_none_says_so() {
    let text = text(["lru", "first", "lru", "lru", "lru"]);
    let refused = Machine::from_toml("x.toml", &text).unwrap_err().to_string();
    assert!(refused.contains("unknown name \"first\""), "{refused}");
    assert!(refused.ends_with("; only the built-in policies are known here)"), "{refused}");
}

#[test]
fn a_policy_of_ones_own_has_no_seed() {
    let seeded = text(["second", "lru", "lru", "lru", "first\"\nseed = \"1"]);
    let refused = read(&seeded).unwrap_err().to_string();
    assert!(refused.contains("first replacement has no seed"), "{refused}");
}

#[test]
fn no_name_may_mean_two_policies() {
    let refused = |own: &[Own]| {
        let error = Machine::from_toml_with("x.toml", &text(["lru"; 5]), own).unwrap_err();
        error.to_string()
    };
    let called = |name| {
        format!(
            "two replacement policies are called `{name}` (expected a name each, and none that is \
             built in)"
        )
    };
    assert_eq!(refused(&[FIRST, SECOND, FIRST]), called("first"));
    assert_eq!(refused(&[Own::of::<Way<2>>()]), called("lru"));
}
