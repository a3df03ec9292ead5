//! Segment registers in snapshots.

use super::Segmentation;
use crate::{Segment, selection::Geometry};
use alloc::{format, string::String, vec::Vec};
use serde::Deserialize;

/// The snapshot as it is read. It may hold anything, so its values are checked.
#[derive(Deserialize)]
#[serde(rename = "Segmentation")]
pub(super) struct Read {
    geometry: Geometry,
    segments: Vec<Segment>,
    epoch: u64,
}

impl TryFrom<Read> for Segmentation {
    type Error = String;

    fn try_from(Read { geometry, segments, epoch }: Read) -> Result<Self, String> {
        let Geometry { address_bits, selection } = geometry;
        let geometry =
            Geometry::new(address_bits, selection).map_err(|error| format!("geometry: {error}"))?;
        if segments.len() != selection.segments() as usize {
            return Err("segments: not as many as there are registers for".into());
        }
        if segments.iter().any(|segment| segment.is_past(geometry.last_offset())) {
            return Err("segments: more bytes than a segment has offsets".into());
        }
        Ok(Self { geometry, segments, epoch })
    }
}
