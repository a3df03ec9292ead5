//! Checks that the accelerator of a CPU changes no result.

use super::{Incoherent, Manual, Script, fixture::Fixture, script::Action, setup};
use crate::Unit;
use crate::differential::{CaseBus, perform};
use crate::generate::Case;
use emmu_core::{Access, Event, PhysAddr, Privilege, Width};
use emmu_cpu::{Cpu, Stop};
use emmu_memory::Memory;
use emmu_oracle::reference::SparseMemory;
use emmu_paging::PagingConfig;

type Machine<A> = Cpu<Unit<A>, Memory, Vec<Event>>;

/// Plays the script on two CPUs, one with the accelerator and one without. Makes every access twice. All results and
/// all events of the two CPUs must be the same.
///
/// # Errors
/// The first difference.
pub fn accelerator_agrees<A: Manual<Second = ()>>(
    case: Case<A>,
    script: Script,
) -> Result<(), Incoherent> {
    let Some((registers, fixture)) = Fixture::of(case) else { return Ok(()) };
    let machine = |accelerated| machine(&registers, &fixture, script.setup, accelerated);
    let (Some(fast), Some(slow)) = (machine(true), machine(false)) else { return Ok(()) };
    let (now, given) = (registers.clone(), registers.clone());
    let mut pair = Pair { now, given, fixture: &fixture, fast, slow, history: vec![] };
    script.steps.into_iter().try_for_each(|step| pair.step(step.action()))
}

fn machine<A: Manual<Second = ()>>(
    registers: &A,
    fixture: &Fixture,
    number: u16,
    accelerated: bool,
) -> Option<Machine<A>> {
    let mut bus = Memory::with(fixture.initial(), &[])?;
    let mut unit =
        registers.out_of_reset(&setup::config_of::<A>(number), &PagingConfig::default()).ok()?;
    registers.switch_on(&mut unit, &mut bus).ok()?;
    let mut cpu = Cpu::with_probe(unit, bus, Vec::new());
    cpu.set_accelerator(accelerated);
    cpu.install_handler(0.into()).ok()?;
    Some(cpu)
}

struct Pair<'a, A: Manual<Second = ()>> {
    now: A,
    given: A,
    fixture: &'a Fixture,
    fast: Machine<A>,
    slow: Machine<A>,
    history: Vec<String>,
}

impl<A: Manual<Second = ()>> Pair<'_, A> {
    fn step(&mut self, action: Action) -> Result<(), Incoherent> {
        match action {
            Action::Access { which, how, beyond } => {
                let access = self.fixture.varied(which, how, beyond);
                (0..2)
                    .try_for_each(|_| self.both(&access.to_string(), |cpu| make::<A>(cpu, access)))
            }
            Action::Repeat { which } => {
                let access = self.fixture.varied(which, 0, u8::MAX);
                self.both(&access.to_string(), |cpu| make::<A>(cpu, access))
            }
            Action::Poke { which, level, change } => {
                let poke = self.fixture.poke(&self.now, &self.tables(), (which, level, change));
                match poke {
                    Some(poke) => self.both(&format!("{poke:x?}"), |cpu| write::<A>(cpu, poke)),
                    None => Ok(()),
                }
            }
            Action::Invalidate { which, scope, asid } => {
                let scope = self.fixture.scope(which, scope, asid);
                self.both(&format!("{scope:x?}"), |cpu| {
                    privileged::<A, _>(cpu, |cpu| cpu.invalidate(scope))
                })
            }
            Action::RegisterWrite { choice, value } => {
                let tables = self.tables();
                let Some(turn) =
                    self.fixture.turn((&mut self.now, &self.given), &tables, (choice, value))
                else {
                    return Ok(());
                };
                let write = |cpu: &mut Machine<A>| cpu.write_register(turn.id, turn.value);
                self.both(&format!("{turn:x?}"), |cpu| privileged::<A, _>(cpu, write))
            }
        }
    }

    /// Returns the present tables, at their addresses in the beginning.
    fn tables(&self) -> SparseMemory {
        let mut tables = self.fixture.initial().clone();
        let words: Vec<PhysAddr> = tables.words().map(|(addr, _)| addr).collect();
        for addr in words {
            if let Ok(word) = emmu_core::Bus::peek(self.slow.bus(), addr, Width::B4) {
                tables.write32(addr, u32::try_from(word).unwrap_or(0));
            }
        }
        tables
    }

    fn both<T: core::fmt::Debug + PartialEq>(
        &mut self,
        what: &str,
        run: impl Fn(&mut Machine<A>) -> Result<T, Stop>,
    ) -> Result<(), Incoherent> {
        let results = [run(&mut self.fast), run(&mut self.slow)];
        let events = [&mut self.fast, &mut self.slow].map(|cpu| core::mem::take(cpu.probe_mut()));
        self.history.push(format!("{what}: {:x?}", results[1]));
        if results[0] == results[1] && events[0] == events[1] {
            return Ok(());
        }
        let what = format!("the accelerator changes {results:x?} or {events:x?}");
        Err(Incoherent { what, history: self.history.clone() })
    }
}

fn make<A: Manual<Second = ()>>(
    cpu: &mut Machine<A>,
    access: Access,
) -> Result<Option<Vec<u8>>, Stop> {
    cpu.set_privilege(access.privilege);
    let bytes = vec![0; access.size as usize];
    let made = perform(cpu, access, &bytes);
    if made.is_err() {
        let _ = cpu.return_from_trap();
    }
    made
}

/// Writes an entry: by a store of the CPU if one of its privileges is not translated, or else on the bus.
fn write<A: Manual<Second = ()>>(
    cpu: &mut Machine<A>,
    (addr, width, value): (PhysAddr, Width, u64),
) -> Result<(), Stop> {
    if let Some(privilege) = A::UNTRANSLATED {
        cpu.set_privilege(privilege);
        return cpu.store(addr.raw().into(), width, value);
    }
    // Holes stay holes.
    let _ = emmu_core::Bus::write(cpu.bus_mut(), addr, width, value);
    Ok(())
}

fn privileged<A: Manual<Second = ()>, T>(
    cpu: &mut Machine<A>,
    run: impl Fn(&mut Machine<A>) -> Result<T, Stop>,
) -> Result<T, Stop> {
    cpu.set_privilege(Privilege::Machine);
    run(cpu)
}
