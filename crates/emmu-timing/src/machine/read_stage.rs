//! Reads the TLBs and walk caches of one stage from TOML.

use super::read::{Read, latency, sourced, tables};
use super::section::{Item, Section, parse_bytes, show_bytes};
use super::shape::geometry;
use super::{Banks, PagingFormat, Sourced, StageModel, TlbModel, WalkCacheModel};
use emmu_paging::{
    ConfigError, Geometry, Inclusion, InvalidationReach, PagingConfig, Reach, TlbTable,
    WalkCacheTable,
};

pub(crate) const TLB: &[&str] = &["l1", "l2", "l3"];
pub(crate) const TLB_LEVEL: &[&str] =
    &["latency", "inclusion", "instruction", "data", "unified", "source", "confidence"];
pub(crate) const TLB_TABLE: &[&str] =
    &["pages", "sets", "ways", "entries", "replacement", "source", "confidence"];
pub(crate) const WALK_CACHE: &[&str] = &["latency", "tables", "source", "confidence"];
pub(crate) const WALK_CACHE_TABLE: &[&str] =
    &["levels", "sets", "ways", "entries", "replacement", "source", "confidence"];
pub(crate) const INVALID_ENTRIES: &[&str] =
    &["sets", "ways", "entries", "replacement", "source", "confidence"];
pub(crate) const REACH: &[&str] = &[
    "non_global",
    "asid",
    "page",
    "page_in_asid",
    "range",
    "guest",
    "second_stage",
    "source",
    "confidence",
];
pub(crate) const SECOND_STAGE: &[&str] = &["tlb", "walk_cache", "invalid_entries", "invalidate"];

/// Reads the parts of a section that describe one stage.
pub(super) fn stage(section: &Section<'_>, format: PagingFormat) -> Read<StageModel> {
    let invalid = section.find("invalid_entries").map(|item| invalid_entries(&item, format));
    let walk_caches = section.find("walk_cache").map(|item| walk_cache(&item, format));
    Ok(StageModel {
        tlb: section.find("tlb").map(|item| tlb(&item, format)).transpose()?.unwrap_or_default(),
        walk_cache: walk_caches.transpose()?,
        invalid_entries: invalid.transpose()?,
        reach: section.find("invalidate").map(|item| reach(&item)).transpose()?.unwrap_or_default(),
    })
}

/// Reads the second stage. Its page tables have as many levels, and pages of the same sizes, as those of the
/// first stage.
pub(super) fn second_stage(item: &Item<'_>, format: PagingFormat) -> Read<StageModel> {
    stage(&item.section(SECOND_STAGE)?, format)
}

fn invalid_entries(item: &Item<'_>, format: PagingFormat) -> Read<Sourced<Geometry>> {
    if !format.may_cache_invalid() {
        let problem = format!("{format} does not let invalid entries be remembered");
        return Err(item.refuse(problem, "no such table"));
    }
    let section = item.section(INVALID_ENTRIES)?;
    sourced(&section, geometry(&section)?)
}

fn reach(item: &Item<'_>) -> Read<Sourced<InvalidationReach>> {
    let section = item.section(REACH)?;
    let exact = InvalidationReach::default();
    let of = |key: &str| {
        let possible = exact.scopes().find(|&(scope, ..)| scope == key);
        let names: Vec<_> =
            possible.iter().flat_map(|scope| scope.2).map(|reach| (reach.name(), *reach)).collect();
        section.find(key).map_or(Ok(Reach::Exact), |item| item.choice(&names))
    };
    let reach = InvalidationReach {
        non_global: of("non_global")?,
        asid: of("asid")?,
        page: of("page")?,
        page_in_asid: of("page_in_asid")?,
        range: of("range")?,
        guest: of("guest")?,
        second_stage: of("second_stage")?,
    };
    sourced(&section, reach)
}

fn tlb(item: &Item<'_>, format: PagingFormat) -> Read<Vec<TlbModel>> {
    let section = item.section(TLB)?;
    let mut levels = Vec::new();
    for (index, key) in TLB.iter().enumerate() {
        match section.find(key) {
            Some(_) if levels.len() < index => {
                return Err(section.refuse(
                    TLB[index - 1],
                    "missing",
                    format!("a table, as there is {key}"),
                ));
            }
            Some(item) => {
                let level = tlb_level(&item, &levels, format)?;
                levels.push(level);
            }
            None => {}
        }
    }
    Ok(levels)
}

fn tlb_level(item: &Item<'_>, above: &[TlbModel], format: PagingFormat) -> Read<TlbModel> {
    let section = item.section(TLB_LEVEL)?;
    let bank = |key| section.find(key).map(|item| tlb_tables(&item, format)).transpose();
    let banks = match (bank("unified")?, bank("instruction")?, bank("data")?) {
        (Some(tables), None, None) => Banks::Unified(tables),
        (None, Some(instruction), Some(data)) => Banks::Split { instruction, data },
        (Some(_), _, _) => return Err(item.refuse("both unified and split", BANKS)),
        (None, _, _) => return Err(item.refuse("tables are missing", BANKS)),
    };
    let latency = sourced(&section, latency(&section)?)?;
    let level = TlbModel { latency, inclusion: Inclusion::default(), banks };
    match section.find("inclusion") {
        None => Ok(level),
        Some(item) => included(&item, above, level),
    }
}

/// Reads the relation of a level to the levels above it, and checks that the two can stand together.
fn included(item: &Item<'_>, above: &[TlbModel], level: TlbModel) -> Read<TlbModel> {
    let inclusion = item.choice(&Inclusion::ALL.map(|kind| (kind.name(), kind)))?;
    let level = TlbModel { inclusion, ..level };
    let levels = above.iter().chain([&level]).map(TlbModel::config).collect();
    match (PagingConfig { tlb: levels, ..PagingConfig::default() }).validate() {
        Ok(()) => Ok(level),
        Err(ConfigError::NotIncluded { bits, .. }) => Err(item.refuse(
            format!("pages of {} are above it and not in it", show_bytes(1 << bits)),
            "every page size of the levels above",
        )),
        Err(_) => Err(item.refuse("there is no level above it", "a second or a third level")),
    }
}

const BANKS: &str = "either [[….unified]] or both [[….instruction]] and [[….data]]";

fn tlb_tables(item: &Item<'_>, format: PagingFormat) -> Read<Vec<Sourced<TlbTable>>> {
    let tables = tables(item, TLB_TABLE, |section| {
        Ok(TlbTable { page_bits: pages(section, format)?, geometry: geometry(section)? })
    })?;
    match repeated(tables.iter().flat_map(|table| &table.value.page_bits)) {
        None => Ok(tables),
        Some(bits) => Err(item.refuse(
            format!("pages of {} are in two tables", show_bytes(1 << bits)),
            "each page size in one table of a side",
        )),
    }
}

/// Returns a number that occurs twice. No number is larger than 63.
fn repeated<'a>(mut numbers: impl Iterator<Item = &'a u8>) -> Option<u8> {
    let mut seen = 0_u64;
    let twice = numbers.find(|&&number| {
        let before = seen;
        seen |= 1 << number;
        seen == before
    });
    twice.copied()
}

fn pages(section: &Section<'_>, format: PagingFormat) -> Read<Vec<u8>> {
    let known = format.page_bits().iter().map(|&bits| format!("\"{}\"", show_bytes(1 << bits)));
    let known: Vec<_> = known.collect();
    let expected = format!("page sizes of {format} in ascending order: {}", known.join(", "));
    let item = section.need("pages", &expected)?;
    let mut found = Vec::new();
    for element in item.elements(&expected)? {
        let text = element.text(&expected)?;
        let bytes = parse_bytes(text);
        let bits = format.page_bits().iter().find(|&&bits| bytes == Some(1 << bits));
        let unknown = || element.refuse(format!("unknown page size {text:?}"), &expected);
        found.push(*bits.ok_or_else(unknown)?);
    }
    ascending(&item, found, &expected)
}

fn walk_cache(item: &Item<'_>, format: PagingFormat) -> Read<WalkCacheModel> {
    let section = item.section(WALK_CACHE)?;
    let item = section.need("tables", "at least one [[walk_cache.tables]]")?;
    let tables = tables(&item, WALK_CACHE_TABLE, |section| {
        Ok(WalkCacheTable { levels: levels(section, format)?, geometry: geometry(section)? })
    })?;
    if let Some(level) = repeated(tables.iter().flat_map(|table| &table.value.levels)) {
        let problem = format!("level {level} is in two tables");
        return Err(item.refuse(problem, "each level in one table"));
    }
    Ok(WalkCacheModel { latency: sourced(&section, latency(&section)?)?, tables })
}

fn levels(section: &Section<'_>, format: PagingFormat) -> Read<Vec<u8>> {
    let top = u32::from(format.levels() - 2);
    let expected =
        format!("levels of {format}'s tables below the root in ascending order: 0 to {top}");
    let item = section.need("levels", &expected)?;
    let mut found = Vec::new();
    for element in item.elements(&expected)? {
        found.push(element.integer32(0..=top, ", the level of a table below the root")?);
    }
    let found = found.into_iter().map(|level| level.to_le_bytes()[0]).collect();
    ascending(&item, found, &expected)
}

fn ascending(item: &Item<'_>, found: Vec<u8>, expected: &str) -> Read<Vec<u8>> {
    if found.is_empty() {
        return Err(item.refuse("is empty", expected));
    }
    if !found.is_sorted_by(|a, b| a < b) {
        return Err(item.refuse("is not ascending", expected));
    }
    Ok(found)
}
