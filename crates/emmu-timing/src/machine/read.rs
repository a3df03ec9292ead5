//! Reads a [`Machine`] from TOML. The keys of each section are listed once, beside the function that reads the
//! section.

use super::read_stage::{second_stage, stage};
use super::section::{Item, Section, Source, one_of, show_bytes};
use super::shape::{MAX_ENTRIES, policy, refuse_ambiguous, refuse_geometry};
use super::{
    CacheError, CacheLevel, CacheModel, Caches, Confidence, InvalidatePrices, Machine,
    MachineError, Memory, PagingFormat, Prices, Provenance, Sourced, Walker,
};
use emmu_paging::Own;
use std::num::NonZeroU32;
use toml::Spanned;

pub(crate) const ROOT: &[&str] = &[
    "name",
    "description",
    "format",
    "memory",
    "tlb",
    "walk_cache",
    "invalid_entries",
    "invalidate",
    "second_stage",
    "walker",
    "cache",
    "prices",
];
pub(crate) const MEMORY: &[&str] = &["size", "latency", "source", "confidence"];
pub(crate) const WALKER: &[&str] = &["count", "cache", "source", "confidence"];
pub(crate) const CACHE: &[&str] = &["l1i", "l1d", "l2", "llc"];
pub(crate) const CACHE_LEVEL: &[&str] =
    &["size", "ways", "line", "latency", "replacement", "source", "confidence"];
pub(crate) const PRICES: &[&str] = &[
    "entry_update",
    "trap_entry",
    "trap_return",
    "register_write",
    "invalidate",
    "source",
    "confidence",
];
pub(crate) const INVALIDATE: &[&str] = &[
    "all",
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

/// The longest latency and highest price, in cycles.
const MAX_CYCLES: u32 = 1_000_000;
const MAX_WALKERS: u32 = 1024;
const CACHE_SIZES: std::ops::RangeInclusive<u64> = 1..=64 << 30;

pub(super) type Read<T> = Result<T, MachineError>;

impl Machine {
    /// Reads a machine description; `docs/src/machines.md` documents every key. `file` is the name that errors
    /// give, as a rule a path.
    ///
    /// # Errors
    /// [`MachineError`], naming the first problem found: text that is no TOML; a key that is unknown,
    /// missing, of the wrong type or out of range.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, MachineError> {
        Self::from_toml_with(file, text, &[])
    }

    /// Reads a machine description that may also name these replacement policies of your own, each by its
    /// [`Replace::name`](emmu_paging::Replace::name).
    ///
    /// ```
    /// use emmu_paging::{Own, Policy, Replace};
    /// use emmu_timing::Machine;
    ///
    /// /// The first way goes.
    /// #[derive(Clone, Debug)]
    /// struct First;
    ///
    /// impl Replace for First {
    ///     fn new(_: usize, _: usize) -> Self {
    ///         Self
    ///     }
    ///     fn hit(&mut self, _: usize, _: usize) {}
    ///     fn filled(&mut self, _: usize, _: usize) {}
    ///     fn victim(&mut self, _: usize) -> usize {
    ///         0
    ///     }
    ///     fn name() -> &'static str {
    ///         "first"
    ///     }
    /// }
    ///
    /// let text = r#"
    ///     name = "mine"
    ///     format = "riscv-sv39"
    ///     memory = { size = "64M", latency = 100 }
    ///     [cache.l1d]
    ///     size = "32K"
    ///     ways = 8
    ///     line = 64
    ///     latency = 4
    ///     replacement = "first"
    /// "#;
    /// let own = [Own::of::<First>()];
    /// let machine = Machine::from_toml_with("mine.toml", text, &own)?;
    /// let cache = machine.caches.l1d.as_ref().map(|cache| cache.value.geometry().policy());
    /// assert_eq!(cache, Some(Policy::own::<First>()));
    /// assert_eq!(Machine::from_toml_with("again.toml", &machine.to_toml(), &own)?, machine);
    ///
    /// let refused = Machine::from_toml("mine.toml", text).unwrap_err();
    /// assert_eq!(
    ///     refused.to_string(),
    ///     "mine.toml:10:19: cache.l1d.replacement: unknown name \"first\" (expected one of \"lru\", \"tree-plru\", \
    ///      \"fifo\", \"random\", \"srrip\", \"nru\", \"drrip\"; only the built-in policies are known here)"
    /// );
    /// # Ok::<(), emmu_timing::MachineError>(())
    /// ```
    ///
    /// # Errors
    /// [`MachineError`], as for [`Machine::from_toml`], and if two policies have the same name.
    pub fn from_toml_with(file: &str, text: &str, own: &[Own]) -> Result<Self, MachineError> {
        refuse_ambiguous(own)?;
        let source = Source { file, text, own };
        let table = source.table()?;
        machine(&Section::root(source, Spanned::get_ref(&table), ROOT)?)
    }
}

fn machine(root: &Section<'_>) -> Read<Machine> {
    let name = name(root)?;
    let description = root.find("description").map(|item| item.text("a sentence")).transpose()?;
    let format = format(root)?;
    let caches = root.find("cache").map(|item| caches(&item)).transpose()?.unwrap_or_default();
    let (prices, invalidate) =
        root.find("prices").map(|item| prices(&item)).transpose()?.unwrap_or_default();
    Ok(Machine {
        name,
        description: description.unwrap_or_default().to_owned(),
        format,
        memory: memory(root, format)?,
        stage: stage(root, format)?,
        second_stage: root
            .find("second_stage")
            .map(|item| second_stage(&item, format))
            .transpose()?,
        walker: walker(root, &caches)?,
        caches,
        prices,
        invalidate,
    })
}

fn name(root: &Section<'_>) -> Read<String> {
    const EXPECTED: &str = "a name of letters, digits, `-`, `_` and `.`";
    let item = root.need("name", EXPECTED)?;
    let text = item.text(EXPECTED)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || !text.chars().all(plain) {
        return Err(item.refuse(format!("{text:?} is no name"), EXPECTED));
    }
    Ok(text.to_owned())
}

fn format(root: &Section<'_>) -> Read<PagingFormat> {
    let names = PagingFormat::ALL.map(|format| (format.name(), format));
    root.need("format", &one_of(&names))?.choice(&names)
}

fn memory(root: &Section<'_>, format: PagingFormat) -> Read<Sourced<Memory>> {
    let section = root.need("memory", "a table with `size` and `latency`")?.section(MEMORY)?;
    let size = section.need("size", "a size such as \"4G\"")?;
    let bytes = size.bytes(format.memory_sizes())?;
    if !bytes.is_multiple_of(format.page()) {
        let expected = format!("a multiple of {}", show_bytes(format.page()));
        return Err(size.refuse(format!("{bytes} bytes are no whole pages"), expected));
    }
    sourced(&section, Memory { size: bytes, latency: latency(&section)? })
}

fn walker(root: &Section<'_>, caches: &Caches) -> Read<Sourced<Walker>> {
    let Some(item) = root.find("walker") else {
        let value = Walker { count: NonZeroU32::MIN, cache: caches.first_for_walks() };
        return Ok(Sourced { value, provenance: Provenance::default() });
    };
    let section = item.section(WALKER)?;
    let count = section.need("count", "the number of page walkers")?;
    let count = count.integer32(1..=MAX_WALKERS, " page walkers")?;
    let cache = section.find("cache").map(|item| walker_cache(&item, caches)).transpose()?;
    let cache = cache.or_else(|| caches.first_for_walks());
    sourced(&section, Walker { count: NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN), cache })
}

fn walker_cache(item: &Item<'_>, caches: &Caches) -> Read<CacheLevel> {
    let level = item.choice(&CacheLevel::ALL.map(|level| (level.name(), level)))?;
    if !caches.has(level) {
        let name = level.name();
        return Err(item.refuse(format!("there is no [cache.{name}]"), "a cache of this machine"));
    }
    Ok(level)
}

fn caches(item: &Item<'_>) -> Read<Caches> {
    let section = item.section(CACHE)?;
    let level = |key| section.find(key).map(|item| cache(&item)).transpose();
    Ok(Caches { l1i: level("l1i")?, l1d: level("l1d")?, l2: level("l2")?, llc: level("llc")? })
}

fn cache(item: &Item<'_>) -> Read<Sourced<CacheModel>> {
    let section = item.section(CACHE_LEVEL)?;
    let size = section.need("size", "a size such as \"32K\"")?;
    let ways = section.need("ways", "the number of ways")?;
    let line = section.need("line", "the line size in bytes")?;
    let made = CacheModel::new(
        size.bytes(CACHE_SIZES)?,
        ways.integer32(1..=MAX_ENTRIES, " ways")?,
        line.integer32(0..=u32::MAX, " bytes")?,
        policy(&section)?,
        latency(&section)?,
    );
    let made = made.map_err(|error| match error {
        CacheError::Line { line: bytes } => {
            line.refuse(format!("{bytes} is no line size"), "a power of two from 8 to 4096")
        }
        CacheError::Sets { size: bytes, ways, line } => size.refuse(
            format!("{bytes} bytes do not make a power of two of sets"),
            format!("a power of two times {ways} ways times {line} bytes"),
        ),
        CacheError::Geometry(error) => refuse_geometry(error, &size, &ways),
    })?;
    sourced(&section, made)
}

fn prices(item: &Item<'_>) -> Read<(Sourced<Prices>, Sourced<InvalidatePrices>)> {
    let section = item.section(PRICES)?;
    let prices = Prices {
        entry_update: price(&section, "entry_update")?,
        trap_entry: price(&section, "trap_entry")?,
        trap_return: price(&section, "trap_return")?,
        register_write: price(&section, "register_write")?,
    };
    let invalidate = section.find("invalidate").map(|item| invalidate(&item)).transpose()?;
    Ok((sourced(&section, prices)?, invalidate.unwrap_or_default()))
}

fn invalidate(item: &Item<'_>) -> Read<Sourced<InvalidatePrices>> {
    let section = item.section(INVALIDATE)?;
    let prices = InvalidatePrices {
        all: price(&section, "all")?,
        non_global: price(&section, "non_global")?,
        asid: price(&section, "asid")?,
        page: price(&section, "page")?,
        page_in_asid: price(&section, "page_in_asid")?,
        range: price(&section, "range")?,
        guest: price(&section, "guest")?,
        second_stage: price(&section, "second_stage")?,
    };
    sourced(&section, prices)
}

fn price(section: &Section<'_>, key: &str) -> Read<u32> {
    section.find(key).map_or(Ok(0), |item| item.integer32(0..=MAX_CYCLES, " cycles"))
}

pub(super) fn latency(section: &Section<'_>) -> Read<u32> {
    let item = section.need("latency", "a number of cycles")?;
    item.integer32(0..=MAX_CYCLES, " cycles")
}

/// Reads every table of an array of tables, each with its source.
pub(super) fn tables<T>(
    item: &Item<'_>,
    keys: &[&str],
    read: impl Fn(&Section<'_>) -> Read<T>,
) -> Read<Vec<Sourced<T>>> {
    let elements = item.elements("an array of tables: write [[…]] instead of […]")?;
    if elements.is_empty() || elements.len() > 64 {
        return Err(item.refuse(format!("has {} tables", elements.len()), "1 to 64 tables"));
    }
    let tables = elements.iter().map(|element| {
        let section = element.section(keys)?;
        sourced(&section, read(&section)?)
    });
    tables.collect()
}

pub(super) fn sourced<T>(section: &Section<'_>, value: T) -> Read<Sourced<T>> {
    let source = section.find("source").map(|item| item.text("who says so")).transpose()?;
    let names = Confidence::ALL.map(|confidence| (confidence.name(), confidence));
    let confidence = section.find("confidence").map(|item| item.choice(&names)).transpose()?;
    Ok(Sourced { value, provenance: Provenance { source: source.map(str::to_owned), confidence } })
}
