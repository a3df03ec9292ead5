//! A segment register: what a program sees of it, and what it does not.

use super::descriptor::Kind;
use super::{Selector, X86Descriptor};

/// A segment register with its hidden part, the descriptor cache (Intel SDM Vol. 3A, 3.4.3). Accesses look at this
/// alone: a descriptor that changes in memory changes nothing until it is loaded again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SegmentState {
    /// The visible part.
    pub selector: Selector,
    /// The descriptor; none after a null selector.
    pub descriptor: Option<X86Descriptor>,
    /// The base: the descriptor's, or in FS and GS what was written to it.
    pub base: u64,
}

impl SegmentState {
    /// As after a load that no check refused.
    #[must_use]
    pub fn new(selector: Selector, descriptor: X86Descriptor) -> Self {
        Self { selector, descriptor: Some(descriptor), base: descriptor.base().into() }
    }

    /// As after the load of a null selector.
    #[must_use]
    pub const fn null(selector: Selector) -> Self {
        Self { selector, descriptor: None, base: 0 }
    }

    /// Returns true if the segment holds 64-bit code.
    pub(super) fn is_long_code(&self) -> bool {
        self.descriptor
            .is_some_and(|held| held.is_long() && matches!(held.kind(), Kind::Code { .. }))
    }
}
