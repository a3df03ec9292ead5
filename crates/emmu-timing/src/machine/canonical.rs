//! The one way to write a machine down, and the hash of what matters in it.

use super::section::show_bytes;
use super::{Machine, Provenance, Sourced, StageModel, TlbModel};
use emmu_paging::{Geometry, Inclusion, Policy};
use std::fmt::Write;

/// Names the meaning of the canonical text; changes when the same text comes to mean another machine.
const VERSION: &str = "emmu machine 1";

impl Machine {
    /// The description in canonical form: every key, in a fixed order and notation; but what came to be described
    /// after others had been hashed (inclusion, invalid entries, how far invalidations reach, a second stage, prices of
    /// its invalidations) only where it is not the default. It reads back as the same machine, with
    /// [`Machine::from_toml_with`] if replacement policies of your own are in it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = Text { lines: String::new(), sources: true };
        text.string("name", &self.name);
        text.string("description", &self.description);
        text.machine(self);
        text.lines
    }

    /// A hash of everything that has a bearing on results: 32 hexadecimal digits of BLAKE3 over the
    /// canonical form without name, description, sources and confidences. Machines with the same hash
    /// give the same numbers; comments, white space and the order of keys do not count. Neither does the number of
    /// page walkers, as long as no model of time runs two walks at once: every machine is hashed with one.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut text = Text { lines: VERSION.to_owned(), sources: false };
        text.machine(self);
        blake3::hash(text.lines.as_bytes()).to_hex()[..32].to_owned()
    }
}

struct Text {
    lines: String,
    /// True if the text contains sources and confidences.
    sources: bool,
}

impl Text {
    fn machine(&mut self, machine: &Machine) {
        self.string("format", machine.format.name());
        let memory = machine.memory.value;
        self.part("[memory]", &machine.memory, |text| {
            text.string("size", &show_bytes(memory.size));
            text.number("latency", memory.latency);
        });
        self.stage("", &machine.stage);
        if let Some(stage) = &machine.second_stage {
            self.line(format_args!("\n[second_stage]"));
            self.stage("second_stage.", stage);
        }
        self.walker(machine);
        self.caches(machine);
        self.prices(machine);
    }

    fn stage(&mut self, prefix: &str, stage: &StageModel) {
        for (level, tlb) in (1..).zip(&stage.tlb) {
            self.tlb(&format!("{prefix}tlb.l{level}"), tlb);
        }
        self.walk_caches(prefix, stage);
        if let Some(table) = &stage.invalid_entries {
            self.part(&format!("[{prefix}invalid_entries]"), table, |text| {
                text.geometry(table.value);
            });
        }
        self.reach(prefix, stage);
    }

    fn tlb(&mut self, key: &str, tlb: &TlbModel) {
        self.part(&format!("[{key}]"), &tlb.latency, |text| {
            text.number("latency", tlb.latency.value);
            if tlb.inclusion != Inclusion::default() {
                text.string("inclusion", tlb.inclusion.name());
            }
        });
        for (side, bank) in tlb.banks.sides() {
            for table in bank {
                self.part(&format!("[[{key}.{side}]]"), table, |text| {
                    let sizes = table.value.page_bits.iter();
                    text.list("pages", sizes.map(|&bits| format!("\"{}\"", show_bytes(1 << bits))));
                    text.geometry(table.value.geometry);
                });
            }
        }
    }

    fn walk_caches(&mut self, prefix: &str, stage: &StageModel) {
        let Some(caches) = &stage.walk_cache else { return };
        self.part(&format!("[{prefix}walk_cache]"), &caches.latency, |text| {
            text.number("latency", caches.latency.value);
        });
        for table in &caches.tables {
            self.part(&format!("[[{prefix}walk_cache.tables]]"), table, |text| {
                text.list("levels", table.value.levels.iter().map(ToString::to_string));
                text.geometry(table.value.geometry);
            });
        }
    }

    /// Sources of what is the default are written down, but have no bearing.
    fn reach(&mut self, prefix: &str, stage: &StageModel) {
        let Sourced { value, provenance } = &stage.reach;
        let is_sourced = self.sources && *provenance != Provenance::default();
        if *value != Default::default() || is_sourced {
            self.part(&format!("[{prefix}invalidate]"), &stage.reach, |text| {
                for (scope, reach, _) in value.scopes() {
                    text.string(scope, reach.name());
                }
            });
        }
    }

    fn walker(&mut self, machine: &Machine) {
        self.part("[walker]", &machine.walker, |text| {
            text.number("count", text.walkers(machine));
            if let Some(level) = machine.walker.value.cache {
                text.string("cache", level.name());
            }
        });
    }

    /// [`crate::Cycles`], the only model of time, runs one walk after the other, so a hash of results knows one walker.
    const fn walkers(&self, machine: &Machine) -> u32 {
        if self.sources { machine.walker.value.count.get() } else { 1 }
    }

    fn caches(&mut self, machine: &Machine) {
        for (name, cache) in machine.caches.levels() {
            self.part(&format!("[cache.{name}]"), cache, |text| {
                text.string("size", &show_bytes(cache.value.size()));
                text.number("ways", cache.value.geometry().ways());
                text.number("line", cache.value.line());
                text.number("latency", cache.value.latency);
                text.policy(cache.value.geometry().policy());
            });
        }
    }

    fn prices(&mut self, machine: &Machine) {
        let (prices, invalidate) = (machine.prices.value, machine.invalidate.value);
        self.part("[prices]", &machine.prices, |text| {
            text.number("entry_update", prices.entry_update);
            text.number("trap_entry", prices.trap_entry);
            text.number("trap_return", prices.trap_return);
            text.number("register_write", prices.register_write);
        });
        self.part("[prices.invalidate]", &machine.invalidate, |text| {
            text.number("all", invalidate.all);
            text.number("non_global", invalidate.non_global);
            text.number("asid", invalidate.asid);
            text.number("page", invalidate.page);
            text.number("page_in_asid", invalidate.page_in_asid);
            text.number("range", invalidate.range);
            for (key, price) in
                [("guest", invalidate.guest), ("second_stage", invalidate.second_stage)]
            {
                if price != 0 {
                    text.number(key, price);
                }
            }
        });
    }

    fn part<T>(&mut self, header: &str, part: &Sourced<T>, body: impl FnOnce(&mut Self)) {
        self.line(format_args!("\n{header}"));
        body(self);
        if self.sources {
            self.provenance(&part.provenance);
        }
    }

    fn provenance(&mut self, provenance: &Provenance) {
        if let Some(source) = &provenance.source {
            self.string("source", source);
        }
        if let Some(confidence) = provenance.confidence {
            self.string("confidence", confidence.name());
        }
    }

    fn geometry(&mut self, geometry: Geometry) {
        self.number("sets", geometry.sets());
        self.number("ways", geometry.ways());
        self.policy(geometry.policy());
    }

    fn policy(&mut self, policy: Policy) {
        self.string("replacement", policy.name());
        for parameter in policy.parameters() {
            if let Some(value) = parameter.value {
                self.number(parameter.name, value);
            }
        }
    }

    fn number(&mut self, key: &str, number: impl Into<u64>) {
        self.line(format_args!("{key} = {}", number.into()));
    }

    fn list(&mut self, key: &str, values: impl Iterator<Item = String>) {
        self.line(format_args!("{key} = [{}]", values.collect::<Vec<_>>().join(", ")));
    }

    fn string(&mut self, key: &str, text: &str) {
        self.line(format_args!("{key} = {}", toml::Value::from(text)));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.lines, "{line}");
    }
}
