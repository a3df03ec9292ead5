//! Which segment an access is made to.

use crate::Refusal;
use emmu_core::{Access, AccessFlags, AccessKind, low_mask};
use thiserror::Error;

/// The most segments that a unit can have.
pub const MAX_SEGMENTS: u32 = 16;

/// The segment of fetches under [`Selection::Implicit`].
pub const CODE: u32 = 0;
/// The segment of data that is not on the stack under [`Selection::Implicit`].
pub const DATA: u32 = 1;
/// The segment of data on the stack under [`Selection::Implicit`].
pub const STACK: u32 = 2;

/// How the segment of an access is found (OSTEP 16.2, "Which segment are we referring to?").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Selection {
    /// By the top bits of the address; the rest is the offset. A selector without a segment faults with
    /// [`Cause::NoSegment`](emmu_core::Cause::NoSegment).
    Explicit {
        /// How many bits of the address are the selector; 0 for a single segment.
        selector_bits: u32,
        /// How many segments there are, from selector 0 on.
        segments: u32,
    },
    /// By what the access is for: fetches use [`CODE`], accesses with [`AccessFlags::STACK`] use [`STACK`],
    /// all others [`DATA`]. The whole address is the offset.
    Implicit,
}

impl Selection {
    pub(crate) const fn segments(self) -> u32 {
        match self {
            Self::Explicit { segments, .. } => segments,
            Self::Implicit => 3,
        }
    }

    pub(crate) const fn selector_bits(self) -> u32 {
        match self {
            Self::Explicit { selector_bits, .. } => selector_bits,
            Self::Implicit => 0,
        }
    }
}

/// The parts of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parts {
    /// The number of the segment.
    pub selector: u64,
    /// The place in it.
    pub offset: u64,
}

/// Why a unit of this shape cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// Addresses have too few or too many bits.
    #[error("addresses of {address_bits} bits; expected 1 to 64")]
    AddressBits {
        /// The number that was requested.
        address_bits: u32,
    },
    /// The selector leaves no bit for the offset.
    #[error(
        "a selector of {selector_bits} bits in addresses of {address_bits}; expected fewer than that"
    )]
    SelectorBits {
        /// The number that was requested.
        selector_bits: u32,
        /// The width of addresses.
        address_bits: u32,
    },
    /// A segment could be larger than a descriptor can say.
    #[error("offsets of {offset_bits} bits; a descriptor in memory can bound 55 at most")]
    OffsetBits {
        /// The number of bits that the selector leaves for the offset.
        offset_bits: u32,
    },
    /// There are no segments, or more than selectors or registers.
    #[error("{segments} segments; expected 1 to {most}")]
    Segments {
        /// The number that was requested.
        segments: u32,
        /// How many there can be.
        most: u32,
    },
}

/// How addresses are cut into selector and offset; checked once, so that nothing here can go wrong later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Geometry {
    pub(crate) address_bits: u32,
    pub(crate) selection: Selection,
}

impl Geometry {
    pub(crate) fn new(address_bits: u32, selection: Selection) -> Result<Self, GeometryError> {
        let geometry = Self::cut(address_bits, selection)?;
        let segments = selection.segments();
        let most = match selection {
            Selection::Explicit { selector_bits, .. } => {
                1u32 << selector_bits.min(MAX_SEGMENTS.ilog2())
            }
            Selection::Implicit => segments,
        };
        if !(1..=most).contains(&segments) {
            return Err(GeometryError::Segments { segments, most });
        }
        Ok(geometry)
    }

    /// For segments of which a register says how many there are.
    pub(crate) fn of_table(address_bits: u32, selector_bits: u32) -> Result<Self, GeometryError> {
        let selection = Selection::Explicit { selector_bits, segments: 0 };
        let geometry = Self::cut(address_bits, selection)?;
        match geometry.offset_bits() {
            ..=55 => Ok(geometry),
            offset_bits => Err(GeometryError::OffsetBits { offset_bits }),
        }
    }

    fn cut(address_bits: u32, selection: Selection) -> Result<Self, GeometryError> {
        let selector_bits = selection.selector_bits();
        if !(1..=64).contains(&address_bits) {
            return Err(GeometryError::AddressBits { address_bits });
        }
        if selector_bits >= address_bits && selector_bits > 0 {
            return Err(GeometryError::SelectorBits { selector_bits, address_bits });
        }
        Ok(Self { address_bits, selection })
    }

    /// The largest offset that a segment can have.
    #[inline]
    pub(crate) fn last_offset(self) -> u64 {
        low_mask(self.offset_bits())
    }

    #[inline]
    pub(crate) fn offset_bits(self) -> u32 {
        self.address_bits - self.selection.selector_bits()
    }

    /// Cuts the address of an access.
    #[inline]
    pub(crate) fn select(self, access: Access) -> Result<Parts, Refusal> {
        let addr = access.addr;
        if addr.raw() > low_mask(self.address_bits) {
            return Err(Refusal::TooWide { address_bits: self.address_bits });
        }
        let selector = match self.selection {
            Selection::Explicit { selector_bits, .. } => {
                addr.bits(self.offset_bits(), selector_bits)
            }
            Selection::Implicit => implied(access).into(),
        };
        Ok(Parts { selector, offset: addr.offset(self.offset_bits()) })
    }

    /// Returns true if the kind of an access and its address suffice for the selection, so that its flags do not
    /// matter.
    #[inline]
    pub(crate) fn ignores_flags(self, kind: AccessKind) -> bool {
        self.selection != Selection::Implicit || kind == AccessKind::Fetch
    }
}

#[inline]
fn implied(access: Access) -> u32 {
    match access.kind {
        AccessKind::Fetch => CODE,
        _ if access.flags.contains(AccessFlags::STACK) => STACK,
        _ => DATA,
    }
}
