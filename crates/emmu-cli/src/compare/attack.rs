//! Five attacks on isolation. Each is a program that runs.
//!
//! The attacker knows the physical addresses of its target, of itself and of the disk. It tries every way that may help.
//! Each attempt is a program of its own, on a system of its own.

mod exploit;

use super::program::Shape;
use super::system::{DISK, Kind, Setting, System};
use anyhow::Result;
use emmu_core::PhysAddr;
use emmu_memory::Disk;
use emmu_os::toy::{Core, Instruction};
use emmu_os::{OsError, Pid};
use serde::Serialize;

/// The outcome of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// At least one attempt succeeded.
    Succeeds,
    /// No attempt succeeded.
    Stopped,
    /// There is nothing to attack: no second process, no register.
    NoTarget,
}

/// The outcomes of all five.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Attacks {
    /// Reading the memory of another process.
    pub(crate) read_neighbour: Outcome,
    /// Overwriting the memory of another process.
    pub(crate) write_neighbour: Outcome,
    /// Overwriting the operating system.
    pub(crate) overwrite_os: Outcome,
    /// Writing a register that relocates or translates.
    pub(crate) write_register: Outcome,
    /// Reading memory that an ended process has left.
    pub(crate) read_leftovers: Outcome,
}

impl Attacks {
    /// Returns the outcomes in the order of the table's columns.
    pub(crate) const fn outcomes(&self) -> [Outcome; 5] {
        [
            self.read_neighbour,
            self.write_neighbour,
            self.overwrite_os,
            self.write_register,
            self.read_leftovers,
        ]
    }
}

pub(crate) fn all(kind: Kind, setting: &Setting<'_>, shape: &Shape) -> Result<Attacks> {
    let scene = Scene { kind, setting, shape };
    Ok(Attacks {
        read_neighbour: scene.read_neighbour()?,
        write_neighbour: scene.write_neighbour()?,
        overwrite_os: scene.overwrite_os()?,
        write_register: scene.write_register()?,
        read_leftovers: scene.read_leftovers()?,
    })
}

/// The word that a victim keeps, and the word that an attacker puts in its place. Neither comes about by accident.
const SECRET: u64 = 0x5ec2_e75e_c2e7_5ec2;
const FORGED: u64 = 0xf02_6edf_026e_df02;
/// The word at the start of the attacker's heap, by which its own place can be found.
const MARK: u64 = 0xa77a_c4e2_a77a_c4e2;

/// A way to reach a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As if addresses were physical.
    Physical,
    /// By the difference of the physical address and one's own place.
    Relative,
    /// Through the operating system's own window to memory.
    Window,
    /// Through the disk's controller, as if its addresses were physical.
    Disk,
}

impl Way {
    const ALL: [Self; 4] = [Self::Physical, Self::Relative, Self::Window, Self::Disk];
}

/// The parts of which an attacked system is built.
#[derive(Clone, Copy)]
struct Scene<'a> {
    kind: Kind,
    setting: &'a Setting<'a>,
    shape: &'a Shape,
}

impl<'a> Scene<'a> {
    fn read_neighbour(self) -> Result<Outcome> {
        any_way(|way| self.read(way, false))
    }

    fn write_neighbour(self) -> Result<Outcome> {
        any_way(|way| {
            let mut stage = self.stage()?;
            let Some((mut victim, mut attacker)) =
                stage.victim_and(exploit::write(way == Way::Disk))?
            else {
                return Ok(None);
            };
            stage.aim(&mut attacker, SECRET, way);
            stage.turn(&mut attacker)?;
            stage.turn(&mut victim)?;
            Ok(Some(victim.core.shown().last() == Some(&FORGED)))
        })
    }

    fn overwrite_os(self) -> Result<Outcome> {
        any_way(|way| {
            let mut stage = self.stage()?;
            let mut attacker = stage.spawn(exploit::write(way == Way::Disk), MARK)?;
            let target = self.setting.os_word();
            let before = stage.system.word(target);
            stage.aim_at(&mut attacker, target, way);
            stage.turn(&mut attacker)?;
            Ok(Some(stage.system.word(target) != before))
        })
    }

    fn write_register(self) -> Result<Outcome> {
        let registers = self.stage()?.system.privileged()?.len();
        let mut outcome = Outcome::NoTarget;
        for number in 0..registers {
            let mut stage = self.stage()?;
            let id = stage.system.privileged()?[number].0;
            let mut attacker = stage.spawn(exploit::write_register(id), MARK)?;
            // A turn without harm, so that the registers are the attacker's.
            stage.turn(&mut attacker)?;
            let forged = stage.system.privileged()?[number].1 ^ 0x1000;
            attacker.set(exploit::WORD, forged);
            stage.turn(&mut attacker)?;
            if stage.system.privileged()?[number].1 == forged {
                return Ok(Outcome::Succeeds);
            }
            outcome = Outcome::Stopped;
        }
        Ok(outcome)
    }

    /// Attacks with a process that began before the victim ended, and with one that begins after that and searches its
    /// own memory.
    fn read_leftovers(self) -> Result<Outcome> {
        if any_way(|way| self.read(way, true))? == Outcome::Succeeds {
            return Ok(Outcome::Succeeds);
        }
        let mut stage = self.stage()?;
        let victim = stage.victim()?;
        stage.system.terminate(victim.pid)?;
        let mut attacker = stage.spawn(exploit::search(self.shape), 0)?;
        stage.turn(&mut attacker)?;
        let found = attacker.core.shown().contains(&SECRET);
        Ok(if found { Outcome::Succeeds } else { Outcome::Stopped })
    }

    /// Returns true if an attacker reads the secret, perhaps after its owner has ended.
    fn read(self, way: Way, ended: bool) -> Result<Option<bool>> {
        let mut stage = self.stage()?;
        let Some((victim, mut attacker)) = stage.victim_and(exploit::read(way == Way::Disk))?
        else {
            return Ok(None);
        };
        if ended {
            stage.system.terminate(victim.pid)?;
        }
        stage.aim(&mut attacker, SECRET, way);
        stage.turn(&mut attacker)?;
        Ok(Some(attacker.core.shown().contains(&SECRET)))
    }

    fn stage(self) -> Result<Stage<'a>> {
        Ok(Stage { scene: self, system: self.setting.boot(self.kind)? })
    }
}

/// Tries every way until one succeeds. An attempt returns whether it succeeded, or `None` if there is no target.
fn any_way(attempt: impl Fn(Way) -> Result<Option<bool>>) -> Result<Outcome> {
    let mut outcome = Outcome::NoTarget;
    for way in Way::ALL {
        match attempt(way)? {
            Some(true) => return Ok(Outcome::Succeeds),
            Some(false) => outcome = Outcome::Stopped,
            None => {}
        }
    }
    Ok(outcome)
}

/// A booted system, on which victim and attacker meet.
struct Stage<'a> {
    scene: Scene<'a>,
    system: Box<dyn System>,
}

/// A process and the core that executes it.
struct Actor {
    pid: Pid,
    core: Core,
}

impl Actor {
    fn set(&mut self, register: u8, value: u64) {
        self.core = self.core.clone().with_register(register, value);
    }
}

impl Stage<'_> {
    /// Makes a process of these instructions, with a word at the start of its heap.
    fn spawn(&mut self, text: Vec<Instruction>, word: u64) -> Result<Actor> {
        let (kind, content) = (self.scene.kind, word.to_le_bytes().to_vec());
        let image = self.scene.shape.image_with(text, kind.whole_pages(), content)?;
        let pid = self.system.spawn(image.layout())?;
        let core = Core::of(&image, self.system.origin(pid)?).with_register(exploit::WORD, FORGED);
        Ok(Actor { pid, core })
    }

    /// Makes a process that holds the secret, and shows it once in each turn.
    fn victim(&mut self) -> Result<Actor> {
        let mut victim = self.spawn(exploit::watch(self.scene.shape), SECRET)?;
        self.turn(&mut victim)?;
        Ok(victim)
    }

    /// Makes a victim and an attacker. Returns `None` if the system has room for one process only.
    fn victim_and(&mut self, attack: Vec<Instruction>) -> Result<Option<(Actor, Actor)>> {
        let victim = self.victim()?;
        match self.spawn(attack, MARK) {
            Ok(attacker) => Ok(Some((victim, attacker))),
            Err(error) if error.downcast_ref() == Some(&OsError::Occupied) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets a process run until it pauses, ends or is ended.
    fn turn(&mut self, actor: &mut Actor) -> Result<()> {
        self.system.resume(actor.pid, &mut actor.core)?;
        Ok(())
    }

    /// Tells the attacker the place of a word of the victim.
    fn aim(&mut self, attacker: &mut Actor, word: u64, way: Way) {
        if way == Way::Disk {
            let (block, offset) = self.system.find_on_disk(word).unwrap_or_default();
            let controller = |offset| DISK.wrapping_add(offset).raw();
            attacker.set(exploit::READ, Disk::READ);
            attacker.set(exploit::WRITE, Disk::WRITE);
            attacker.set(exploit::BLOCK, block);
            attacker.set(exploit::BLOCK_REGISTER, controller(Disk::BLOCK));
            attacker.set(exploit::COMMAND_REGISTER, controller(Disk::COMMAND));
            attacker.set(exploit::POINTER, controller(Disk::BUFFER + offset));
            return;
        }
        let target = self.system.find(word).unwrap_or(PhysAddr::ZERO);
        self.aim_at(attacker, target, way);
    }

    /// Tells the attacker the physical address of its target.
    fn aim_at(&mut self, attacker: &mut Actor, target: PhysAddr, way: Way) {
        let addr = match way {
            Way::Physical | Way::Disk => target.raw(),
            Way::Relative => target.raw().wrapping_sub(self.place_of_attacker()),
            Way::Window => self.system.window().wrapping_add(target.raw()),
        };
        attacker.set(exploit::POINTER, addr);
    }

    /// Returns the physical address of the attacker's address 0, as if all of it were in one piece with its heap.
    fn place_of_attacker(&mut self) -> u64 {
        let heap = self.system.find(MARK).map_or(0, PhysAddr::raw);
        heap.wrapping_sub(self.scene.shape.heap_start())
    }
}
