//! The translations that an invalidation drops beyond those that it is asked to.

use crate::ConfigError;
use core::fmt;
use emmu_core::Invalidate;

/// How far invalidations of one scope reach. Every architecture lets an implementation invalidate more than it is asked
/// to, and many do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Reach {
    /// The entries that the manual demands, and no others.
    #[default]
    Exact,
    /// The page or the pages, and all that walk caches hold of the address spaces concerned.
    WalkCaches,
    /// The page or the pages in every address space, as [`Invalidate::Page`].
    Page,
    /// The whole address space, as [`Invalidate::Asid`].
    Asid,
    /// Everything but global entries, as [`Invalidate::NonGlobal`].
    NonGlobal,
    /// All pages of the virtual machine or of the tables concerned.
    Guest,
    /// Everything, as [`Invalidate::All`]; for invalidations of virtual machines, everything of all of them.
    All,
}

impl Reach {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Exact,
        Self::WalkCaches,
        Self::Page,
        Self::Asid,
        Self::NonGlobal,
        Self::Guest,
        Self::All,
    ];

    /// Its name in a machine description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::WalkCaches => "walk-caches",
            Self::Page => "page",
            Self::Asid => "asid",
            Self::NonGlobal => "non-global",
            Self::Guest => "guest",
            Self::All => "all",
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The entries of walk caches that an invalidation by address drops, of the address spaces concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkCacheReach {
    /// Nothing.
    None,
    /// The tables on the way to an address.
    OnTheWay,
    /// All.
    All,
}

/// How far each invalidation reaches, by its scope. An instruction's invalidation and that of a register write are
/// one. The default is exact.
///
/// In the configuration of a second stage, the scopes are those of the second stage's own entries: an address is
/// guest-physical, and an address space is a set of second-stage tables.
///
/// ```
/// use emmu_core::{Asid, Invalidate, VirtAddr};
/// use emmu_paging::{InvalidationReach, Reach};
/// let reach = InvalidationReach { page_in_asid: Reach::Asid, ..InvalidationReach::default() };
/// assert!(reach.validate().is_ok());
/// let addr = VirtAddr::new(0x1000);
/// let asked = Invalidate::PageInAsid { addr, asid: Asid(3), global: false };
/// assert_eq!(reach.widened(asked), Invalidate::Asid(Asid(3)));
/// assert_eq!(reach.widened(Invalidate::Page(addr)), Invalidate::Page(addr));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InvalidationReach {
    /// Of [`Invalidate::NonGlobal`]: exact, or all.
    pub non_global: Reach,
    /// Of [`Invalidate::Asid`]: exact, non-global or all.
    pub asid: Reach,
    /// Of [`Invalidate::Page`]: exact, walk caches or all.
    pub page: Reach,
    /// Of [`Invalidate::PageInAsid`]: exact, walk caches, page, asid, non-global or all.
    pub page_in_asid: Reach,
    /// Of [`Invalidate::Range`]: exact, walk caches, page or all.
    pub range: Reach,
    /// Of [`Invalidate::Guest`]: exact, walk caches (if an address is named), guest or all.
    pub guest: Reach,
    /// Of [`Invalidate::SecondStage`]: exact, guest or all. Wider than exact, it invalidates what holds the outcome of
    /// both stages, too.
    pub second_stage: Reach,
}

impl InvalidationReach {
    /// Each scope's name in a machine description, with how far it reaches and how far it could.
    pub fn scopes(&self) -> impl Iterator<Item = (&'static str, Reach, &'static [Reach])> {
        use Reach::{All, Asid, Exact, Guest, NonGlobal, Page, WalkCaches};
        let scopes: [(_, _, &[Reach]); 7] = [
            ("non_global", self.non_global, &[Exact, All]),
            ("asid", self.asid, &[Exact, NonGlobal, All]),
            ("page", self.page, &[Exact, WalkCaches, All]),
            ("page_in_asid", self.page_in_asid, &[Exact, WalkCaches, Page, Asid, NonGlobal, All]),
            ("range", self.range, &[Exact, WalkCaches, Page, All]),
            ("guest", self.guest, &[Exact, WalkCaches, Guest, All]),
            ("second_stage", self.second_stage, &[Exact, Guest, All]),
        ];
        scopes.into_iter()
    }

    /// Checks that each reach covers at least what its scope names.
    ///
    /// # Errors
    /// [`ConfigError::Reach`], of the first that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self.scopes().find(|(_, reach, possible)| !possible.contains(reach)) {
            None => Ok(()),
            Some((scope, reach, _)) => Err(ConfigError::Reach { scope, reach }),
        }
    }

    /// Returns the invalidation that is performed besides the one that was asked for: if the reach is the
    /// address space and the scope names a global page, for example, both are needed.
    #[must_use]
    pub fn widened(&self, scope: Invalidate) -> Invalidate {
        match (self.of(scope), scope) {
            (Reach::Exact | Reach::WalkCaches, _) => scope,
            (Reach::Page, Invalidate::PageInAsid { addr, .. }) => Invalidate::Page(addr),
            (Reach::Page, Invalidate::Range { addr, len, .. }) => {
                Invalidate::Range { addr, len, asid: None }
            }
            (Reach::Asid, Invalidate::PageInAsid { asid, .. }) => Invalidate::Asid(asid),
            (Reach::NonGlobal, _) => Invalidate::NonGlobal,
            (Reach::Guest, Invalidate::Guest { vmid, .. }) => {
                Invalidate::Guest { vmid, asid: None, addr: None, keeps_global: false }
            }
            (Reach::Guest, Invalidate::SecondStage { tables, .. }) => {
                Invalidate::SecondStage { tables, addr: None, combined: true }
            }
            (_, Invalidate::Guest { .. } | Invalidate::SecondStage { .. }) => {
                Invalidate::SecondStage { tables: None, addr: None, combined: true }
            }
            _ => Invalidate::All,
        }
    }

    /// Returns true if walk caches drop all entries of the address spaces concerned, as far as this scope names
    /// addresses.
    pub(crate) fn empties_walk_caches(&self, scope: Invalidate) -> bool {
        self.of(scope) == Reach::WalkCaches
    }

    /// Returns true if all entries of all virtual machines are dropped.
    pub(crate) fn is_of_all_guests(&self, scope: Invalidate) -> bool {
        let is_of_guest =
            matches!(scope, Invalidate::Guest { .. } | Invalidate::SecondStage { .. });
        is_of_guest && self.of(scope) == Reach::All
    }

    const fn of(&self, scope: Invalidate) -> Reach {
        match scope {
            Invalidate::NonGlobal => self.non_global,
            Invalidate::Asid(_) => self.asid,
            Invalidate::Page(_) => self.page,
            Invalidate::PageInAsid { .. } => self.page_in_asid,
            Invalidate::Range { .. } => self.range,
            Invalidate::Guest { .. } => self.guest,
            Invalidate::SecondStage { .. } => self.second_stage,
            // `All`, and a scope that no description names.
            _ => Reach::Exact,
        }
    }
}
