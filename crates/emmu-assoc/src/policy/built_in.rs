//! Facts about built-in policies: limits on sets and ways, and parameters.

use core::ops::RangeInclusive;

/// Numbers of sets or of ways that a policy can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    least: u32,
    most: u32,
    power_of_two: bool,
    expected: &'static str,
}

impl Limit {
    /// No limit.
    pub(crate) const ANY: Self =
        Self { least: 1, most: u32::MAX, power_of_two: false, expected: "any number" };

    /// Powers of two up to `most`, which `expected` says in words.
    pub(crate) const fn powers_of_two(most: u32, expected: &'static str) -> Self {
        Self { most, power_of_two: true, expected, ..Self::ANY }
    }

    /// Numbers from `least` on, which `expected` says in words.
    pub(crate) const fn at_least(least: u32, expected: &'static str) -> Self {
        Self { least, expected, ..Self::ANY }
    }

    /// Returns whether `number` is within the limit.
    #[must_use]
    pub const fn allows(self, number: u32) -> bool {
        self.least <= number
            && number <= self.most
            && (!self.power_of_two || number.is_power_of_two())
    }

    /// The limit in words, such as "a power of two, 64 at most".
    #[must_use]
    pub const fn expected(self) -> &'static str {
        self.expected
    }
}

/// A number that belongs to a policy, such as the seed of its draws.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameter {
    /// The name in machine descriptions.
    pub name: &'static str,
    /// The values that it can have.
    pub range: RangeInclusive<u64>,
    /// Its value, or `None` if it can be left out and is.
    pub value: Option<u64>,
}

/// The type of a parameter: a field of a variant of [`Policy`](super::Policy).
pub(crate) trait Value: Copy {
    /// The value if none is given.
    const DEFAULT: Self;

    /// The values that can be given.
    const RANGE: RangeInclusive<u64>;

    fn of(number: u64) -> Self;

    fn number(self) -> Option<u64>;
}

/// A seed that is 0 unless given.
impl Value for u64 {
    const DEFAULT: Self = 0;
    const RANGE: RangeInclusive<u64> = 0..=Self::MAX;

    fn of(number: u64) -> Self {
        number
    }

    fn number(self) -> Option<u64> {
        Some(self)
    }
}

/// A seed that can be left out.
impl Value for Option<u64> {
    const DEFAULT: Self = None;
    const RANGE: RangeInclusive<u64> = 0..=u64::MAX;

    fn of(number: u64) -> Self {
        Some(number)
    }

    fn number(self) -> Self {
        self
    }
}

/// Sets a parameter to a number within its range, and returns whether it is within.
pub(super) fn set<V: Value>(parameter: &mut V, number: u64) -> bool {
    let is_within = V::RANGE.contains(&number);
    if is_within {
        *parameter = V::of(number);
    }
    is_within
}
