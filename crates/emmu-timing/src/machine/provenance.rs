//! The provenance of numbers.

use std::fmt;

/// A part of a machine with the provenance of its numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The part.
    pub value: T,
    /// The provenance of its numbers.
    pub provenance: Provenance,
}

/// The provenance of the numbers of one part of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The source: a document or a person.
    pub source: Option<String>,
    /// The confidence in the weakest number of the part.
    pub confidence: Option<Confidence>,
}

/// The confidence in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// The vendor documents the number, or the source code of the hardware states it.
    Documented,
    /// Somebody other than the vendor measured or reported the number.
    Secondary,
    /// The number was reported, and nobody has checked its origin.
    Unverified,
    /// emmu chose the number, because nothing is published.
    Assumed,
}

impl Confidence {
    /// All levels of confidence, the strongest first.
    pub const ALL: [Self; 4] = [Self::Documented, Self::Secondary, Self::Unverified, Self::Assumed];

    /// Returns the name in a machine description.
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
