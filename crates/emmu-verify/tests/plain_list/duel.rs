//! DRRIP's duel, as naive as can be.

/// The policy that a set leads, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Srrip,
    Brrip,
    Follower,
}

impl Side {
    /// The side of a set: in group number g, counted from the first set on, the set at place g leads SRRIP and
    /// the one as far from the group's end leads BRRIP. Places begin again where g is past the end.
    pub(crate) fn of(number: usize, sets: usize) -> Self {
        let groups = match sets {
            2..8 => 1,
            8..128 => sets / 4,
            _ => 32,
        };
        let group: Vec<usize> = (0..sets).collect();
        let group = group.chunks((sets / groups).max(1)).enumerate();
        for (index, members) in group {
            let place = index % members.len();
            if members[place] == number {
                return Self::Srrip;
            }
            if members[members.len() - 1 - place] == number {
                return Self::Brrip;
            }
        }
        Self::Follower
    }
}

/// The state that all sets of one table share.
#[derive(Debug, Default)]
pub(crate) struct Duel {
    /// Misses of SRRIP's leaders beyond those of BRRIP's, from -511 to 512.
    ahead: i32,
    /// Fills that BRRIP has predicted.
    fills: u64,
}

impl Duel {
    /// The distance that a fill of a set of this side is predicted to have.
    pub(crate) fn fill(&mut self, side: Side) -> u8 {
        match side {
            Side::Srrip => self.ahead += 1,
            Side::Brrip => self.ahead -= 1,
            Side::Follower => {}
        }
        self.ahead = self.ahead.clamp(-511, 512);
        let is_brrip = side == Side::Brrip || side == Side::Follower && self.ahead > 0;
        if !is_brrip {
            return 2;
        }
        self.fills += 1;
        if self.fills.is_multiple_of(32) { 2 } else { 3 }
    }
}
