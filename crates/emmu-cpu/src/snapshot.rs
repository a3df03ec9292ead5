//! Snapshots of CPUs. They hold the unit and the bus, so the whole machine except the probe.

use crate::atomic::Reservation;
use crate::{Cpu, Exception, Illegal, Trap};
use alloc::string::{String, ToString as _};
use emmu_core::{
    Access, AccessFlags, Bus, BusError, Fault, Privilege, Probe, RegisterError, RegisterId,
    Registers, TranslationUnit, VirtAddr,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

#[derive(Serialize)]
#[serde(rename = "Cpu")]
struct Shown<'a, U, B> {
    unit: &'a U,
    bus: &'a B,
    own: Own,
}

/// The snapshot as it is read. It may hold anything, so its values are checked.
#[derive(Deserialize)]
#[serde(rename = "Cpu")]
struct Read<U, B> {
    unit: U,
    bus: B,
    own: Own,
}

/// The state of the CPU itself.
#[derive(Serialize, Deserialize)]
struct Own {
    privilege: Privilege,
    guest: bool,
    pc: VirtAddr,
    vector: Option<VirtAddr>,
    trap: Option<SavedTrap>,
    halted: Option<Raised>,
    restart: Option<Access>,
    reservation: Option<Reservation>,
}

/// Writes a CPU with any probe.
impl<U: Serialize, B: Serialize, P> Serialize for Cpu<U, B, P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = Own {
            privilege: self.privilege,
            guest: self.flags.contains(AccessFlags::GUEST),
            pc: self.pc,
            vector: self.vector,
            trap: self.trap.map(SavedTrap::from),
            halted: self.halted.map(Raised::from),
            restart: self.restart,
            reservation: self.reservation,
        };
        Shown { unit: &self.unit, bus: &self.bus, own }.serialize(serializer)
    }
}

/// Reads a CPU with a new probe, because the state of a probe is no part of the machine.
impl<'de, U, B, P> Deserialize<'de> for Cpu<U, B, P>
where
    U: TranslationUnit<B, P> + Deserialize<'de>,
    B: Bus + Deserialize<'de>,
    P: Probe + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Read { unit, bus, own } = Read::deserialize(deserializer)?;
        if !own.reservation.is_none_or(Reservation::is_sound) {
            return Err(D::Error::custom("reservation: more than its bytes can have held"));
        }
        let mut cpu = Self::with_probe(unit, bus, P::default());
        cpu.take_on(own);
        Ok(cpu)
    }
}

impl<U, B, P> Cpu<U, B, P>
where
    U: TranslationUnit<B, P>,
    B: Bus,
    P: Probe,
{
    fn take_on(&mut self, own: Own) {
        self.privilege = own.privilege;
        self.flags.set(AccessFlags::GUEST, own.guest);
        self.pc = own.pc;
        self.vector = own.vector;
        self.trap = own.trap.map(|trap| trap.of(&self.unit));
        self.halted = own.halted.map(|raised| raised.of(&self.unit));
        self.restart = own.restart;
        self.reservation = own.reservation;
        self.rekey();
    }
}

/// A [`Trap`] as it is written.
#[derive(Serialize, Deserialize)]
struct SavedTrap {
    pc: VirtAddr,
    privilege: Privilege,
    guest: bool,
    exception: Option<Raised>,
}

impl From<Trap> for SavedTrap {
    fn from(Trap { pc, privilege, guest, exception }: Trap) -> Self {
        Self { pc, privilege, guest, exception: exception.map(Raised::from) }
    }
}

impl SavedTrap {
    fn of(self, unit: &impl Registers) -> Trap {
        let Self { pc, privilege, guest, exception } = self;
        Trap { pc, privilege, guest, exception: exception.map(|raised| raised.of(unit)) }
    }
}

/// An [`Exception`] as it is written.
#[derive(Serialize, Deserialize)]
enum Raised {
    Fault(Fault),
    Misaligned(Access),
    IllegalInstruction(Illegal),
    RegisterRefused(Refused),
    SystemCall(Privilege),
}

impl From<Exception> for Raised {
    fn from(exception: Exception) -> Self {
        match exception {
            Exception::Fault(fault) => Self::Fault(fault),
            Exception::Misaligned(access) => Self::Misaligned(access),
            Exception::IllegalInstruction(illegal) => Self::IllegalInstruction(illegal),
            Exception::RegisterRefused(error) => Self::RegisterRefused(error.into()),
            Exception::SystemCall(privilege) => Self::SystemCall(privilege),
        }
    }
}

impl Raised {
    fn of(self, unit: &impl Registers) -> Exception {
        match self {
            Self::Fault(fault) => Exception::Fault(fault),
            Self::Misaligned(access) => Exception::Misaligned(access),
            Self::IllegalInstruction(illegal) => Exception::IllegalInstruction(illegal),
            Self::RegisterRefused(refused) => Exception::RegisterRefused(refused.of(unit)),
            Self::SystemCall(privilege) => Exception::SystemCall(privilege),
        }
    }
}

/// A [`RegisterError`] as it is written, with its text.
#[derive(Serialize, Deserialize)]
enum Refused {
    Unknown(RegisterId),
    Reserved { name: String, value: u64, what: String },
    NotModelled { name: String, value: u64, what: String },
    Bus { name: String, error: BusError },
    Fault(Fault),
}

impl From<RegisterError> for Refused {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Unknown { id } => Self::Unknown(id),
            RegisterError::Reserved { name, value, what } => {
                Self::Reserved { name: name.to_string(), value, what: what.to_string() }
            }
            RegisterError::NotModelled { name, value, what } => {
                Self::NotModelled { name: name.to_string(), value, what: what.to_string() }
            }
            RegisterError::Bus { name, error } => Self::Bus { name: name.to_string(), error },
            RegisterError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl Refused {
    /// Makes the error with the unit's own text, because no other text lives long enough.
    fn of(self, unit: &impl Registers) -> RegisterError {
        let name = |name: String| {
            let known = unit.registers().iter().find(|info| info.name == name);
            known.map_or("a register", |info| info.name)
        };
        let what =
            |what: String| unit.known_reason(&what).unwrap_or("as it did when this was written");
        match self {
            Self::Unknown(id) => RegisterError::Unknown { id },
            Self::Reserved { name: of, value, what: why } => {
                RegisterError::Reserved { name: name(of), value, what: what(why) }
            }
            Self::NotModelled { name: of, value, what: why } => {
                RegisterError::NotModelled { name: name(of), value, what: what(why) }
            }
            Self::Bus { name: of, error } => RegisterError::Bus { name: name(of), error },
            Self::Fault(fault) => RegisterError::Fault(fault),
        }
    }
}
