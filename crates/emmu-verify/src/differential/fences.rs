//! Checks the fences after which guests may rely on changed tables.

use super::{
    Disagreement, Mismatch, Setting, implemented,
    trace::{Trace, TracedRead},
    trial::Trial,
};
use crate::generate::Case;
use crate::{Architecture, Unit};
use emmu_core::{Access, Event, Invalidate, PhysAddr, RegisterId, TranslationUnit, VirtAddr};
use emmu_oracle::{
    Memory,
    reference::{SparseMemory, Write},
    two_stage::Stage,
};
use std::collections::{BTreeMap, BTreeSet};

/// The fences of an architecture with two stages, as its manual defines them.
pub trait Fenced: Architecture {
    /// Returns true if both stages translate the access, or would translate it if they were on.
    fn is_of_guest(&self, access: Access) -> bool {
        let _ = access;
        true
    }

    /// Returns the first table of the second stage, and a size in bytes that it does not exceed.
    fn second_root(&self) -> (PhysAddr, u64);

    /// Lets another virtual machine run. Its number is the present one or the next to it, as `odd` says, and the first
    /// table of its second stage is at `root`. Returns the registers to write.
    fn enter(&mut self, odd: bool, root: PhysAddr) -> Vec<(RegisterId, u64)>;

    /// Lets another address space of the guest run in the same way, with the same tables. Returns no registers where
    /// this is not tried.
    fn turn(&mut self, odd: bool) -> Vec<(RegisterId, u64)> {
        let _ = odd;
        Vec::new()
    }

    /// Returns the fences that invalidate first-stage translations of the present virtual machine: for the page of an
    /// address or for all, in the present address space alone, without those that are global, or in all.
    fn fence_first(&self, addr: Option<VirtAddr>, own: bool) -> Vec<Invalidate>;

    /// Returns the fences that invalidate second-stage translations of the present virtual machine or of all, and the
    /// combined translations made with them: for the page of a guest-physical address or for all.
    fn fence_second(&self, all: bool, addr: Option<PhysAddr>) -> Vec<Invalidate>;

    /// Returns the fences that must follow where the second stage maps the guest's own tables. There are none if
    /// `fence_second` already invalidates the entries that were read there.
    fn fence_tables(&self) -> Vec<Invalidate> {
        Vec::new()
    }
}

/// A step: its kind (a switch, an access, or a change of an entry that some access meets), and the numbers that choose
/// the details.
pub type Step = [u8; 4];

/// Runs accesses of the case on a unit whose caches are never flushed, while software changes entries of both stages.
/// Each change is followed by the narrowest fence that is enough for all accesses that have met the entry so far. Two
/// virtual machines, whose second stages differ in their first tables, and two address spaces take turns without any
/// fence. Each access must give the result of the model.
///
/// # Errors
/// The first [`Disagreement`].
pub fn fences_suffice<A: Fenced>(case: Case<A>, steps: &[Step]) -> Result<(), Disagreement> {
    let accesses = case.accesses.iter().filter(|access| case.registers.is_of_guest(**access));
    let case = Case { accesses: accesses.copied().collect(), ..case };
    let (case, roots) = with_second_root(implemented(case));
    [Setting::WarmPages, Setting::Warm].into_iter().try_for_each(|setting| {
        let Some(mut scene) = Scene::switch_on(&case, roots, setting) else { return Ok(()) };
        steps.iter().enumerate().try_for_each(|(number, step)| {
            scene.step(*step).map_err(|mismatch| {
                let place = format!("step {number} of:\n  {}\n ", scene.story.join("\n  "));
                Disagreement { setting, place, mismatch }
            })
        })
    })
}

/// Returns the case with a copy of the second stage's first table, and the addresses of both tables.
fn with_second_root<A: Fenced>(mut case: Case<A>) -> (Case<A>, [PhysAddr; 2]) {
    // Aligned to all that a first table can be, and in reach of all.
    const COPY: PhysAddr = PhysAddr::new(0xabc0_0000);
    let (root, len) = case.registers.second_root();
    let copied = case.mem.iter().filter_map(|write| {
        let offset = write.addr.raw().wrapping_sub(root.raw());
        (offset < len).then_some(Write { addr: COPY.wrapping_add(offset), ..*write })
    });
    let copied: Vec<_> = copied.collect();
    case.mem.extend(copied);
    (case, [root, COPY])
}

/// The use of an entry by an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Meeting {
    stage: Stage,
    machine: bool,
    space: bool,
    /// The page that was translated: virtual, or guest-physical at the second stage.
    page: u64,
    /// True if a table of the guest lies at this address.
    table: bool,
    /// True if the walk ended with this entry.
    last: bool,
    /// True if the translation may be global.
    global: bool,
}

/// An entry on the way of an access.
#[derive(Clone, Copy)]
struct Met {
    addr: PhysAddr,
    raw: u64,
    meeting: Meeting,
}

struct Scene<'a, A: Fenced> {
    case: &'a Case<A>,
    trial: Trial<A>,
    /// A unit without caches, whose events show the entries that each access meets.
    guide: Unit<A>,
    roots: [PhysAddr; 2],
    machine: bool,
    space: bool,
    met: BTreeMap<PhysAddr, BTreeSet<Meeting>>,
    story: Vec<String>,
}

impl<'a, A: Fenced> Scene<'a, A> {
    fn switch_on(case: &'a Case<A>, roots: [PhysAddr; 2], setting: Setting) -> Option<Self> {
        let trial = Trial::switch_on(case, setting).ok().flatten()?;
        let [config, second] = Setting::Uncached.configs(&case.registers.sizes());
        let mut guide = case.registers.out_of_reset(&config, &second).ok()?;
        case.registers.switch_on(&mut guide, &mut case.memory()).ok()?;
        let (met, story) = (BTreeMap::new(), Vec::new());
        let (machine, space) = (false, false);
        let mut scene = Self { case, trial, guide, roots, machine, space, met, story };
        // Loads of registers may have met entries too.
        scene.trial.invalidate(&case.registers.everything());
        let first = [[6, 0, 0, 0], [7, 0, 0, 0]].into_iter().try_for_each(|step| scene.step(step));
        (first.is_ok() && !case.accesses.is_empty()).then_some(scene)
    }

    fn step(&mut self, [what, which, how, more]: Step) -> Result<(), Mismatch> {
        match what % 8 {
            0..=3 => self.access(self.which(which)),
            4..=5 => {
                self.change(which, how, more);
                Ok(())
            }
            6 => {
                self.machine = which % 2 == 1;
                let root = self.roots[usize::from(self.machine)];
                self.take_turns(|registers| registers.enter(which % 2 == 1, root))
            }
            _ => {
                self.space = which % 2 == 1;
                self.take_turns(|registers| registers.turn(which % 2 == 1))
            }
        }
    }

    fn which(&self, which: u8) -> Access {
        self.case.accesses[usize::from(which) % self.case.accesses.len()]
    }

    fn access(&mut self, access: Access) -> Result<(), Mismatch> {
        let met = self.meetings(access);
        // A run may be cached for one page, and no fence is then enough that is not for all of it.
        if self.trial.has_run(access) {
            return Ok(());
        }
        self.story.push(access.to_string());
        for Met { addr, meeting, .. } in met {
            self.met.entry(addr.align_down(3)).or_default().insert(meeting);
        }
        self.trial.access(access)
    }

    /// Returns the entries that the walk for the access reads now.
    fn meetings(&mut self, access: Access) -> Vec<Met> {
        let mut events: Vec<Event> = Vec::new();
        let _ = self.guide.translate(access, &mut self.trial.memory().clone(), &mut events);
        let trace = Trace::of(&events).unwrap_or_default();
        let global =
            trace.reads.iter().any(|traced| traced.entry.raw.is_some_and(|raw| raw >> 5 & 1 == 1));
        let mut met: Vec<Met> = Vec::new();
        for TracedRead { stage, entry, guest } in trace.reads.iter().copied() {
            let page = guest.map_or(access.addr.raw(), |guest| guest.addr.raw()) >> 12;
            let table = guest.is_some_and(|guest| guest.walk);
            let (machine, space) = (self.machine, self.space);
            for Met { meeting: before, .. } in &mut met {
                before.last &= (before.stage, before.page) != (stage, page);
            }
            let meeting = Meeting { stage, machine, space, page, table, last: true, global };
            met.push(Met { addr: entry.addr, raw: entry.raw.unwrap_or(0), meeting });
        }
        met
    }

    /// Changes an entry on the way of an access, and makes the fences.
    fn change(&mut self, which: u8, how: u8, more: u8) {
        let met = self.meetings(self.which(which));
        let count = met.len().max(1);
        let Some(&Met { addr, raw, .. }) = met.get(usize::from(how) % count) else { return };
        let size = if self.trial.memory().read64(addr) == Ok(raw) { 8 } else { 4 };
        let value = match usize::from(more >> 2) {
            0..=3 => value_at(&self.case.memory(), addr, size),
            4 => 0,
            bit => raw ^ 1 << BITS[bit % BITS.len()],
        };
        let value = if size == 4 { value & 0xffff_ffff } else { value };
        let fences = self.fences(addr, more);
        self.story.push(format!("{addr} := {value:#x}, {fences:x?}"));
        self.trial.change(Write { addr, size, value }, &fences);
    }

    /// Returns the fences that suffice after a change of the entry.
    fn fences(&mut self, addr: PhysAddr, choice: u8) -> Vec<Invalidate> {
        let met = self.met.get(&addr.align_down(3)).cloned().unwrap_or_default();
        let registers = self.trial.registers();
        let foreign = |meeting: &Meeting| meeting.machine != self.machine;
        let of = |stage| met.iter().filter(move |meeting| meeting.stage == stage);
        if of(Stage::First).any(foreign) || choice & 0b11 == 0b11 {
            return [registers.everything(), registers.fence_second(true, None)].concat();
        }
        let mut fences = Vec::new();
        if of(Stage::First).next().is_some() {
            let own = choice & 1 == 1
                && of(Stage::First).all(|meeting| meeting.space == self.space && !meeting.global);
            let page = single(of(Stage::First)).filter(|_| choice & 2 == 0);
            fences.extend(registers.fence_first(page.map(|page| VirtAddr::new(page << 12)), own));
        }
        if of(Stage::Second).next().is_some() {
            let page = single(of(Stage::Second)).filter(|_| choice & 1 == 0);
            let all = of(Stage::Second).any(foreign);
            fences.extend(registers.fence_second(all, page.map(|page| PhysAddr::new(page << 12))));
            if of(Stage::Second).any(|meeting| meeting.table) {
                fences.extend(registers.fence_tables());
            }
        }
        fences
    }

    fn take_turns(
        &mut self,
        turn: impl Fn(&mut A) -> Vec<(RegisterId, u64)>,
    ) -> Result<(), Mismatch> {
        let writes = self.trial.turn(&turn)?;
        for (id, value) in &writes {
            let memory = &mut self.trial.memory().clone();
            let _ = self.guide.write_register(*id, *value, memory, &mut Vec::new());
        }
        self.story.push(format!("{writes:x?}"));
        Ok(())
    }
}

/// Bits whose change gives an entry another meaning in some format. None of them makes an entry part of a run.
const BITS: [u32; 21] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 21, 22, 51, 53, 54, 62];

/// Returns the page in which the entry was met, each time at the end of a walk, if there was only one such page.
fn single<'m>(mut met: impl Iterator<Item = &'m Meeting>) -> Option<u64> {
    let first = met.next().filter(|meeting| meeting.last)?;
    met.all(|other| other.last && other.page == first.page).then_some(first.page)
}

fn value_at(memory: &SparseMemory, addr: PhysAddr, size: u8) -> u64 {
    let value = match size {
        4 => memory.read32(addr).map(u64::from),
        _ => memory.read64(addr),
    };
    value.unwrap_or(0)
}
