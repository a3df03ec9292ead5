//! Where numbers come from.

use std::fmt;

/// A part of a machine, and where its numbers come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The part.
    pub value: T,
    /// Where its numbers come from.
    pub provenance: Provenance,
}

/// Where the numbers of one part of a machine come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Who says so.
    pub source: Option<String>,
    /// How far to trust it. Speaks for the weakest number of the part.
    pub confidence: Option<Confidence>,
}

/// How far to trust a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// The vendor, or the hardware's own source code, says so.
    Documented,
    /// Somebody else measured or reported it.
    Secondary,
    /// Reported, and not checked against its origin.
    Unverified,
    /// Chosen by emmu, because nothing is published.
    Assumed,
}

impl Confidence {
    /// All, the strongest first.
    pub const ALL: [Self; 4] = [Self::Documented, Self::Secondary, Self::Unverified, Self::Assumed];

    /// Its name in a machine description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Secondary => "secondary",
            Self::Unverified => "unverified",
            Self::Assumed => "assumed",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
