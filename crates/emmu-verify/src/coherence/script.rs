//! `Script`: accesses, writes and invalidations as plain numbers.

use quickcheck::{Arbitrary, Gen};

/// The caches of a unit, and the steps that follow. All numbers are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The number of the configuration of TLBs and walk caches.
    pub setup: u16,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// One step: its kind, and three numbers that choose the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step(pub [u8; 4]);

/// The meaning of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// An access: its number in the case, and its differences from that access.
    Access { which: u8, how: u8, beyond: u8 },
    /// The repetition of an access for which a ticket was given.
    Repeat { which: u8 },
    /// A write of an entry on the way of an access: the entry, and the bits that change.
    Poke { which: u8, level: u8, change: u8 },
    /// An invalidation: the access that it concerns, its scope, and its address space.
    Invalidate { which: u8, scope: u8, asid: u8 },
    /// A register write.
    RegisterWrite { choice: u8, value: u8 },
}

impl Step {
    pub(super) fn action(self) -> Action {
        let Self([what, which, how, more]) = self;
        match what % 16 {
            0..=8 => Action::Access { which, how, beyond: more },
            9 => Action::Repeat { which },
            10..=11 => Action::Poke { which, level: how, change: more },
            12..=13 => Action::Invalidate { which, scope: how, asid: more },
            _ => Action::RegisterWrite { choice: how, value: more },
        }
    }
}

impl Script {
    /// Makes a script of the first bytes, and returns it with the bytes left over. The first two bytes are the setup,
    /// the third is the number of steps.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> (Self, &[u8]) {
        let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
        let setup = u16::from_le_bytes([at(0), at(1)]);
        let rest = bytes.get(3..).unwrap_or_default();
        let (steps, rest) = rest.split_at(rest.len().min(4 * usize::from(at(2) % 128)));
        let steps = steps.as_chunks().0.iter().map(|step| Step(*step)).collect();
        (Self { setup, steps }, rest)
    }
}

impl Arbitrary for Step {
    fn arbitrary(entropy: &mut Gen) -> Self {
        Self(core::array::from_fn(|_| u8::arbitrary(entropy)))
    }
}

impl Arbitrary for Script {
    fn arbitrary(entropy: &mut Gen) -> Self {
        Self { setup: u16::arbitrary(entropy), steps: Vec::arbitrary(entropy) }
    }

    /// Returns scripts with fewer steps.
    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let setup = self.setup;
        Box::new(self.steps.shrink().map(move |steps| Self { setup, steps }))
    }
}
