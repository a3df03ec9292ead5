//! A unit without caches over its own memory.

use emmu_core::{
    Access, AccessKind, Bus, Cause, Event, Fault, PhysAddr, Privilege, RegisterId, TranslationUnit,
    VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_paging::{Paging, format::Format};

/// The first byte that nothing answers for.
pub(crate) const END: u64 = 1 << 39;

pub(crate) struct Machine<F: Format> {
    pub(crate) unit: Paging<F>,
    pub(crate) memory: Memory,
}

impl<F: Format> Machine<F> {
    pub(crate) fn new(format: F) -> Self {
        Self { unit: Paging::uncached(format), memory: Memory::ram(END) }
    }

    /// Returns this machine with this entry of 8 bytes.
    pub(crate) fn with(mut self, addr: u64, entry: u64) -> Self {
        self.memory.write(PhysAddr::new(addr), Width::B8, entry).unwrap();
        self
    }

    /// Returns this machine after this register write.
    pub(crate) fn having(mut self, register: RegisterId, value: u64) -> Self {
        self.unit.write_register(register, value, &mut self.memory, &mut ()).unwrap();
        self
    }

    /// The entry of 8 bytes.
    pub(crate) fn entry(&self, addr: u64) -> u64 {
        self.memory.peek(PhysAddr::new(addr), Width::B8).unwrap()
    }

    pub(crate) fn translate(&mut self, access: Access) -> Result<u64, Fault> {
        self.unit.translate(access, &mut self.memory, &mut ()).map(|found| found.addr.raw())
    }

    /// Why the access is refused, or its physical address.
    pub(crate) fn outcome(&mut self, access: Access) -> Result<u64, Cause> {
        self.translate(access).map_err(|fault| fault.cause)
    }

    pub(crate) fn allows(&mut self, access: Access) -> bool {
        self.translate(access).is_ok()
    }

    /// Where the entries are that the access reads.
    pub(crate) fn reads(&mut self, access: Access) -> Vec<u64> {
        let mut events = Vec::<Event>::new();
        let _ = self.unit.translate(access, &mut self.memory, &mut events);
        let read = |event: &Event| match event {
            Event::EntryRead { addr, .. } => Some(addr.raw()),
            _ => None,
        };
        events.iter().filter_map(read).collect()
    }

    /// Which of fetch, load, store and AMO are allowed at `addr`, as `xrwa` without those that are not.
    pub(crate) fn rights(&mut self, addr: u64, privilege: Privilege) -> String {
        let named = AccessKind::ALL.into_iter().zip("xrwa".chars());
        let access = |kind| Access::new(kind, VirtAddr::new(addr), 4).with_privilege(privilege);
        named.filter(|(kind, _)| self.allows(access(*kind))).map(|(_, name)| name).collect()
    }
}

pub(crate) fn load(addr: u64) -> Access {
    Access::load(VirtAddr::new(addr), 8)
}

pub(crate) fn store(addr: u64) -> Access {
    Access::store(VirtAddr::new(addr), 8)
}

pub(crate) fn fetch(addr: u64) -> Access {
    Access::fetch(VirtAddr::new(addr), 4)
}

pub(crate) fn amo(addr: u64) -> Access {
    Access::amo(VirtAddr::new(addr), 8)
}

pub(crate) fn user(access: Access) -> Access {
    access.with_privilege(Privilege::User)
}
