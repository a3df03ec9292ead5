//! `Query`: an address for one stage to translate; `Space`: the tags of the translations that can answer it.

use emmu_core::{Access, AccessFlags, AccessKind, Asid, PhysAddr, Privilege, VirtAddr, Vmid};
use emmu_oracle::two_stage::{Stage, Visit};

/// An address for one stage to translate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// To the first stage, or the only one: an access.
    First(Access),
    /// To the second stage: a guest-physical address that an access uses.
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
    /// Something that comes by the tables of `space` for this address.
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

    /// The access that it is for.
    #[must_use]
    pub fn access(self) -> Access {
        match self {
            Self::First(access) | Self::Second { access, .. } => access,
        }
    }

    /// The address that is translated: virtual, or guest-physical.
    #[must_use]
    pub fn addr(self) -> VirtAddr {
        match self {
            Self::First(access) => access.addr,
            Self::Second { gpa, .. } => VirtAddr::new(gpa.raw()),
        }
    }

    /// Which stage it is put to.
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
    /// Of which stage they are; those of both together are the first stage's.
    pub stage: Stage,
    /// The address space. The second stage has none.
    pub asid: Asid,
    /// The virtual machine whose first-stage translations they are, if it is one's.
    pub vmid: Option<Vmid>,
    /// The second-stage tables that they were made with, if they were: by VMID, or on x86 by the first table.
    pub tables: Option<u64>,
}

impl Space {
    /// An address space where there are no virtual machines.
    #[must_use]
    pub fn of_host(asid: Asid) -> Self {
        Self { stage: Stage::First, asid, vmid: None, tables: None }
    }

    /// Second-stage translations by these tables.
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
