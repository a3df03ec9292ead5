//! Properties of machine descriptions, and of the bundled ones in particular.

use emmu_paging::{Banks, Geometry, Inclusion, PagingConfig, Reach, format::riscv::RiscVH};
use emmu_property::{TestResult, quickcheck};
use emmu_timing::{Machine, MachineError, PagingFormat, Served};

fn presets() -> impl Iterator<Item = Machine> {
    Machine::presets().map(|name| Machine::preset(name).unwrap())
}

#[test]
fn every_preset_is_called_as_it_calls_itself() {
    assert!(Machine::presets().eq(presets().map(|machine| machine.name)));
}

#[test]
fn the_default_machine_is_the_first_preset() {
    assert_eq!(Machine::presets().next(), Some(Machine::DEFAULT));
}

#[test]
fn every_number_of_every_preset_has_a_source_and_a_confidence() {
    for machine in presets() {
        for (part, provenance) in machine.provenance() {
            let source = provenance.source.as_deref().unwrap_or_default();
            assert!(!source.is_empty(), "{}: {part} has no source", machine.name);
            assert!(provenance.confidence.is_some(), "{}: {part}", machine.name);
        }
    }
}

#[test]
fn every_preset_is_one_that_the_paging_unit_takes() {
    assert!(presets().all(|machine| machine.paging_config().validate() == Ok(())));
}

/// Describes a machine of this format, with TLBs for all of its page sizes and walk caches for all of its
/// levels.
fn machine_of(format: PagingFormat) -> String {
    let sizes = |bits: &u8| match bits / 10 {
        1 => format!("\"{}K\"", 1 << (bits - 10)),
        2 => format!("\"{}M\"", 1 << (bits - 20)),
        3 => format!("\"{}G\"", 1 << (bits - 30)),
        _ => format!("\"{}T\"", 1 << (bits - 40)),
    };
    let sizes: Vec<_> = format.page_bits().iter().map(sizes).collect();
    let levels: Vec<_> = (0..format.levels() - 1).map(|level| level.to_string()).collect();
    format!(
        "name = 'x'\nformat = '{format}'\nmemory = {{ size = '64M', latency = 7 }}\n[tlb.l1]\nlatency = 1\n\
         [[tlb.l1.unified]]\npages = [{}]\nentries = 4\n[walk_cache]\nlatency = 1\n[[walk_cache.tables]]\n\
         levels = [{}]\nentries = 4\n",
        sizes.join(", "),
        levels.join(", ")
    )
}

#[test]
fn machines_of_every_format_can_be_described() {
    let mut hashes: Vec<_> = PagingFormat::ALL
        .iter()
        .map(|&format| {
            let machine = Machine::from_toml("x", &machine_of(format)).unwrap();
            assert_eq!(machine.format, format);
            assert_eq!(machine.paging_config().validate(), Ok(()));
            assert_eq!(Machine::from_toml("x", &machine.to_toml()), Ok(machine.clone()));
            machine.hash()
        })
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), PagingFormat::ALL.len());
}

#[test]
fn skylake_has_the_tlbs_of_its_manual() {
    let config = Machine::preset("skylake-sp").unwrap().paging_config();
    let Banks::Split { instruction, data } = &config.tlb[0].banks else {
        panic!("the first level is split")
    };
    let entries = |bank: &emmu_paging::Bank| -> Vec<_> {
        bank.iter().map(|table| (table.page_bits.clone(), table.geometry.entries())).collect()
    };
    assert_eq!(entries(instruction), [(vec![12], 128), (vec![21], 8)]);
    assert_eq!(entries(data), [(vec![12], 64), (vec![21], 32), (vec![30], 4)]);
    let Banks::Unified(second) = &config.tlb[1].banks else {
        panic!("the second level is unified")
    };
    assert_eq!(entries(second), [(vec![12, 21], 1536), (vec![30], 16)]);
}

#[test]
fn cortex_a53_has_the_tables_of_its_manual() {
    let machine = Machine::preset("cortex-a53").unwrap();
    let config = machine.paging_config();
    let shape = |geometry: Geometry| (geometry.entries(), geometry.ways());
    let Banks::Split { instruction, data } = &config.tlb[0].banks else { panic!("split") };
    assert_eq!([instruction, data].map(|bank| shape(bank[0].geometry)), [(10, 10); 2]);
    let Banks::Unified(main) = &config.tlb[1].banks else { panic!("unified") };
    assert_eq!(shape(main[0].geometry), (512, 4));
    assert_eq!(shape(config.walk_cache[0].geometry), (64, 4));
    let second = machine.second_stage_config();
    assert!(
        matches!(&second.tlb[0].banks, Banks::Unified(bank) if shape(bank[0].geometry) == (64, 4))
    );
}

#[test]
fn the_canonical_form_reads_back_as_the_same_machine() {
    for machine in presets() {
        let text = machine.to_toml();
        assert_eq!(Machine::from_toml("canonical", &text), Ok(machine), "{text}");
    }
}

/// The textbook machine with every part that few machines have.
const NESTED: &str = r#"
[invalid_entries]
entries = 8
replacement = "fifo"
[invalidate]
page_in_asid = "asid"
guest = "all"
source = "me"
confidence = "assumed"
[second_stage.tlb.l1]
latency = 3
[[second_stage.tlb.l1.unified]]
pages = ["4K", "2M"]
entries = 4
[second_stage.tlb.l2]
latency = 9
inclusion = "exclusive"
[[second_stage.tlb.l2.unified]]
pages = ["4K"]
sets = 8
ways = 2
[second_stage.walk_cache]
latency = 5
[[second_stage.walk_cache.tables]]
levels = [0, 1]
entries = 4
[second_stage.invalid_entries]
entries = 2
[second_stage.invalidate]
page = "all"
"#;

fn nested() -> Machine {
    let text = Machine::preset_text("textbook-sv39").unwrap();
    let text = text.replace("[tlb.l2]", "[tlb.l2]\ninclusion = \"exclusive\"");
    let text =
        text.replace("[prices.invalidate]", "[prices.invalidate]\nguest = 70\nsecond_stage = 80");
    Machine::from_toml("nested", &(text + NESTED)).unwrap()
}

#[test]
fn the_canonical_form_has_both_stages() {
    let text = nested().to_toml();
    assert_eq!(Machine::from_toml("canonical", &text), Ok(nested()), "{text}");
}

#[test]
fn all_that_few_machines_have_counts_in_the_hash() {
    let all = nested();
    let changed = |change: fn(&mut Machine)| {
        let mut machine = all.clone();
        change(&mut machine);
        assert_ne!(machine.hash(), all.hash(), "{}", machine.to_toml());
    };
    changed(|machine| machine.stage.tlb[1].inclusion = Inclusion::NonInclusive);
    changed(|machine| machine.stage.invalid_entries = None);
    changed(|machine| machine.stage.reach = Default::default());
    changed(|machine| machine.second_stage = None);
    changed(|machine| machine.second_stage = Some(Default::default()));
    changed(|machine| machine.invalidate.value.guest = 0);
    changed(|machine| machine.invalidate.value.second_stage += 1);
}

#[test]
fn a_source_for_what_is_the_default_changes_no_result() {
    let text = Machine::preset("textbook-sv39").unwrap().to_toml();
    let sourced =
        Machine::from_toml("x", &(text.clone() + "[invalidate]\nsource = \"me\"")).unwrap();
    assert_eq!(sourced.hash(), Machine::from_toml("x", &text).unwrap().hash());
    assert_eq!(Machine::from_toml("x", &sourced.to_toml()), Ok(sourced));
}

#[test]
fn both_stages_are_as_described() {
    let (machine, sizes) = (nested(), |bank: &emmu_paging::Bank| bank[0].page_bits.clone());
    let config = machine.paging_config();
    assert_eq!(config.tlb[1].inclusion, Inclusion::Exclusive);
    assert_eq!(config.reach.page_in_asid, Reach::Asid);
    assert_eq!(config.invalid_entries.map(Geometry::entries), Some(8));
    let second = machine.second_stage_config();
    assert_eq!(second.tlb[1].inclusion, Inclusion::Exclusive);
    assert!(matches!(&second.tlb[0].banks, Banks::Unified(bank) if sizes(bank) == [12, 21]));
    assert_eq!(second.reach.page, Reach::All);
    assert_eq!((second.walk_cache.len(), second.invalid_entries.is_some()), (1, true));
    assert!(RiscVH::rv64().hart(&config, &second).is_ok());
}

#[test]
fn a_machine_without_a_second_stage_caches_nothing_there() {
    let machine = Machine::preset("skylake-sp").unwrap();
    assert_eq!(machine.second_stage_config(), PagingConfig::default());
}

#[test]
fn every_part_of_both_stages_says_where_its_numbers_come_from() {
    let machine = nested();
    let parts: Vec<_> = machine.provenance().into_iter().map(|(part, _)| part).collect();
    for part in [
        "invalid_entries",
        "invalidate",
        "second_stage.tlb.l1",
        "second_stage.tlb.l2.unified[0]",
        "second_stage.walk_cache.tables[0]",
        "second_stage.invalidate",
    ] {
        assert!(parts.iter().any(|known| known == part), "{part} in {parts:?}");
    }
}

#[test]
fn any_words_survive_the_canonical_form() {
    let mut machine = Machine::preset("textbook-sv39").unwrap();
    machine.description = "\"quoted\" 'twice', \\ and\nnew lines\u{7f}\0\"\"\"'''ä".to_owned();
    assert_eq!(Machine::from_toml("canonical", &machine.to_toml()), Ok(machine));
}

#[test]
fn words_and_layout_do_not_change_the_hash() {
    let text =
        "description='x'\nname = 'a'\nformat = \"riscv-sv39\"\n[memory]\nlatency=1\nsize='2M'";
    let same = "# a comment\nformat = 'riscv-sv39'\nname='b'\n[prices]\nsource = 'me'\n\
                [memory]\nsize = 0x20_0000\nlatency = 1\nconfidence='assumed'\n[walker]\ncount = 1";
    let hash = |text| Machine::from_toml("x", text).unwrap().hash();
    assert_eq!(hash(text), hash(same));
    assert_eq!(hash(text).len(), 32);
}

/// The hash is part of published results: it may change only together with the canonical version.
#[test]
fn the_hash_of_a_machine_stays_what_it_is() {
    let hash = Machine::preset("textbook-sv39").unwrap().hash();
    assert_eq!(hash, "d55e716581fc66bc106a59cbe67563d6");
}

#[test]
fn every_number_but_that_of_walkers_counts_in_the_hash() {
    for name in Machine::presets() {
        let text = Machine::preset(name).unwrap().to_toml();
        let hash = |text: &str| Machine::from_toml("x", text).map(|machine| machine.hash());
        for (index, line) in text.lines().enumerate() {
            let Some((key, number)) = line.split_once(" = ") else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines[index] = format!("{key} = {}", number * 2 + u64::from(number == 0));
            // A cache with twice the ways does not always exist; descriptions of those that do not are skipped.
            if let Ok(changed) = hash(&lines.join("\n")) {
                let is_same = Ok(changed) == hash(&text);
                assert_eq!(is_same, key == "count", "{name}: {line}");
            }
        }
    }
}

#[test]
fn all_presets_have_different_hashes() {
    let mut hashes: Vec<_> = presets().map(|machine| machine.hash()).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), Machine::presets().count());
}

#[test]
fn a_machine_needs_neither_tlbs_nor_caches_nor_prices() {
    let text = "name = 'bare'\nformat = 'riscv-sv39'\n[memory]\nsize = '2M'\nlatency = 7";
    let machine = Machine::from_toml("x", text).unwrap();
    assert_eq!(machine.paging_config(), PagingConfig::default());
    assert_eq!((machine.walker.value.count.get(), machine.walker.value.cache), (1, None));
    assert_eq!(machine.prices.value.trap_entry, 0);
}

#[test]
fn cache_levels_are_named_nearest_first() {
    assert_eq!(Served::ALL.map(Served::name), ["l1", "l2", "llc", "memory"]);
}

fn is_one_line(error: &MachineError) -> bool {
    !error.to_string().contains('\n')
}

quickcheck! {
    fn arbitrary_text_is_read_or_refused_in_one_line(text: String) -> bool {
        Machine::from_toml("x", &text).is_ok() || is_one_line(&Machine::from_toml("x", &text).unwrap_err())
    }

    /// Most damage to a good description leaves TOML with another meaning. The reader must accept it or refuse
    /// it in one line.
    fn damaged_descriptions_are_read_or_refused_in_one_line(preset: usize, edits: Vec<(u16, u8)>) -> TestResult {
        let name = Machine::presets().nth(preset % Machine::presets().count()).unwrap();
        let mut text = Machine::preset(name).unwrap().to_toml().into_bytes();
        let letters = b"0123456789-.\"'[]{}=,\n #abcxyzKMG_";
        for (at, letter) in edits {
            let at = usize::from(at) % text.len();
            text[at] = letters[usize::from(letter) % letters.len()];
        }
        match String::from_utf8(text) {
            Ok(text) => TestResult::from_bool(
                Machine::from_toml("x", &text).map_or_else(|error| is_one_line(&error), |_| true),
            ),
            Err(_) => TestResult::discard(),
        }
    }
}
