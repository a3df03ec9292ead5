//! A second set of TLBs, as naive as can be: plain lists of pages. On the bundled trace each level of it hits and
//! misses exactly where the paging unit's TLBs do, access by access, for every [description](descriptions::ALL).
//!
//! Random replacement is not among them: the draw itself would have to be the unit's.
#![expect(clippy::unwrap_used, reason = "a test")]

mod descriptions;
mod duel;
mod naive;
mod set;
mod trace;

use descriptions::{ALL, Description, Mru, config};
use emmu_core::{Access, Event, Probe, TlbId, TranslationUnit, VirtAddr};
use emmu_memory::Memory;
use emmu_paging::{Inclusion, Paging, RiscV};
use naive::Naive;
use trace::{TracePiece, leaf_of, memory, pieces};

/// The lookups of one access, in order, and whether they found the page: three at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lookups([Option<(TlbId, bool)>; 3]);

impl Lookups {
    fn push(&mut self, tlb: TlbId, hit: bool) {
        let free = self.0.iter_mut().find(|lookup| lookup.is_none());
        *free.unwrap() = Some((tlb, hit));
    }

    /// Returns true if the access had to walk.
    fn walked(&self) -> bool {
        self.0.iter().flatten().all(|(_, hit)| !hit)
    }
}

impl Probe for Lookups {
    fn on(&mut self, event: Event) {
        match event {
            Event::TlbHit { tlb, .. } => self.push(tlb, true),
            Event::TlbMiss { tlb, .. } => self.push(tlb, false),
            _ => {}
        }
    }
}

/// Runs both on the trace, and counts the walks.
fn compare(pieces: &[TracePiece], mut memory: Memory, description: &Description<'_>) -> usize {
    let format = RiscV::rv64().with_satp(8 << 60 | 1);
    let mut unit = Paging::new(format, &config(description)).unwrap();
    let mut naive = Naive::new(description);
    let mut walks = 0;
    for (number, &TracePiece { kind, addr }) in pieces.iter().enumerate() {
        let mut lookups = Lookups::default();
        let access = Access::new(kind, VirtAddr::new(addr), 1);
        unit.translate(access, &mut memory, &mut lookups).unwrap();
        let expected = naive.reference(kind, addr, leaf_of(addr, description.large));
        let Description { name, .. } = description;
        assert_eq!(lookups, expected, "access {number}, to {addr:#x}, {name}");
        walks += usize::from(lookups.walked());
    }
    walks
}

#[test]
fn there_are_thirty_descriptions_and_each_has_a_name_of_its_own() {
    let mut names: Vec<_> = ALL.iter().map(|description| description.name).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() >= 30 && names.len() == ALL.len(), "{}", names.len());
}

#[test]
fn plain_lists_hit_and_miss_where_the_tlbs_do_on_the_bundled_trace() {
    let memories = [false, true].map(|large| memory(pieces(), large));
    for description in ALL {
        let memory = memories[usize::from(description.large)].clone();
        let walks = compare(pieces(), memory, description);
        assert!(walks > 20, "the trace puts {} to work: {walks} walks", description.name);
    }
}

/// Returns true if the lists alone distinguish two descriptions.
fn differ(pieces: &[TracePiece], one: &Description<'_>, other: &Description<'_>) -> bool {
    let (mut one, mut other, large) = (Naive::new(one), Naive::new(other), one.large);
    pieces.iter().any(|&TracePiece { kind, addr }| {
        let [one, other] =
            [&mut one, &mut other].map(|lists| lists.reference(kind, addr, leaf_of(addr, large)));
        one != other
    })
}

#[test]
fn inclusion_makes_a_difference() {
    for description in ALL.iter().filter(|description| description.is_bound()) {
        let levels = description.levels.iter().map(|level| level.of(Inclusion::NonInclusive));
        let levels: Vec<_> = levels.collect();
        let without = Description { levels: &levels, ..*description };
        assert!(differ(pieces(), description, &without), "{}", description.name);
    }
}

#[test]
fn each_policy_makes_a_difference() {
    let alike = ALL.iter().filter(|one| one.name.starts_with("sets of several ways, "));
    let alike: Vec<_> = alike.collect();
    assert_eq!(alike.len(), 6);
    for (number, one) in alike.iter().enumerate() {
        for other in &alike[..number] {
            assert!(differ(pieces(), one, other), "{} and {}", one.name, other.name);
        }
    }
}

#[test]
fn a_policy_of_ones_own_makes_a_difference() {
    let mru = ALL.iter().find(|description| description.name.contains("MRU")).unwrap();
    let config = config(mru);
    let emmu_paging::Banks::Unified(bank) = &config.tlb[0].banks else { panic!("unified") };
    assert_eq!(bank[0].geometry.policy(), emmu_paging::Policy::own::<Mru>());
}
