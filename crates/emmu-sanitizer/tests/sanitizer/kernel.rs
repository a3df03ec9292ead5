//! A kernel for RISC-V Sv39 in a few dozen lines, and bugs that real kernels had.

use crate::remembering::Remembering;
use emmu_core::{
    Access, Asid, Bus, Fault, Invalidate, PhysAddr, Privilege, RegisterError, RegisterId,
    RegisterInfo, Registers, Ticket, Translation, TranslationUnit, VirtAddr, Width,
    anatomy::{Inspection, UnitAnatomy},
};
use emmu_cpu::{Cpu, Stop};
use emmu_memory::Memory;
use emmu_paging::{
    Geometry, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable, WalkCacheTable,
    format::riscv::{EnvConfig, Pte, SATP, SSTATUS, Status},
};
use emmu_sanitizer::{Sanitized, Sanitizer, Shadow, ShadowError, Watched};
use std::collections::BTreeMap;

/// The bug of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The unit makes a store as if it were a load, so that D stays clear.
    StoreAsLoad,
    /// D is cleared without an invalidation.
    CleanedWithoutFence,
    /// A table page is freed without an invalidation.
    TableFreedWithoutFence,
    /// Only two bits of the ASID are used.
    AsidMask,
    /// A page is unmapped without an invalidation.
    UnmappedWithoutFence,
    /// At a fork the parent's entries are write-protected without an invalidation.
    ForkedWithoutFence,
    /// A fork does not count the child's references to swap slots.
    SlotNotCounted,
    /// A is cleared without an invalidation.
    AgedWithoutFence,
    /// The bytes behind the end of a file in its last page are not zeroed.
    TailNotZeroed,
    /// A store over the edge of a page is emulated byte by byte.
    StoredByteByByte,
    /// The unit remembers that an access was allowed.
    RightsRemembered,
}

/// Where RAM begins, which the supervisor sees at the same addresses.
const RAM: u64 = 0x8000_0000;
const PAGE: u64 = 0x1000;
/// An entry that is not valid and tells of a swap slot.
const SWAPPED: u64 = 1 << 8;

/// A unit that can be wrong.
pub(crate) struct Unit {
    paging: Remembering<Paging<RiscV>>,
    bug: Option<Bug>,
}

pub(crate) type Machine = Cpu<Sanitized<Unit>, Watched<Memory>>;

pub(crate) struct Kernel {
    pub(crate) cpu: Machine,
    pub(crate) sanitizer: Sanitizer,
    pub(crate) shadow: Shadow,
    bug: Option<Bug>,
    free: Vec<u64>,
    /// How many entries map each frame that is mapped.
    mapped: BTreeMap<u64, u32>,
    processes: BTreeMap<u32, Process>,
    running: u32,
    swap: BTreeMap<u64, (Vec<u8>, u32)>,
}

struct Process {
    root: u64,
    asid: u16,
}

impl Kernel {
    /// A machine with 4000 frames, none of which is zeroed, and no process.
    pub(crate) fn boot(bug: Option<Bug>) -> Self {
        let sanitizer = Sanitizer::new();
        let memory = Memory::new().with_ram(PhysAddr::new(RAM), 1 << 30).unwrap();
        let unit = sanitizer.unit(Unit::new(bug));
        let mut cpu = Cpu::new(unit, sanitizer.bus(memory));
        cpu.install_handler(VirtAddr::new(RAM)).unwrap();
        let free = (1..=4000).map(|number| RAM + number * PAGE).collect();
        let (shadow, processes, swap) = (Shadow::new(), BTreeMap::new(), BTreeMap::new());
        let mapped = BTreeMap::new();
        Self { cpu, sanitizer, shadow, bug, free, mapped, processes, running: 0, swap }
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// A new process, with this ASID unless the mask is wrong.
    pub(crate) fn spawn(&mut self, process: u32) {
        let root = self.frame();
        self.zero(root);
        // The kernel, as a gigabyte page of its own, the same in all spaces.
        let kernel = Pte::V | Pte::R | Pte::W | Pte::G | Pte::A | Pte::D;
        self.put(root + 16, Pte::to(PhysAddr::new(RAM), kernel));
        let mask = if self.has(Bug::AsidMask) { 0b11 } else { 0xffff };
        let asid = u16::try_from(process).unwrap() & mask;
        self.processes.insert(process, Process { root, asid });
    }

    pub(crate) fn switch(&mut self, process: u32) {
        self.supervisor("switch");
        let Process { root, asid } = self.processes[&process];
        self.cpu.write_register(SATP, 8 << 60 | u64::from(asid) << 44 | root >> 12).unwrap();
        self.running = process;
    }

    /// Maps a fresh page of zeros, or of a file.
    pub(crate) fn map(&mut self, process: u32, addr: u64, file: &[u8]) {
        let frame = self.frame();
        self.supervisor("map");
        if file.is_empty() || !self.has(Bug::TailNotZeroed) {
            self.zero(frame);
        }
        if !file.is_empty() {
            self.cpu.store_bytes(VirtAddr::new(frame), file).unwrap();
        }
        let mut owed = vec![0; 4096];
        owed[..file.len()].copy_from_slice(file);
        self.shadow.expect(process, VirtAddr::new(addr), &owed);
        let bits = Pte::V | Pte::R | Pte::W | Pte::U | Pte::A;
        self.mapped.insert(frame, 1);
        self.set(process, addr, Pte::to(PhysAddr::new(frame), bits));
        self.fence_page(process, addr);
    }

    pub(crate) fn unmap(&mut self, process: u32, addr: u64) {
        self.supervisor("unmap");
        let Some(entry) = self.entry(process, addr, 0) else { return };
        let pte = self.get(entry);
        self.put(entry, 0);
        self.shadow.unmap(process, VirtAddr::new(addr), 4096);
        if !self.has(Bug::UnmappedWithoutFence) {
            self.fence_page(process, addr);
        }
        if pte & 1 == 1 && self.release(pte) {
            self.free.push(frame_of(pte));
        }
    }

    /// Frees the table of the two megabytes around the address, with all pages in it.
    pub(crate) fn free_table(&mut self, process: u32, addr: u64) {
        self.supervisor("free_table");
        let Some(pointer) = self.entry(process, addr, 1) else { return };
        let table = frame_of(self.get(pointer));
        if table == 0 {
            return;
        }
        self.put(pointer, 0);
        for index in 0..512 {
            let page = addr >> 21 << 21 | index << 12;
            self.shadow.unmap(process, VirtAddr::new(page), 4096);
        }
        if !self.has(Bug::TableFreedWithoutFence) {
            self.fence_space(process);
        }
        self.free.push(table);
    }

    /// Clears D after the page was written to its file.
    pub(crate) fn clean(&mut self, process: u32, addr: u64) {
        self.clear(process, addr, Pte::D, "clean", Bug::CleanedWithoutFence);
    }

    /// Clears A, to see whether the page is used.
    pub(crate) fn age(&mut self, process: u32, addr: u64) {
        self.clear(process, addr, Pte::A, "age", Bug::AgedWithoutFence);
    }

    fn clear(&mut self, process: u32, addr: u64, bit: Pte, place: &str, unless: Bug) {
        self.supervisor(place);
        let Some(entry) = self.entry(process, addr, 0) else { return };
        let pte = self.get(entry);
        if pte & 1 == 1 {
            self.put(entry, pte & !bit.bits());
        }
        if !self.has(unless) {
            self.fence_page(process, addr);
        }
    }

    /// A child that shares all pages until one of the two writes.
    pub(crate) fn fork(&mut self, parent: u32, child: u32) {
        self.spawn(child);
        self.supervisor("fork");
        self.shadow.fork(parent, child);
        for page in self.pages(parent) {
            let entry = self.entry(parent, page, 0).unwrap();
            let pte = self.get(entry) & !Pte::W.bits();
            self.put(entry, pte);
            self.set(child, page, pte);
            match pte & 1 {
                1 => *self.mapped.get_mut(&frame_of(pte)).unwrap() += 1,
                _ if self.has(Bug::SlotNotCounted) => {}
                _ => self.swap.get_mut(&(pte >> 10)).unwrap().1 += 1,
            }
        }
        if !self.has(Bug::ForkedWithoutFence) {
            self.fence_space(parent);
        }
    }

    /// Writes a page to a swap slot that is free, and unmaps it.
    pub(crate) fn swap_out(&mut self, process: u32, addr: u64) {
        self.supervisor("swap_out");
        let Some(entry) = self.entry(process, addr, 0) else { return };
        let pte = self.get(entry);
        if pte & 1 == 0 || self.mapped[&frame_of(pte)] > 1 {
            return;
        }
        let slot = (1..).find(|slot| !self.swap.contains_key(slot)).unwrap();
        self.release(pte);
        self.put(entry, slot << 10 | SWAPPED);
        self.fence_page(process, addr);
        let mut bytes = vec![0; 4096];
        self.cpu.load_bytes(VirtAddr::new(frame_of(pte)), &mut bytes).unwrap();
        self.swap.insert(slot, (bytes, 1));
        self.free.push(frame_of(pte));
    }

    /// Handles a page fault. Returns true if the access may be tried again.
    fn resolve(&mut self, process: u32, fault: Fault) -> bool {
        self.supervisor("page fault");
        let addr = fault.addr.raw() >> 12 << 12;
        let Some(entry) = self.entry(process, addr, 0) else { return false };
        let pte = self.get(entry);
        let bits = Pte::V | Pte::R | Pte::W | Pte::U | Pte::A;
        let frame = match pte {
            0 => return false,
            _ if pte & SWAPPED != 0 => self.swap_in(pte >> 10),
            _ if fault.access.kind.writes() && pte & Pte::W.bits() == 0 => self.copy(pte >> 10),
            _ => return false,
        };
        self.mapped.insert(frame, 1);
        self.put(entry, Pte::to(PhysAddr::new(frame), bits));
        self.fence_page(process, addr);
        true
    }

    fn swap_in(&mut self, slot: u64) -> u64 {
        let frame = self.frame();
        let Some((bytes, count)) = self.swap.get_mut(&slot) else {
            // The slot is free: what is read has nothing to do with the page.
            self.zero(frame);
            return frame;
        };
        *count -= 1;
        let (bytes, count) = (bytes.clone(), *count);
        if count == 0 {
            self.swap.remove(&slot);
        }
        self.cpu.store_bytes(VirtAddr::new(frame), &bytes).unwrap();
        frame
    }

    fn copy(&mut self, frame: u64) -> u64 {
        let (old, mut bytes) = (frame << 12, vec![0; 4096]);
        if self.mapped[&old] == 1 {
            return old;
        }
        self.release(frame << 10);
        let new = self.frame();
        self.cpu.load_bytes(VirtAddr::new(old), &mut bytes).unwrap();
        self.cpu.store_bytes(VirtAddr::new(new), &bytes).unwrap();
        new
    }

    /// A load of the running process; `None` if it is killed for it.
    pub(crate) fn load(&mut self, addr: u64, bytes: &mut [u8]) -> Result<Option<()>, ShadowError> {
        for _ in 0..4 {
            self.user();
            match self.shadow.load(self.running, &mut self.cpu, VirtAddr::new(addr), bytes) {
                Err(ShadowError::Stop(Stop::Trap(_))) => {}
                done => return done.map(Some),
            }
            if !self.handle() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// A store of the running process; `None` if it is killed for it.
    pub(crate) fn store(&mut self, addr: u64, bytes: &[u8]) -> Option<()> {
        for _ in 0..4 {
            self.user();
            if self.shadow.store(self.running, &mut self.cpu, VirtAddr::new(addr), bytes).is_ok() {
                return Some(());
            }
            if !self.handle() {
                break;
            }
        }
        if self.has(Bug::StoredByteByByte) {
            self.user();
            for (at, byte) in (addr..).zip(bytes) {
                if self.cpu.store(VirtAddr::new(at), Width::B1, (*byte).into()).is_err() {
                    break;
                }
            }
        }
        None
    }

    fn handle(&mut self) -> bool {
        let fault = self.cpu.trap().and_then(|trap| match trap.exception {
            Some(emmu_cpu::Exception::Fault(fault)) => Some(fault),
            _ => None,
        });
        fault.is_some_and(|fault| self.resolve(self.running, fault))
    }

    /// Lets the supervisor at user pages (SUM), and loads at executable ones (MXR), or not.
    pub(crate) fn set_status(&mut self, status: Status) {
        self.supervisor("set_status");
        self.cpu.write_register(SSTATUS, status.bits()).unwrap();
    }

    /// Makes a page execute-only.
    pub(crate) fn execute_only(&mut self, process: u32, addr: u64) {
        self.supervisor("execute_only");
        let Some(entry) = self.entry(process, addr, 0) else { return };
        let pte = self.get(entry);
        if pte & 1 == 1 {
            self.put(entry, pte & !(Pte::R | Pte::W).bits() | Pte::X.bits());
            self.fence_page(process, addr);
        }
    }

    pub(crate) fn supervisor(&mut self, place: &str) {
        self.sanitizer.mark(place);
        self.cpu.set_privilege(Privilege::Supervisor);
    }

    fn user(&mut self) {
        self.sanitizer.mark(format!("process {}", self.running));
        self.cpu.set_privilege(Privilege::User);
    }

    fn fence_page(&mut self, process: u32, addr: u64) {
        let asid = Asid(self.processes[&process].asid);
        let addr = VirtAddr::new(addr);
        self.cpu.invalidate(Invalidate::PageInAsid { addr, asid, global: false }).unwrap();
    }

    fn fence_space(&mut self, process: u32) {
        let asid = Asid(self.processes[&process].asid);
        self.cpu.invalidate(Invalidate::Asid(asid)).unwrap();
    }

    /// Where the entry for the address stands in the table of this level, if there is such a table.
    fn entry(&mut self, process: u32, addr: u64, level: u32) -> Option<u64> {
        let mut table = self.processes[&process].root;
        for above in (level + 1..3).rev() {
            table =
                Some(frame_of(self.get(slot(table, addr, above)))).filter(|table| *table != 0)?;
        }
        Some(slot(table, addr, level))
    }

    /// Writes the leaf for the address, with tables if there are none.
    fn set(&mut self, process: u32, addr: u64, pte: u64) {
        self.supervisor("set");
        let mut table = self.processes[&process].root;
        for level in [2, 1] {
            let at = slot(table, addr, level);
            if self.get(at) == 0 {
                let new = self.frame();
                self.zero(new);
                self.put(at, Pte::to(PhysAddr::new(new), Pte::V));
            }
            table = frame_of(self.get(at));
        }
        self.put(slot(table, addr, 0), pte);
    }

    /// The addresses of a process's pages, mapped or swapped, of the first sixteen.
    fn pages(&mut self, process: u32) -> Vec<u64> {
        (0..16).map(|page| page << 12).filter(|addr| self.leaf(process, *addr) != 0).collect()
    }

    fn leaf(&mut self, process: u32, addr: u64) -> u64 {
        let entry = self.entry(process, addr, 0);
        entry.map_or(0, |entry| self.get(entry))
    }

    /// One entry less maps the frame. Says whether it was the last.
    fn release(&mut self, pte: u64) -> bool {
        let count = self.mapped.get_mut(&frame_of(pte)).unwrap();
        *count -= 1;
        *count == 0
    }

    /// A frame with whatever its last owner left there.
    fn frame(&mut self) -> u64 {
        self.free.pop().unwrap()
    }

    fn zero(&mut self, frame: u64) {
        self.cpu.set_privilege(Privilege::Supervisor);
        self.cpu.store_bytes(VirtAddr::new(frame), &[0; 4096]).unwrap();
    }

    fn get(&mut self, addr: u64) -> u64 {
        self.cpu.set_privilege(Privilege::Supervisor);
        self.cpu.load(VirtAddr::new(addr), Width::B8).unwrap()
    }

    fn put(&mut self, addr: u64, value: u64) {
        self.cpu.set_privilege(Privilege::Supervisor);
        self.cpu.store(VirtAddr::new(addr), Width::B8, value).unwrap();
    }
}

fn frame_of(pte: u64) -> u64 {
    pte >> 10 << 12
}

fn slot(table: u64, addr: u64, level: u32) -> u64 {
    table + (addr >> (12 + 9 * level) & 0x1ff) * 8
}

impl Unit {
    fn new(bug: Option<Bug>) -> Self {
        let geometry = Geometry::fully_associative(32, Policy::Lru).unwrap();
        let tlb = TlbLevel::unified(vec![TlbTable { geometry, page_bits: vec![12, 21, 30] }]);
        let walk_cache = vec![WalkCacheTable { geometry, levels: vec![0, 1] }];
        let format = RiscV::rv64().with_menvcfg(EnvConfig::ADUE);
        let config = PagingConfig { tlb: vec![tlb], walk_cache, ..PagingConfig::default() };
        let paging = Paging::new(format, &config).unwrap();
        Self { paging: Remembering::new(paging, bug == Some(Bug::RightsRemembered)), bug }
    }
}

impl Registers for Unit {
    fn registers(&self) -> &[RegisterInfo] {
        self.paging.registers()
    }
    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        self.paging.read_register(id)
    }
    fn anatomy(&self) -> Option<UnitAnatomy> {
        self.paging.anatomy()
    }
}

impl<B: Bus> TranslationUnit<B, ()> for Unit {
    fn translate(
        &mut self,
        access: Access,
        bus: &mut B,
        probe: &mut (),
    ) -> Result<Translation, Fault> {
        match self.bug {
            Some(Bug::StoreAsLoad) if access.privilege == Privilege::User => {
                let load = Access { kind: emmu_core::AccessKind::Load, ..access };
                self.paging.translate(load, bus, probe)
            }
            _ => self.paging.translate(access, bus, probe),
        }
    }
    fn peek(&self, access: Access, bus: &B) -> Result<Translation, Fault> {
        TranslationUnit::<B, ()>::peek(&self.paging, access, bus)
    }
    fn inspect(&self, access: Access, bus: &B) -> Option<Inspection> {
        TranslationUnit::<B, ()>::inspect(&self.paging, access, bus)
    }
    fn write_register(
        &mut self,
        id: RegisterId,
        value: u64,
        bus: &mut B,
        probe: &mut (),
    ) -> Result<(), RegisterError> {
        self.paging.write_register(id, value, bus, probe)
    }
    fn invalidate(&mut self, scope: Invalidate) {
        TranslationUnit::<B, ()>::invalidate(&mut self.paging, scope);
    }
    fn repeat(&mut self, ticket: Ticket, access: Access, probe: &mut ()) -> bool {
        TranslationUnit::<B, ()>::repeat(&mut self.paging, ticket, access, probe)
    }
}
