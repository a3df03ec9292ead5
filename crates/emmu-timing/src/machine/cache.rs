//! Data caches: their shapes and latencies.

use emmu_paging::{Geometry, GeometryError, Policy};
use thiserror::Error;

/// A data cache: its shape, and the cost of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheModel {
    geometry: Geometry,
    line_bits: u8,
    /// The cycles from the start of an access to its data, in all, if this cache serves the access.
    pub latency: u32,
}

/// The reason why a data cache of this shape cannot exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The line size is no power of two from 8 to 4096. Address bits choose the byte in a line.
    #[error("line = {line}: expected a power of two from 8 to 4096")]
    Line {
        /// The line size asked for, in bytes.
        line: u32,
    },
    /// The number of sets is no power of two. Address bits choose the set.
    #[error("{size} bytes in {ways} ways of {line}-byte lines: expected a power of two of sets")]
    Sets {
        /// The size asked for, in bytes.
        size: u64,
        /// The number of ways asked for.
        ways: u32,
        /// The line size asked for, in bytes.
        line: u32,
    },
    /// The table of the tags cannot exist.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
}

impl CacheModel {
    /// Makes a cache of `size` bytes, with `ways` ways and lines of `line` bytes.
    ///
    /// # Errors
    /// [`CacheError`] if `line` is no power of two from 8 to 4096, if `size` is not `ways` × `line` × a power
    /// of two, or if [`Geometry::new`] refuses the number of ways.
    pub fn new(
        size: u64,
        ways: u32,
        line: u32,
        policy: Policy,
        latency: u32,
    ) -> Result<Self, CacheError> {
        if !line.is_power_of_two() || !(8..=4096).contains(&line) {
            return Err(CacheError::Line { line });
        }
        let way = u64::from(ways) * u64::from(line);
        let refused = CacheError::Sets { size, ways, line };
        if way == 0 || !size.is_multiple_of(way) || !(size / way).is_power_of_two() {
            return Err(refused);
        }
        let sets = u32::try_from(size / way).map_err(|_| refused)?;
        let geometry = Geometry::new(sets, ways, policy)?;
        Ok(Self { geometry, line_bits: line.trailing_zeros().to_le_bytes()[0], latency })
    }

    /// Returns sets, ways and replacement policy.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Returns log2 of the line size in bytes.
    #[must_use]
    pub const fn line_bits(&self) -> u8 {
        self.line_bits
    }

    /// Returns the number of bytes of a line.
    #[must_use]
    pub const fn line(&self) -> u32 {
        1 << self.line_bits
    }

    /// Returns this cache with another table.
    pub(super) const fn with_geometry(self, geometry: Geometry) -> Self {
        Self { geometry, ..self }
    }

    /// Returns the size of the cache in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::from(self.geometry.entries()) << self.line_bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skylakes_slice_of_last_level_cache_has_2048_sets() {
        let slice = CacheModel::new(1408 << 10, 11, 64, Policy::Lru, 60).unwrap();
        assert_eq!((slice.geometry().sets(), slice.size(), slice.line()), (2048, 1408 << 10, 64));
    }

    #[test]
    fn impossible_shapes_are_refused() {
        for (size, ways, line) in
            [(32 << 10, 0, 64), (32 << 10, 8, 0), (32 << 10, 8, 48), (24 << 10, 8, 64), (0, 8, 64)]
        {
            assert!(
                CacheModel::new(size, ways, line, Policy::Lru, 1).is_err(),
                "{size} {ways} {line}"
            );
        }
        assert!(CacheModel::new(24 << 10, 12, 64, Policy::TreePlru, 1).is_err());
    }
}
