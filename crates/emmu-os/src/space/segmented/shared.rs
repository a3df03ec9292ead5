//! Segments that nobody writes, of which one copy serves all.

use super::plan::Plan;
use crate::areas::Area;
use crate::{Region, Rights};
use alloc::collections::BTreeMap;

/// The shared segments, by numbers of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedSegments {
    next: u64,
    segments: BTreeMap<u64, Shared>,
}

/// One copy.
#[derive(Clone, Debug)]
struct Shared {
    region: Region,
    grows_down: bool,
    area: Area,
    /// The number of processes that share the segment.
    users: u64,
}

impl SharedSegments {
    /// Returns true if many processes can share one copy of this region.
    pub(super) const fn suits(region: &Region) -> bool {
        !region.rights().contains(Rights::WRITE)
    }

    /// Joins those that have a segment like this, if there are any.
    pub(super) fn join(&mut self, region: &Region, plan: Plan) -> Option<u64> {
        let is_like = |shared: &Shared| {
            shared.grows_down == plan.grows_down
                && shared.region.size() == region.size()
                && shared.region.rights() == region.rights()
                && shared.region.image() == region.image()
        };
        let (&id, shared) = self.segments.iter_mut().find(|(_, shared)| is_like(shared))?;
        shared.users += 1;
        Some(id)
    }

    /// Adds a segment with one user.
    pub(super) fn add(&mut self, region: &Region, plan: Plan, area: Area) -> u64 {
        let (id, grows_down) = (self.next, plan.grows_down);
        self.next += 1;
        self.segments.insert(id, Shared { region: region.clone(), grows_down, area, users: 1 });
        id
    }

    /// Takes a user away; its area, if that was the last.
    pub(super) fn leave(&mut self, id: u64) -> Option<Area> {
        let shared = self.segments.get_mut(&id)?;
        shared.users = shared.users.saturating_sub(1);
        if shared.users > 0 {
            return None;
        }
        self.segments.remove(&id).map(|shared| shared.area)
    }

    pub(super) fn area(&self, id: u64) -> Area {
        self.segments.get(&id).map_or(Area::default(), |shared| shared.area)
    }

    pub(super) fn areas_mut(&mut self) -> impl Iterator<Item = &mut Area> {
        self.segments.values_mut().map(|shared| &mut shared.area)
    }

    /// Returns the number of processes that share the segment.
    pub(super) fn users(&self, id: u64) -> u64 {
        self.segments.get(&id).map_or(0, |shared| shared.users)
    }
}
