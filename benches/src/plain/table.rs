//! A set-associative table with exact LRU.

/// `SETS` sets of `WAYS` ways, with the time of each entry's last use.
#[derive(Debug)]
pub(super) struct Lru<const SETS: usize, const WAYS: usize> {
    sets: Box<[[Entry; WAYS]; SETS]>,
    now: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u64,
    value: u64,
    /// 0 if it is vacant.
    used: u64,
}

impl<const SETS: usize, const WAYS: usize> Lru<SETS, WAYS> {
    pub(super) fn new() -> Self {
        let vacant = Entry { tag: 0, value: 0, used: 0 };
        Self { sets: Box::new([[vacant; WAYS]; SETS]), now: 0 }
    }

    #[inline]
    pub(super) fn find(&mut self, tag: u64) -> Option<u64> {
        self.now += 1;
        let set = &mut self.sets[set::<SETS>(tag)];
        let entry = set.iter_mut().find(|entry| entry.tag == tag && entry.used != 0)?;
        entry.used = self.now;
        Some(entry.value)
    }

    /// Takes the place of the entry used longest ago.
    #[inline]
    pub(super) fn fill(&mut self, tag: u64, value: u64) {
        self.now += 1;
        let set = &mut self.sets[set::<SETS>(tag)];
        if let Some(oldest) = set.iter_mut().min_by_key(|entry| entry.used) {
            *oldest = Entry { tag, value, used: self.now };
        }
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "less than the number of sets")]
fn set<const SETS: usize>(tag: u64) -> usize {
    (tag % SETS as u64) as usize
}
