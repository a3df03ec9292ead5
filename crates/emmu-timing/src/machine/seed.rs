//! Another seed for everything that is drawn at random.

use super::{Banks, CacheModel, Caches, Machine, Sourced, StageModel};
use emmu_paging::{Geometry, TlbTable};

impl Machine {
    /// Draws the machine's random replacement from other seeds: the seed that the description gives each table,
    /// exclusive-or `seed`. With 0 nothing changes.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        for stage in [&mut self.stage].into_iter().chain(&mut self.second_stage) {
            for geometry in stage.geometries_mut() {
                *geometry = geometry.reseeded(seed);
            }
        }
        for cache in self.caches.levels_mut() {
            cache.value = cache.value.with_geometry(cache.value.geometry().reseeded(seed));
        }
        self
    }
}

impl StageModel {
    fn geometries_mut(&mut self) -> impl Iterator<Item = &mut Geometry> {
        let tlbs = self.tlb.iter_mut().flat_map(|level| level.banks.tables_mut());
        let caches = self.walk_cache.iter_mut().flat_map(|caches| &mut caches.tables);
        let invalid = self.invalid_entries.iter_mut().map(|table| &mut table.value);
        let tlbs = tlbs.map(|table| &mut table.value.geometry);
        tlbs.chain(caches.map(|table| &mut table.value.geometry)).chain(invalid)
    }
}

impl Banks {
    fn tables_mut(&mut self) -> impl Iterator<Item = &mut Sourced<TlbTable>> {
        let (first, second) = match self {
            Self::Split { instruction, data } => (instruction, Some(data)),
            Self::Unified(tables) => (tables, None),
        };
        first.iter_mut().chain(second.into_iter().flatten())
    }
}

impl Caches {
    fn levels_mut(&mut self) -> impl Iterator<Item = &mut Sourced<CacheModel>> {
        [&mut self.l1i, &mut self.l1d, &mut self.l2, &mut self.llc].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use crate::Machine;

    const RANDOM: &str = "replacement = \"random\"\nseed = 5";

    fn machine() -> Machine {
        let text = Machine::preset_text("skylake-sp").unwrap();
        let text = text.replace("replacement = \"lru\"", RANDOM);
        Machine::from_toml("random", &text).unwrap()
    }

    #[test]
    fn a_seed_changes_what_is_drawn_and_so_the_machine() {
        let machine = machine();
        assert_eq!(machine.clone().with_seed(0), machine);
        assert_ne!(machine.clone().with_seed(1).hash(), machine.hash());
        assert_eq!(machine.clone().with_seed(1).with_seed(1), machine);
    }

    #[test]
    fn a_seed_changes_the_second_stage_too() {
        let mut text = Machine::preset_text("textbook-sv39").unwrap().to_owned();
        let table = format!("pages = [\"4K\"]\nentries = 4\n{RANDOM}\n");
        text += &format!(
            "[second_stage.tlb.l1]\nlatency = 1\n[[second_stage.tlb.l1.unified]]\n{table}"
        );
        let machine = Machine::from_toml("random", &text).unwrap();
        assert_ne!(machine.clone().with_seed(1).second_stage, machine.second_stage);
    }

    #[test]
    fn a_seed_changes_nothing_where_nothing_is_random() {
        let machine = Machine::preset(Machine::DEFAULT).unwrap();
        assert_eq!(machine.clone().with_seed(7), machine);
    }
}
