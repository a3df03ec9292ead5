//! `Fixture`: the accesses, entries and roots of a case, to which the steps of a script refer.

use super::{Manual, RegisterWrite, WriteContext};
use crate::generate::Case;
use emmu_core::{Access, AccessFlags, AccessKind, Asid, Invalidate, PhysAddr, Privilege, Width};
use emmu_oracle::{Memory, reference::SparseMemory};

/// The accesses, entries and roots of a case.
pub(super) struct Fixture {
    accesses: Vec<Access>,
    /// The accesses that are allowed in the beginning.
    allowed: Vec<Access>,
    /// The addresses of the first table and of a copy of it.
    roots: [PhysAddr; 2],
    initial: SparseMemory,
}

impl Fixture {
    /// Returns the registers of the case as a unit can hold them, and the fixture.
    pub(super) fn of<A: Manual>(case: Case<A>) -> Option<(A, Self)> {
        // Not where tables or their runs are in any format.
        const COPY: PhysAddr = PhysAddr::new(0xabc0_0000);
        let mut initial = case.memory();
        let registers = case.registers.implemented(&initial);
        let (root, len) = registers.root();
        let words: Vec<_> = initial.words().collect();
        for (addr, word) in words {
            let offset = addr.raw().wrapping_sub(root.raw());
            if offset < len {
                initial.write32(COPY.wrapping_add(offset), word);
            }
        }
        let accesses = case.accesses;
        let is_allowed = |access: &&Access| registers.ask(**access, &initial).answer.is_ok();
        let allowed = accesses.iter().filter(is_allowed).copied().collect();
        let fixture = Self { accesses, allowed, roots: [root, COPY], initial };
        (!fixture.accesses.is_empty()).then_some((registers, fixture))
    }

    /// Returns the addresses of a table at which walks start, and of a copy of it.
    pub(super) const fn roots(&self) -> [PhysAddr; 2] {
        self.roots
    }

    pub(super) const fn initial(&self) -> &SparseMemory {
        &self.initial
    }

    /// Returns an access of the case: mostly one that is allowed in the beginning, if there are such accesses.
    fn access(&self, which: u8) -> Access {
        let among =
            if which < 0x40 || self.allowed.is_empty() { &self.accesses } else { &self.allowed };
        among[usize::from(which) % among.len()]
    }

    /// Returns an access of the case, or one that differs a little from it.
    pub(super) fn varied(&self, which: u8, how: u8, beyond: u8) -> Access {
        let access = self.access(which);
        let is_other_kind = how & 0b100 != 0 && how < 0x40;
        let kind =
            if is_other_kind { AccessKind::ALL[usize::from(how & 0b11)] } else { access.kind };
        let privilege = match how >> 3 & 0b111 {
            0 => Privilege::User,
            1 => Privilege::Supervisor,
            _ => access.privilege,
        };
        let further: u64 = match beyond % 16 {
            0 => 1 << 12,
            1 => 1 << 14,
            2 => 1 << 21,
            3 => 1 << 30,
            _ => 0,
        };
        let addr = access.addr.raw() ^ further;
        // Only loads can need the right to execute.
        let kept =
            if kind == AccessKind::Load { AccessFlags::all() } else { !AccessFlags::EXECUTABLE };
        let flags = access.flags & kept;
        Access { kind, privilege, flags, ..access.at(addr.into(), access.size) }
    }

    /// Makes an invalidation that concerns an access.
    pub(super) fn scope(&self, which: u8, scope: u8, asid: u8) -> Invalidate {
        let addr = self.varied(which, 0, asid >> 2).addr;
        let len = [1, 0x1000, 0x4000, 0x1_0000][usize::from(asid >> 4 & 0b11)];
        let asid = Asid(u16::from(asid & 0b11));
        match scope % 16 {
            0 => Invalidate::All,
            1 => Invalidate::NonGlobal,
            2..=4 => Invalidate::Asid(asid),
            5..=8 => Invalidate::Page(addr),
            9..=10 => Invalidate::PageInAsid { addr, asid, global: false },
            11..=12 => Invalidate::PageInAsid { addr, asid, global: true },
            // Aligned, so that it ends in the address space.
            which => {
                let addr = (addr.raw() & !(len - 1)).into();
                Invalidate::Range { addr, len, asid: (which == 15).then_some(asid) }
            }
        }
    }

    /// Makes a write of an entry on the way of an access: its address, width and value.
    pub(super) fn poke<A: Manual>(
        &self,
        now: &A,
        memory: &SparseMemory,
        (which, level, change): (u8, u8, u8),
    ) -> Option<(PhysAddr, Width, u64)> {
        let path = now.ask(self.access(which), memory).reads;
        let entry =
            path.get(path.len().checked_sub(1 + usize::from(level) % path.len().max(1))?)?;
        let width = if entry.size == 8 { Width::B8 } else { Width::B4 };
        let before = match width {
            Width::B8 => self.initial.read64(entry.addr),
            _ => self.initial.read32(entry.addr).map(u64::from),
        };
        let value = match usize::from(change >> 3) {
            0 => 0,
            1..=15 => before.ok()?,
            bit => entry.raw ^ A::BITS[bit % A::BITS.len()],
        };
        Some((entry.addr, width, value & width.mask()))
    }

    /// Makes a register write.
    pub(super) fn turn<A: Manual>(
        &self,
        (now, given): (&mut A, &A),
        memory: &SparseMemory,
        (choice, value): (u8, u8),
    ) -> Option<RegisterWrite> {
        now.turn(choice, value, WriteContext { given, roots: self.roots, memory })
    }
}
