//! `Query`: an address for one stage to translate; `Space`: the tags of the translations that can answer it.

use emmu_core::{Access, AccessFlags, AccessKind, Asid, PhysAddr, Privilege, VirtAddr, Vmid};
use emmu_oracle::two_stage::{Stage, Visit};

/// An address for one stage to translate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// An access, for the first stage or the only one.
    First(Access),
    /// A guest-physical address that an access uses, for the second stage.
    Second {
        /// The access.
        access: Access,
        /// The guest-physical address.
        gpa: PhysAddr,
        /// The purpose for which the access uses it.
        visit: Visit,
    },
}

impl Query {
    /// Makes a query that uses the tables of `space` for this address.
    pub(super) fn probing(space: Space, addr: VirtAddr) -> Self {
        let load = Access::load(addr, 1);
        match (space.stage, space.vmid) {
            (Stage::First, None) => Self::First(load),
            (Stage::First, Some(_)) => Self::First(load.with_flags(AccessFlags::GUEST)),
            (Stage::Second, _) => Self::Second {
                access: load.with_flags(AccessFlags::GUEST),
                gpa: PhysAddr::new(addr.raw()),
                visit: Visit::WalkRead,
            },
        }
    }

    /// Returns this query for each kind of access by user, supervisor and its own privilege.
    pub(super) fn of_all_kinds(self) -> Vec<Self> {
        let kinds = AccessKind::ALL.into_iter();
        let each = kinds.flat_map(|kind| {
            let own = self.access().privilege;
            [Privilege::User, Privilege::Supervisor, own].map(|privilege| {
                let flags = self.access().flags & !AccessFlags::EXECUTABLE;
                let access = Access { kind, privilege, flags, ..self.access() };
                match self {
                    Self::First(_) => Self::First(access),
                    Self::Second { gpa, visit, .. } => Self::Second { access, gpa, visit },
                }
            })
        });
        each.collect()
    }

    /// Returns the access of the query.
    #[must_use]
    pub fn access(self) -> Access {
        match self {
            Self::First(access) | Self::Second { access, .. } => access,
        }
    }

    /// Returns the address that is translated: virtual, or guest-physical.
    #[must_use]
    pub fn addr(self) -> VirtAddr {
        match self {
            Self::First(access) => access.addr,
            Self::Second { gpa, .. } => VirtAddr::new(gpa.raw()),
        }
    }

    /// Returns the stage that translates the query.
    #[must_use]
    pub fn stage(self) -> Stage {
        match self {
            Self::First(_) => Stage::First,
            Self::Second { .. } => Stage::Second,
        }
    }
}

/// The tags of a cached translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// The stage. Translations of both stages together have the first stage.
    pub stage: Stage,
    /// The address space. The second stage has none.
    pub asid: Asid,
    /// The virtual machine, for first-stage translations of a virtual machine.
    pub vmid: Option<Vmid>,
    /// The second-stage tables that the translation was made with, if any: their VMID, or on x86 the address of the
    /// first table.
    pub tables: Option<u64>,
}

impl Space {
    /// Returns the tags of an address space without a virtual machine.
    #[must_use]
    pub fn of_host(asid: Asid) -> Self {
        Self { stage: Stage::First, asid, vmid: None, tables: None }
    }

    /// Returns the tags of second-stage translations by these tables.
    #[must_use]
    pub fn of_second(tables: u64) -> Self {
        Self { stage: Stage::Second, asid: Asid(0), vmid: None, tables: Some(tables) }
    }

    /// Returns true if an access from `other` can use a translation with these tags, which is global or not.
    pub(super) fn is_seen_from(self, other: Self, global: bool) -> bool {
        let asid = if global { other.asid } else { self.asid };
        Self { asid, ..self } == other
    }
}
