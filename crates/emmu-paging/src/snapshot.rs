//! Units in snapshots: with all that they remember, so that a unit read back goes on as the one written would.

use crate::{
    Assoc, Banks, Owner, Paging, PagingConfig, TlbTable, format::Format, invalid::InvalidEntries,
    owner::Owners, second::SecondStage, tlb::Cached, unit::Rights, walk_cache::Pointer,
};
use alloc::vec::Vec;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// More register writes and flushes than a unit lives to see.
const END_OF_EPOCHS: u64 = 1 << 62;

type TlbEntries<F, S> = Assoc<Cached<Rights<F, S>>>;
type WalkCacheEntries<F> = Assoc<Pointer<<F as Format>::Permissions>>;

/// The snapshot as it is written.
#[derive(Serialize)]
#[serde(
    rename = "Paging",
    bound = "F: Serialize, F::Permissions: Serialize, S: Serialize, S::Permissions: Serialize"
)]
struct Shown<'a, F: Format, S: SecondStage> {
    format: &'a F,
    second: &'a S,
    config: &'a PagingConfig,
    tlbs: Vec<(&'a TlbEntries<F, S>, bool)>,
    walk_caches: Vec<&'a WalkCacheEntries<F>>,
    invalid: &'a Option<InvalidEntries>,
    owners: &'a Owners,
    epoch: u64,
}

/// The snapshot as it is read. It may hold anything, so its values are checked.
#[derive(Deserialize)]
#[serde(
    rename = "Paging",
    bound = "F: Deserialize<'de>, F::Permissions: Deserialize<'de>, \
             S: Deserialize<'de>, S::Permissions: Deserialize<'de>"
)]
struct Read<F: Format, S: SecondStage> {
    format: F,
    second: S,
    config: PagingConfig,
    /// The tables, and whether they have ever held parts of leaves.
    tlbs: Vec<(TlbEntries<F, S>, bool)>,
    walk_caches: Vec<WalkCacheEntries<F>>,
    invalid: Option<InvalidEntries>,
    owners: Owners,
    epoch: u64,
}

impl<F, S> Serialize for Paging<F, S>
where
    F: Format<Permissions: Serialize> + Serialize,
    S: SecondStage<Permissions: Serialize> + Serialize,
{
    fn serialize<R: Serializer>(&self, serializer: R) -> Result<R::Ok, R::Error> {
        let shown = Shown {
            format: &self.format,
            second: &self.second,
            config: &self.config,
            tlbs: self.tlbs.assocs().collect(),
            walk_caches: self.walk_caches.assocs().collect(),
            invalid: &self.invalid,
            owners: &self.owners,
            epoch: self.epoch,
        };
        shown.serialize(serializer)
    }
}

impl<'de, F, S> Deserialize<'de> for Paging<F, S>
where
    F: Format<Permissions: Deserialize<'de>> + Deserialize<'de>,
    S: SecondStage<Permissions: Deserialize<'de>> + Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        read.config.validate_for::<F>().map_err(D::Error::custom)?;
        read.check().map_err(D::Error::custom)?;
        Ok(read.restored())
    }
}

impl<F: Format, S: SecondStage> Read<F, S> {
    /// Built anew as its configuration says, with what it remembered.
    fn restored(self) -> Paging<F, S> {
        let Self { format, mut second, config, tlbs, walk_caches, invalid, owners, epoch } = self;
        second.stand_behind();
        let mut unit = Paging::build(format, second, &config);
        unit.tlbs.restore(tlbs);
        unit.walk_caches.restore(walk_caches);
        (unit.invalid, unit.owners, unit.epoch) = (invalid, owners, epoch);
        unit
    }

    /// Checks that a unit of this configuration, which is a valid one, can have this state.
    fn check(&self) -> Result<(), &'static str> {
        let tables: Vec<&TlbTable> = tables(&self.config).collect();
        let shapes = tables.iter().map(|table| table.geometry);
        if !shapes.eq(self.tlbs.iter().map(|(held, _)| held.geometry())) {
            return Err("tlbs: not those of the configuration");
        }
        let shapes = self.config.walk_cache.iter().map(|table| table.geometry);
        if !shapes.eq(self.walk_caches.iter().map(Assoc::geometry)) {
            return Err("walk_caches: not those of the configuration");
        }
        if self.epoch >= END_OF_EPOCHS {
            return Err("epoch: a number that no unit comes to");
        }
        let is_sound = |(table, (held, has_parts)): (&&TlbTable, &(TlbEntries<F, S>, bool))| {
            let is_known = |held: &Cached<_>| *has_parts || held.bits == held.permissions.leaf;
            held.entries().all(|(_, owner, held)| {
                self.is_given(owner) && is_mapping(table, held) && is_known(held)
            })
        };
        if !tables.iter().zip(&self.tlbs).all(is_sound) {
            return Err("tlbs: an entry that is not of its table");
        }
        let mut caches = self.config.walk_cache.iter().zip(&self.walk_caches);
        let is_sound = |levels: &[u8], owner, pointer: &Pointer<F::Permissions>| {
            let is_pointer = levels.contains(&pointer.level) && (1..=64).contains(&pointer.bits);
            is_pointer && self.is_given(owner)
        };
        if !caches.all(|(table, held)| {
            held.entries().all(|(_, owner, held)| is_sound(&table.levels, owner, held))
        }) {
            return Err("walk_caches: an entry that is not of its table");
        }
        let invalid = self.invalid.as_ref();
        let shape = invalid.map(|invalid| invalid.checked(|owner| self.is_given(owner)));
        if shape != self.config.invalid_entries.map(Some) {
            return Err("invalid: not what the configuration has, or an entry that cannot be");
        }
        Ok(())
    }

    fn is_given(&self, owner: Owner) -> bool {
        self.owners.has_given(owner)
    }
}

/// All tables of TLBs, in the order in which a unit has them.
fn tables(config: &PagingConfig) -> impl Iterator<Item = &TlbTable> {
    config
        .tlb
        .iter()
        .flat_map(|level| match &level.banks {
            Banks::Split { instruction, data } => [instruction.as_slice(), data.as_slice()],
            Banks::Unified(both) => [both.as_slice(), &[]],
        })
        .flatten()
}

/// Returns true if the mapping has a page size of its table, is aligned, and is a leaf or a part of one.
fn is_mapping<P>(table: &TlbTable, held: &Cached<P>) -> bool {
    let leaf = held.permissions.leaf;
    table.page_bits.contains(&held.bits)
        && (held.bits..=64).contains(&leaf)
        && held.frame.offset(held.bits.into()) == 0
}
