//! Invalidations in the words of an architecture.

use core::fmt;
use emmu_core::{Invalidate, anatomy::Fences};

/// An invalidation in an architecture's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fence {
    /// The instructions that word it.
    pub instructions: &'static Fences,
    /// The invalidation.
    pub scope: Invalidate,
    /// Another invalidation that must follow, where the first one is not enough.
    pub then: Option<Invalidate>,
}

impl Fence {
    /// The fence that one invalidation is.
    pub(crate) const fn new(instructions: &'static Fences, scope: Invalidate) -> Self {
        Self { instructions, scope, then: None }
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.instructions.words)(self.scope, f)?;
        match self.then {
            Some(scope) => write!(f, ", then {}", Self::new(self.instructions, scope)),
            None => Ok(()),
        }
    }
}
