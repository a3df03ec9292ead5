//! Replacement policies against hits and misses that other simulators recorded: OSTEP's homework simulator of paging
//! policies (Arpaci-Dusseau, chapter 22) and libCacheSim 0.3.5.
#![expect(clippy::unwrap_used, reason = "a test")]

use emmu_assoc::{Assoc, Forever, Geometry, Owner, Policy, Replace};

/// MRU: the most recently used way makes room.
#[derive(Clone, Debug)]
struct Mru(Vec<usize>);

impl Replace for Mru {
    fn new(sets: usize, _: usize) -> Self {
        Self(vec![0; sets])
    }
    fn hit(&mut self, set: usize, way: usize) {
        self.0[set] = way;
    }
    fn filled(&mut self, set: usize, way: usize) {
        self.0[set] = way;
    }
    fn victim(&mut self, set: usize) -> usize {
        self.0[set]
    }
}

/// CLOCK with counters of `BITS` bits, which begin at `FIRST`.
#[derive(Clone, Debug)]
struct Clock<const BITS: u32, const FIRST: u8> {
    hands: Vec<usize>,
    counters: Vec<Vec<u8>>,
}

impl<const BITS: u32, const FIRST: u8> Replace for Clock<BITS, FIRST> {
    fn new(sets: usize, ways: usize) -> Self {
        Self { hands: vec![0; sets], counters: vec![vec![0; ways]; sets] }
    }
    fn hit(&mut self, set: usize, way: usize) {
        let counter = &mut self.counters[set][way];
        *counter = (*counter + 1).min((1 << BITS) - 1);
    }
    fn filled(&mut self, set: usize, way: usize) {
        self.counters[set][way] = FIRST;
    }
    fn victim(&mut self, set: usize) -> usize {
        let counters = &mut self.counters[set];
        loop {
            let way = self.hands[set];
            self.hands[set] = (way + 1) % counters.len();
            match counters[way].checked_sub(1) {
                Some(less) => counters[way] = less,
                None => return way,
            }
        }
    }
}

/// Returns H for each page that is there, and M for each that is not and so comes in.
fn replay(policy: Policy, frames: u32, pages: impl IntoIterator<Item = u64>) -> String {
    let mut table = Assoc::new(Geometry::fully_associative(frames, policy).unwrap());
    let mut refer = |page| match table.lookup(page, |_, ()| true).map(|found| found.slot) {
        Some(slot) => {
            table.hit(slot);
            'H'
        }
        None => {
            table.fill(page, Owner::ONLY, (), &Forever);
            'M'
        }
    };
    pages.into_iter().map(&mut refer).collect()
}

/// The pages, one a digit, and what each reference was recorded to be.
#[track_caller]
fn holds(policy: Policy, frames: u32, pages: &str, recorded: &str) {
    let pages = pages.chars().map(|page| page.to_digit(10).unwrap().into());
    assert_eq!(replay(policy, frames, pages), recorded, "{} of {frames} frames", policy.name());
}

#[test]
fn fifo_hits_and_misses_as_recorded() {
    let policy = Policy::Fifo;
    holds(
        policy,
        3,
        "4334134420240142114123420200031300034110",
        "MMHHMHHHMMHMHMHMHHHHHMMHMMHHHMMHMHHHMHHH",
    );
    holds(
        policy,
        5,
        "2221443021144043113233034430004114122024",
        "MHHMMHMMHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHH",
    );
    holds(policy, 6, "012340123401234", "MMMMMHHHHHHHHHH");
    holds(policy, 4, "321032432104", "MMMMHHMMMMMM");
}

#[test]
fn lru_hits_and_misses_as_recorded() {
    let policy = Policy::Lru;
    holds(policy, 6, "70120304230321201701", "MMMMHMHMHHHHHHHHHHHH");
    holds(
        policy,
        3,
        "4334134420240142114123420200031300034110",
        "MMHHMHHHMMHHHMHMHHHHHMMHMHHHHMMHHHHHMMHM",
    );
    holds(
        policy,
        5,
        "2221443021144043113233034430004114122024",
        "MHHMMHMMHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHH",
    );
    holds(policy, 7, "321032432104", "MMMMHHMHHHHH");
}

#[test]
fn mru_hits_and_misses_as_recorded() {
    let policy = Policy::own::<Mru>();
    holds(policy, 5, "012345012345012345", "MMMMMMHHHHMHHHHMHH");
    holds(
        policy,
        3,
        "4334134420240142114123420200031300034110",
        "MMHHMHHHMMMMMHMMMHMMMHMHHHHHHMMMMHHMHMHM",
    );
    holds(policy, 4, "012301401234", "MMMMHHMHMHHH");
    holds(policy, 7, "123412512345", "MMMMHHMHHHHH");
}

#[test]
fn clock_of_2_bits_that_begins_at_1_hits_and_misses_as_recorded() {
    let policy = Policy::own::<Clock<2, 1>>();
    holds(policy, 4, "123412512345", "MMMMHHMHHMMH");
}

#[test]
fn clock_of_1_bit_that_begins_clear_hits_and_misses_as_recorded() {
    let policy = Policy::own::<Clock<1, 0>>();
    holds(policy, 2, "01201303121", "MMMMMMMHMMH");
}

#[test]
fn clock_of_2_bits_that_begins_clear_hits_and_misses_as_recorded() {
    let policy = Policy::own::<Clock<2, 0>>();
    holds(policy, 3, "70120304230321201701", "MMMMHMHMMMHHHMHMHMHH");
}
