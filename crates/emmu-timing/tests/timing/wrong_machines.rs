//! Every wrong machine description gives one message that names file, line, column and key, and says what was
//! expected.

use emmu_timing::Machine;

const GOOD: &str = r#"name = "mine"
format = "riscv-sv39"

[memory]
size = "64M"
latency = 100

[tlb.l1]
latency = 0
[[tlb.l1.instruction]]
pages = ["4K"]
entries = 8
[[tlb.l1.data]]
pages = ["4K", "2M"]
sets = 16
ways = 4

[walk_cache]
latency = 1
[[walk_cache.tables]]
levels = [0, 1]
entries = 8

[walker]
count = 1

[cache.l1d]
size = "32K"
ways = 8
line = 64
latency = 4

[prices.invalidate]
page = 20
"#;

/// Returns the message for the good description with `old` replaced by `new`.
fn message(old: &str, new: &str) -> String {
    assert_eq!(GOOD.matches(old).count(), 1, "{old:?} must be there once");
    match Machine::from_toml("x.toml", &GOOD.replace(old, new)) {
        Ok(machine) => panic!("accepted: {machine:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_good_description_is_accepted() {
    let machine = Machine::from_toml("x.toml", GOOD).unwrap();
    assert!(machine.paging_config().validate().is_ok());
}

macro_rules! wrong {
    ($($name:ident: $old:literal => $new:literal, $message:literal;)*) => {$(
        #[test]
        fn $name() {
            assert_eq!(message($old, $new), $message);
        }
    )*};
}

wrong! {
    a_key_given_twice: "count = 1" => "count = 1\ncount = 2",
        "x.toml:26:1: not TOML: duplicate key";
    an_unknown_key: "count = 1" => "count = 1\ncuont = 2",
        "x.toml:26:1: walker.cuont: unknown key (expected one of count, cache, source, confidence)";
    an_unknown_section: "[walker]" => "[wlaker]",
        "x.toml:24:2: wlaker: unknown key (expected one of name, description, format, memory, \
         tlb, walk_cache, invalid_entries, invalidate, second_stage, walker, cache, prices)";
    a_misspelt_key_in_a_table_of_an_array: "ways = 4" => "way = 4",
        "x.toml:16:1: tlb.l1.data[0].way: unknown key (expected one of pages, sets, ways, \
         entries, replacement, seed, source, confidence)";
    a_missing_key: "line = 64\n" => "",
        "x.toml:27:1: cache.l1d.line: missing (expected the line size in bytes)";
    a_missing_section: "[memory]\nsize = \"64M\"\nlatency = 100\n" => "",
        "x.toml:1:1: memory: missing (expected a table with `size` and `latency`)";
    a_number_where_a_name_belongs: "format = \"riscv-sv39\"" => "format = 39",
        "x.toml:2:10: format: 39 is an integer (expected one of \"riscv-sv32\", \
         \"riscv-sv39\", \"riscv-sv48\", \"riscv-sv57\", \"x86-32\", \"x86-pae\", \
         \"x86-64-4level\", \"x86-64-5level\", \"aarch64-4k-48\", \"aarch64-16k-48\", \"aarch64-64k-48\")";
    an_unknown_format: "riscv-sv39" => "riscv-sv42",
        "x.toml:2:10: format: unknown name \"riscv-sv42\" (expected one of \"riscv-sv32\", \
         \"riscv-sv39\", \"riscv-sv48\", \"riscv-sv57\", \"x86-32\", \"x86-pae\", \
         \"x86-64-4level\", \"x86-64-5level\", \"aarch64-4k-48\", \"aarch64-16k-48\", \"aarch64-64k-48\")";
    a_name_with_a_space: "name = \"mine\"" => "name = \"my own\"",
        "x.toml:1:8: name: \"my own\" is no name (expected a name of letters, digits, `-`, `_` \
         and `.`)";
    a_string_where_a_number_belongs: "ways = 8" => "ways = \"8\"",
        "x.toml:29:8: cache.l1d.ways: \"8\" is a string (expected an integer from 1 to 16777216 \
         ways)";
    a_fraction: "latency = 4" => "latency = 4.5",
        "x.toml:31:11: cache.l1d.latency: 4.5 is no integer (expected an integer from 0 to \
         1000000 cycles)";
    a_negative_latency: "latency = 100" => "latency = -1",
        "x.toml:6:11: memory.latency: -1 is out of range (expected an integer from 0 to 1000000 \
         cycles)";
    a_number_beyond_64_bits: "latency = 100" => "latency = 99999999999999999999",
        "x.toml:6:11: memory.latency: 99999999999999999999 is out of range (expected an integer \
         from 0 to 1000000 cycles)";
    sets_that_are_no_power_of_two: "sets = 16" => "sets = 100",
        "x.toml:15:8: tlb.l1.data[0].sets: 100 is not a power of two (expected 1, 2, 4, …)";
    zero_sets: "sets = 16" => "sets = 0",
        "x.toml:15:8: tlb.l1.data[0].sets: 0 is out of range (expected an integer from 1 to \
         16777216 sets)";
    zero_ways: "ways = 4" => "ways = 0",
        "x.toml:16:8: tlb.l1.data[0].ways: 0 is out of range (expected an integer from 1 to \
         16777216 ways)";
    zero_entries: "levels = [0, 1]\nentries = 8" => "levels = [0, 1]\nentries = 0",
        "x.toml:22:11: walk_cache.tables[0].entries: 0 is out of range (expected an integer from \
         1 to 16777216 entries)";
    more_entries_than_a_table_holds: "sets = 16" => "sets = 16_777_216",
        "x.toml:16:8: tlb.l1.data[0].ways: 16777216 sets of 4 ways are too many (expected 2^24 \
         entries at most)";
    entries_beside_ways: "sets = 16" => "entries = 16",
        "x.toml:15:11: tlb.l1.data[0].entries: given beside `sets` or `ways` (expected `sets` and \
         `ways`, or `entries` if fully associative)";
    ways_without_sets: "sets = 16\n" => "",
        "x.toml:13:1: tlb.l1.data[0].sets: missing (expected `sets` and `ways`, or `entries` if \
         fully associative)";
    zero_walkers: "count = 1" => "count = 0",
        "x.toml:25:9: walker.count: 0 is out of range (expected an integer from 1 to 1024 page \
         walkers)";
    a_walker_at_a_cache_that_is_not_there: "count = 1" => "count = 1\ncache = \"l2\"",
        "x.toml:26:9: walker.cache: there is no [cache.l2] (expected a cache of this machine)";
    a_zero_line: "line = 64" => "line = 0",
        "x.toml:30:8: cache.l1d.line: 0 is no line size (expected a power of two from 8 to 4096)";
    a_line_that_is_no_power_of_two: "line = 64" => "line = 48",
        "x.toml:30:8: cache.l1d.line: 48 is no line size (expected a power of two from 8 to 4096)";
    a_cache_size_that_its_ways_do_not_divide: "size = \"32K\"" => "size = \"24K\"",
        "x.toml:28:8: cache.l1d.size: 24576 bytes do not make a power of two of sets (expected a \
         power of two times 8 ways times 64 bytes)";
    a_size_that_is_none: "size = \"64M\"" => "size = \"64 megabytes\"",
        "x.toml:5:8: memory.size: \"64 megabytes\" is no size (expected a size from 2M to 256G)";
    too_little_memory: "size = \"64M\"" => "size = \"4K\"",
        "x.toml:5:8: memory.size: \"4K\" is out of range (expected a size from 2M to 256G)";
    more_memory_than_the_format_can_show: "size = \"64M\"" => "size = \"257G\"",
        "x.toml:5:8: memory.size: \"257G\" is out of range (expected a size from 2M to 256G)";
    memory_of_broken_pages: "size = \"64M\"" => "size = 2097153",
        "x.toml:5:8: memory.size: 2097153 bytes are no whole pages (expected a multiple of 4K)";
    memory_of_broken_larger_pages: "format = \"riscv-sv39\"\n\n[memory]\nsize = \"64M\"" => "format = \"aarch64-64k-48\"\n\n[memory]\nsize = \"2052K\"",
        "x.toml:5:8: memory.size: 2101248 bytes are no whole pages (expected a multiple of 64K)";
    more_memory_than_a_32_bit_machine_can_show: "format = \"riscv-sv39\"\n\n[memory]\nsize = \"64M\"" => "format = \"riscv-sv32\"\n\n[memory]\nsize = \"3G\"",
        "x.toml:5:8: memory.size: \"3G\" is out of range (expected a size from 2M to 2G)";
    a_page_size_of_another_granule: "format = \"riscv-sv39\"" => "format = \"aarch64-16k-48\"",
        "x.toml:11:10: tlb.l1.instruction[0].pages[0]: unknown page size \"4K\" (expected page sizes \
         of aarch64-16k-48 in ascending order: \"16K\", \"2M\", \"32M\", \"1G\")";
    an_unknown_page_size: "[\"4K\", \"2M\"]" => "[\"4K\", \"4M\"]",
        "x.toml:14:16: tlb.l1.data[0].pages[1]: unknown page size \"4M\" (expected page sizes of \
         riscv-sv39 in ascending order: \"4K\", \"2M\", \"1G\")";
    page_sizes_out_of_order: "[\"4K\", \"2M\"]" => "[\"2M\", \"4K\"]",
        "x.toml:14:9: tlb.l1.data[0].pages: is not ascending (expected page sizes of riscv-sv39 \
         in ascending order: \"4K\", \"2M\", \"1G\")";
    no_page_sizes: "[\"4K\", \"2M\"]" => "[]",
        "x.toml:14:9: tlb.l1.data[0].pages: is empty (expected page sizes of riscv-sv39 in \
         ascending order: \"4K\", \"2M\", \"1G\")";
    a_page_size_that_is_a_number: "[\"4K\", \"2M\"]" => "[4096]",
        "x.toml:14:10: tlb.l1.data[0].pages[0]: 4096 is an integer (expected page sizes of \
         riscv-sv39 in ascending order: \"4K\", \"2M\", \"1G\")";
    a_page_size_in_two_tables: "ways = 4" => "ways = 4\n[[tlb.l1.data]]\npages = [\"2M\"]\nentries = 8",
        "x.toml:13:1: tlb.l1.data: pages of 2M are in two tables (expected each page size in one \
         table of a side)";
    a_level_in_two_walk_caches: "levels = [0, 1]" => "levels = [0, 1]\nentries = 4\n[[walk_cache.tables]]\nlevels = [1]",
        "x.toml:20:1: walk_cache.tables: level 1 is in two tables (expected each level in one \
         table)";
    a_walk_cache_for_the_root: "levels = [0, 1]" => "levels = [0, 2]",
        "x.toml:21:14: walk_cache.tables[0].levels[1]: 2 is out of range (expected an integer \
         from 0 to 1, the level of a table below the root)";
    an_unknown_replacement: "sets = 16" => "sets = 16\nreplacement = \"plru\"",
        "x.toml:16:15: tlb.l1.data[0].replacement: unknown name \"plru\" (expected one of \
         \"lru\", \"tree-plru\", \"fifo\", \"random\", \"srrip\", \"nru\", \"drrip\"; only the built-in policies are \
         known here)";
    a_tree_that_its_ways_do_not_fill: "ways = 4" => "ways = 12\nreplacement = \"tree-plru\"",
        "x.toml:16:8: tlb.l1.data[0].ways: 12 ways cannot have tree-plru replacement (expected a \
         power of two, 64 at most)";
    sets_that_cannot_duel: "sets = 16" => "sets = 1\nreplacement = \"drrip\"",
        "x.toml:15:8: tlb.l1.data[0].sets: 1 sets cannot have drrip replacement (expected at least 2, as sets duel)";
    a_seed_without_a_draw: "sets = 16" => "sets = 16\nseed = 1",
        "x.toml:16:8: tlb.l1.data[0].seed: lru replacement has no seed (expected no seed, or \
         replacement = one of \"random\", \"drrip\")";
    an_unknown_confidence: "count = 1" => "count = 1\nconfidence = \"sure\"",
        "x.toml:26:14: walker.confidence: unknown name \"sure\" (expected one of \"documented\", \
         \"secondary\", \"unverified\", \"assumed\")";
    one_pair_of_brackets_where_two_belong: "[[tlb.l1.data]]" => "[tlb.l1.data]",
        "x.toml:13:1: tlb.l1.data: is a table (expected an array of tables: write [[…]] instead \
         of […])";
    only_one_side: "[[tlb.l1.data]]\npages = [\"4K\", \"2M\"]" => "[[tlb.l1.instruction]]\npages = [\"2M\"]",
        "x.toml:8:1: tlb.l1: tables are missing (expected either [[….unified]] or both \
         [[….instruction]] and [[….data]])";
    a_unified_and_a_split_side: "[[tlb.l1.data]]" => "[[tlb.l1.unified]]",
        "x.toml:8:1: tlb.l1: both unified and split (expected either [[….unified]] or both \
         [[….instruction]] and [[….data]])";
    a_second_level_without_a_first: "[tlb.l1]\nlatency = 0\n[[tlb.l1.instruction]]\npages = [\"4K\"]\nentries = 8\n[[tlb.l1.data]]" => "[tlb.l2]\nlatency = 0\n[[tlb.l2.unified]]",
        "x.toml:8:2: tlb.l1: missing (expected a table, as there is l2)";
    an_unknown_tlb_level: "[walker]" => "[tlb.l4]\n[walker]",
        "x.toml:24:6: tlb.l4: unknown key (expected one of l1, l2, l3)";
    an_unknown_key_with_a_line_break: "count = 1" => "count = 1\n\"a\\nb\" = 2",
        "x.toml:26:1: walker.a\\nb: unknown key (expected one of count, cache, source, confidence)";
    an_unknown_price: "page = 20" => "pages = 20",
        "x.toml:34:1: prices.invalidate.pages: unknown key (expected one of all, non_global, \
         asid, page, page_in_asid, range, guest, second_stage, source, confidence)";
    a_first_level_that_includes: "[tlb.l1]" => "[tlb.l1]\ninclusion = \"inclusive\"",
        "x.toml:9:13: tlb.l1.inclusion: there is no level above it (expected a second or a third \
         level)";
    an_inclusive_level_without_a_size: "[walk_cache]" => "[tlb.l2]\nlatency = 1\ninclusion = \"inclusive\"\n[[tlb.l2.unified]]\npages = [\"4K\"]\nentries = 8\n[walk_cache]",
        "x.toml:20:13: tlb.l2.inclusion: pages of 2M are above it and not in it (expected every \
         page size of the levels above)";
    an_unknown_inclusion: "[tlb.l1]" => "[tlb.l1]\ninclusion = \"strict\"",
        "x.toml:9:13: tlb.l1.inclusion: unknown name \"strict\" (expected one of \
         \"non-inclusive\", \"inclusive\", \"exclusive\")";
    a_reach_that_is_not_wide_enough: "[walker]" => "[invalidate]\npage = \"asid\"\n[walker]",
        "x.toml:25:8: invalidate.page: unknown name \"asid\" (expected one of \"exact\", \
         \"walk-caches\", \"all\")";
    a_reach_of_everything: "[walker]" => "[invalidate]\nall = \"all\"\n[walker]",
        "x.toml:25:1: invalidate.all: unknown key (expected one of non_global, asid, page, \
         page_in_asid, range, guest, second_stage, source, confidence)";
    invalid_entries_on_x86: "format = \"riscv-sv39\"" => "format = \"x86-64-4level\"\n[invalid_entries]\nentries = 8",
        "x.toml:3:1: invalid_entries: x86-64-4level does not let invalid entries be remembered \
         (expected no such table)";
    invalid_entries_without_a_shape: "[walker]" => "[invalid_entries]\n[walker]",
        "x.toml:24:1: invalid_entries.sets: missing (expected `sets` and `ways`, or `entries` if \
         fully associative)";
    a_walker_of_the_second_stage_alone: "[walker]" => "[second_stage.walker]",
        "x.toml:24:15: second_stage.walker: unknown key (expected one of tlb, walk_cache, \
         invalid_entries, invalidate)";
    a_wrong_number_in_the_second_stage: "[walker]" => "[second_stage.tlb.l1]\nlatency = 1\n[[second_stage.tlb.l1.unified]]\npages = [\"4K\"]\nsets = 3\nways = 1\n[walker]",
        "x.toml:28:8: second_stage.tlb.l1.unified[0].sets: 3 is not a power of two (expected 1, 2, \
         4, …)";
}

#[test]
fn text_that_is_no_toml() {
    let found = message("latency = 100", "latency = ");
    assert!(found.starts_with("x.toml:6:11: not TOML: "), "{found}");
}

#[test]
fn an_empty_description_lacks_a_format() {
    let error = Machine::from_toml("x.toml", "").unwrap_err();
    assert_eq!(
        error.to_string(),
        "x.toml:1:1: name: missing (expected a name of letters, digits, `-`, `_` and `.`)"
    );
}

#[test]
fn an_unknown_preset_names_the_known_ones() {
    let error = Machine::preset("pentium").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no machine is called `pentium` (expected one of skylake-sp, zen-2, sifive-u74, cortex-a53, textbook-sv39, textbook-x86-64)"
    );
}
