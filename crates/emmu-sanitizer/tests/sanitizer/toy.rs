//! A format of a user's own, with its anatomy.

use emmu_core::{
    Access, Asid, Attributes, Cause, Invalidate, PhysAddr, Privilege, RegisterError, RegisterId,
    RegisterInfo, Width,
    anatomy::{Anatomy, Change, Dirty, Fences, Flags, Stale},
};
use emmu_paging::format::{Entry, Format, Mapping, ReadWord, Root, Route, Shape};
use std::fmt;

/// Where the tables are, or 0; the high half is the address space.
pub(crate) const ROOT: RegisterId = RegisterId(7);

/// Two levels of different widths, entries of four bytes: bit 0 valid, 1 a table, 2 writable, 3 accessed, 4 dirty,
/// 5 global; the frame from bit 12 on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Toy {
    root: u64,
}

impl Toy {
    fn space(&self) -> Asid {
        Asid(u16::try_from(self.root >> 32).unwrap_or(0))
    }
}

static SHAPE: Shape = match Shape::new(Width::B4, 12, &[8, 4]) {
    Ok(shape) => shape,
    Err(_) => panic!("no such shape"),
};

pub(crate) const VALID: u64 = 1 << 0;
pub(crate) const TABLE: u64 = 1 << 1;
pub(crate) const WRITE: u64 = 1 << 2;
pub(crate) const ACCESSED: u64 = 1 << 3;
pub(crate) const DIRTY: u64 = 1 << 4;
pub(crate) const GLOBAL: u64 = 1 << 5;

/// The toy has one instruction for a page and one for an address space.
fn narrowest(stale: &Stale) -> Invalidate {
    let Stale { addr, asid, is_global, .. } = *stale;
    match stale.change {
        Change::Leaf if is_global => Invalidate::Page(addr),
        Change::Leaf => Invalidate::PageInAsid { addr, asid, global: false },
        _ => stale.whole_space(),
    }
}

fn words(scope: Invalidate, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match scope {
        Invalidate::Page(addr) => write!(f, "flushp {addr}"),
        Invalidate::PageInAsid { addr, asid, .. } => write!(f, "flushp {addr}, space {asid}"),
        Invalidate::Asid(asid) => write!(f, "flushs {asid}"),
        _ => f.write_str("flusha"),
    }
}

impl Format for Toy {
    type Permissions = bool;

    const REGISTERS: &'static [RegisterInfo] = &[RegisterInfo {
        id: ROOT,
        name: "root",
        privilege: Privilege::Supervisor,
        about: "first table, and the address space in the high half",
    }];

    fn anatomy(&self) -> Anatomy {
        Anatomy::new()
            .with_flags(Flags::new(ACCESSED, Dirty::Flag(DIRTY)))
            .with_roots(&[ROOT])
            .with_fences(&Fences { name: "toy", narrowest, words })
    }

    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        if id == ROOT { Ok(self.root) } else { Err(RegisterError::Unknown { id }) }
    }

    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        _: ReadWord<'_>,
    ) -> Result<Option<Invalidate>, RegisterError> {
        self.read_register(id)?;
        self.root = value;
        Ok(None)
    }

    fn route(&self, access: Access) -> Result<Route, Cause> {
        match (self.root & 0xffff_ffff, access.addr.raw() >> 24) {
            (0, _) => Ok(Route::Identity { access, bits: 32 }),
            (_, 0) => Ok(Route::Tables { access, asid: self.space() }),
            _ => Err(Cause::NonCanonical),
        }
    }

    fn root(&self, _: Access) -> Result<Root<bool>, Cause> {
        let table = PhysAddr::new(self.root & 0xffff_ffff);
        Ok(Root { table, level: 1, permissions: true })
    }

    fn shape(&self, _: Access) -> &Shape {
        &SHAPE
    }

    fn decode(&self, raw: u64, level: u8, _: Access, inherited: bool) -> Entry<bool> {
        let bits = SHAPE.page_bits(level);
        let frame = PhysAddr::new(raw).align_down(12);
        match (raw & VALID, raw & TABLE) {
            (0, _) => Entry::Invalid(Cause::Absent),
            (_, TABLE) => Entry::Table { table: frame, permissions: inherited },
            _ => Entry::Leaf(Mapping {
                frame: frame.align_down(bits.into()),
                bits,
                permissions: raw & WRITE != 0,
                dirty: raw & DIRTY != 0,
                global: raw & GLOBAL != 0,
                attributes: Attributes(0),
            }),
        }
    }

    fn permits(&self, write: bool, access: Access) -> Result<(), Cause> {
        if write || !access.kind.writes() { Ok(()) } else { Err(Cause::Permission) }
    }

    fn admit(&self, raw: u64, mapping: &Mapping<bool>, access: Access) -> Result<u64, Cause> {
        self.permits(mapping.permissions, access)?;
        Ok(raw | ACCESSED | if access.kind.writes() { DIRTY } else { 0 })
    }
}
