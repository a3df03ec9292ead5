//! A replacement policy of one's own.

use alloc::boxed::Box;
use core::{
    any::{self, TypeId},
    fmt,
    hash::{Hash, Hasher},
};

/// A replacement policy of your own, which [`Policy`](crate::Policy) does not name. A value of it is the state
/// of the policy for all sets of one table.
///
/// Only hits, fills and evictions are told. An entry that is invalidated or whose owner has ended leaves its way vacant,
/// and the next fill of the set goes there without asking.
///
/// ```
/// use emmu_assoc::{Assoc, Forever, Geometry, Policy, Replace, Owner};
///
/// /// The most recently used way goes.
/// #[derive(Clone, Debug)]
/// struct Mru(Vec<usize>);
///
/// impl Replace for Mru {
///     fn new(sets: usize, _: usize) -> Self {
///         Self(vec![0; sets])
///     }
///     fn hit(&mut self, set: usize, way: usize) {
///         self.0[set] = way;
///     }
///     fn filled(&mut self, set: usize, way: usize) {
///         self.0[set] = way;
///     }
///     fn victim(&mut self, set: usize) -> usize {
///         self.0[set]
///     }
/// }
///
/// let mut table = Assoc::new(Geometry::fully_associative(2, Policy::own::<Mru>())?);
/// for tag in [1, 2, 3] {
///     table.fill(tag, Owner::ONLY, tag * 10, &Forever);     // 3 goes where 2 was
/// }
/// let held = |tag| table.lookup(tag, |_, _| true).map(|found| *found.value);
/// assert_eq!([1, 2, 3].map(held), [Some(10), None, Some(30)]);
/// # Ok::<(), emmu_assoc::GeometryError>(())
/// ```
pub trait Replace: Clone + fmt::Debug + Send + Sync + 'static {
    /// For a table of `sets` sets of `ways` ways, all of them vacant.
    fn new(sets: usize, ways: usize) -> Self;

    /// A lookup found this way of this set.
    fn hit(&mut self, set: usize, way: usize);

    /// This way of this set got a new entry.
    fn filled(&mut self, set: usize, way: usize);

    /// The way of this set that makes room; all of them hold something. Of a number that is no way, the remainder
    /// after division by the number of ways counts.
    fn victim(&mut self, set: usize) -> usize;

    /// Returns the name of the policy in machine descriptions. The default is the name of the type, as the
    /// compiler gives it.
    #[must_use]
    fn name() -> &'static str {
        any::type_name::<Self>()
    }
}

/// Which [`Replace`] a table has, as a value: the same for the same type.
#[derive(Clone, Copy)]
pub struct Own {
    id: fn() -> TypeId,
    name: fn() -> &'static str,
    make: fn(usize, usize) -> Box<dyn Erased>,
}

impl Own {
    /// The policy of this type.
    #[must_use]
    pub const fn of<R: Replace>() -> Self {
        let make = |sets, ways| -> Box<dyn Erased> { Box::new(R::new(sets, ways)) };
        Self { id: TypeId::of::<R>, name: R::name, make }
    }

    /// Returns the name of the policy in machine descriptions: [`Replace::name`].
    #[must_use]
    pub fn name(self) -> &'static str {
        (self.name)()
    }

    pub(crate) fn make(self, sets: usize, ways: usize) -> Box<dyn Erased> {
        (self.make)(sets, ways)
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        (self.id)() == (other.id)()
    }
}

impl Eq for Own {}

impl Hash for Own {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.id)().hash(state);
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// [`Replace`] without its type.
pub(crate) trait Erased: fmt::Debug + Send + Sync {
    fn hit(&mut self, set: usize, way: usize);
    fn filled(&mut self, set: usize, way: usize);
    fn victim(&mut self, set: usize) -> usize;
    fn boxed(&self) -> Box<dyn Erased>;
}

impl<R: Replace> Erased for R {
    fn hit(&mut self, set: usize, way: usize) {
        Replace::hit(self, set, way);
    }

    fn filled(&mut self, set: usize, way: usize) {
        Replace::filled(self, set, way);
    }

    fn victim(&mut self, set: usize) -> usize {
        Replace::victim(self, set)
    }

    fn boxed(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Erased> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Assoc, Forever, Geometry, Owner, Policy};
    use std::{vec, vec::Vec};

    /// Way `STEP`, then 2 × `STEP`, …, in each set by itself; it also counts what it is told.
    #[derive(Clone, Debug)]
    struct Strides<const STEP: usize> {
        turns: Vec<usize>,
        told: Vec<(usize, usize)>,
    }

    impl<const STEP: usize> Replace for Strides<STEP> {
        fn new(sets: usize, ways: usize) -> Self {
            Self { turns: vec![0; sets], told: vec![(sets, ways)] }
        }
        fn hit(&mut self, set: usize, way: usize) {
            self.told.push((set, way));
        }
        fn filled(&mut self, set: usize, way: usize) {
            self.told.push((set, way));
        }
        fn victim(&mut self, set: usize) -> usize {
            self.turns[set] += STEP;
            self.turns[set]
        }
    }

    /// Two sets of three ways, filled with tags 0 to 5.
    fn filled<const STEP: usize>() -> Assoc<u64> {
        let geometry = Geometry::new(2, 3, Policy::own::<Strides<STEP>>()).unwrap();
        let mut table = Assoc::new(geometry);
        (0..6).for_each(|tag| fill(&mut table, tag));
        table
    }

    fn fill(table: &mut Assoc<u64>, tag: u64) {
        table.fill(tag, Owner::ONLY, tag, &Forever);
    }

    fn held(table: &Assoc<u64>) -> Vec<u64> {
        (0..20).filter(|&tag| table.lookup(tag, |_, _| true).is_some()).collect()
    }

    #[test]
    fn a_policy_of_ones_own_says_which_way_goes() {
        // The even tags are set 0: its way 1 goes first, then its way 2, then way 3, which is way 0.
        let mut table = filled::<1>();
        for (tag, left) in
            [(6, [0, 1, 3, 4, 5, 6]), (8, [0, 1, 3, 5, 6, 8]), (10, [1, 3, 5, 6, 8, 10])]
        {
            fill(&mut table, tag);
            assert_eq!(held(&table), left);
        }
    }

    #[test]
    fn a_number_that_is_no_way_stands_for_one() {
        let mut table = filled::<{ usize::MAX }>();
        fill(&mut table, 6);
        assert_eq!(held(&table).len(), 6);
    }

    #[test]
    fn a_clone_goes_on_by_itself() {
        let mut table = filled::<1>();
        let mut other = table.clone();
        fill(&mut table, 6);
        fill(&mut table, 8);
        fill(&mut other, 8);
        assert_eq!((held(&table), held(&other)), (vec![0, 1, 3, 5, 6, 8], vec![0, 1, 3, 4, 5, 8]));
    }

    #[test]
    fn it_is_told_of_sets_and_ways() {
        let mut policy = Own::of::<Strides<1>>().make(2, 3);
        policy.filled(1, 2);
        policy.hit(0, 1);
        assert!(std::format!("{policy:?}").contains("told: [(2, 3), (1, 2), (0, 1)]"));
    }

    #[test]
    fn one_type_is_one_policy_and_two_are_two() {
        let [one, same, other] =
            [Policy::own::<Strides<1>>(), Policy::own::<Strides<1>>(), Policy::own::<Strides<2>>()];
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_ne!(one, Policy::Lru);
    }

    /// Way 0 goes, whatever is told.
    #[derive(Clone, Debug)]
    struct Named;

    impl Replace for Named {
        fn new(_: usize, _: usize) -> Self {
            Self
        }
        fn hit(&mut self, _: usize, _: usize) {}
        fn filled(&mut self, _: usize, _: usize) {}
        fn victim(&mut self, _: usize) -> usize {
            0
        }
        fn name() -> &'static str {
            "first"
        }
    }

    #[test]
    fn a_policy_has_the_name_of_its_type_unless_it_says_another() {
        assert_eq!(Own::of::<Named>().name(), "first");
        assert!(Own::of::<Strides<1>>().name().contains("Strides<1>"));
    }
}
