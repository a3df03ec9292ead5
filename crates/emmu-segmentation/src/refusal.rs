//! Why a segment does not take an access, in numbers.

use crate::SegmentFlags;
use emmu_core::Cause;
use thiserror::Error;

/// Why an access does not go through, with the numbers that decided it. A unit's fault says the same as a
/// [`Cause`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// The address has more bits than the address space.
    #[error("the address has more than {address_bits} bits")]
    TooWide {
        /// Width of addresses.
        address_bits: u32,
    },
    /// The selector is not below the number of segments.
    #[error("selector {selector}, and there are {segments} segments")]
    NoSegment {
        /// The selector.
        selector: u64,
        /// How many segments there are.
        segments: u64,
    },
    /// The offset is at or past the bounds; in a segment that grows down, its distance from the top exceeds them.
    #[error("past the bounds by {by} bytes")]
    PastBounds {
        /// The offset, or distance, less the bounds: 0 for the first byte past a segment that grows up.
        by: u64,
    },
    /// Base and offset come to no 64-bit address.
    #[error("past either end of physical memory")]
    NoPlace,
    /// The segment does not allow the access.
    #[error("the segment lacks {missing:?}")]
    Forbidden {
        /// The permissions that it needs and does not have.
        missing: SegmentFlags,
    },
}

impl Refusal {
    /// Returns the cause of the fault that this refusal raises.
    #[must_use]
    pub const fn cause(self) -> Cause {
        match self {
            Self::TooWide { .. } => Cause::NonCanonical,
            Self::NoSegment { .. } => Cause::NoSegment,
            Self::PastBounds { .. } | Self::NoPlace => Cause::Bounds,
            Self::Forbidden { .. } => Cause::Permission,
        }
    }
}
