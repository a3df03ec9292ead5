//! Segment tables in snapshots: the registers and the cache. The table itself is in memory.

use super::{SegmentTable, cache::Cache, register};
use crate::selection::{Geometry, Selection};
use alloc::{format, string::String};
use emmu_core::PhysAddr;
use serde::Deserialize;

/// The snapshot as it is read. It may hold anything, so its values are checked.
#[derive(Deserialize)]
#[serde(rename = "SegmentTable")]
pub(super) struct Read {
    geometry: Geometry,
    base: PhysAddr,
    length: u64,
    cache: Cache,
    epoch: u64,
}

impl TryFrom<Read> for SegmentTable {
    type Error = String;

    fn try_from(Read { geometry, base, length, cache, epoch }: Read) -> Result<Self, String> {
        let Selection::Explicit { selector_bits, segments: 0 } = geometry.selection else {
            return Err(
                "geometry: the segments of a table are selected by an address's top bits".into()
            );
        };
        let geometry = Geometry::of_table(geometry.address_bits, selector_bits)
            .map_err(|error| format!("geometry: {error}"))?;
        let base = register::base(base.raw()).map_err(|error| format!("base: {error}"))?;
        let length =
            register::length(length, geometry).map_err(|error| format!("length: {error}"))?;
        if !cache.is_sound(1 << selector_bits, geometry.last_offset()) {
            return Err("cache: a descriptor that is not of this table, or not of its time".into());
        }
        Ok(Self { geometry, base, length, cache, epoch })
    }
}
