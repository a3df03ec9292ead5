//! The manager that the command line describes.

use super::UNIT;
use super::args::{Heap as Arguments, HeapEnd, HeapOrder, HeapPolicy, Manager};
use anyhow::{Result, bail};
use emmu_core::PhysAddr;
use emmu_heap::{
    Audited, Buddy, BuddyConfig, End, Extent, FreeList, FreeTree, Heap, Layout, ListConfig, Order,
    Policy, UpTo,
};
use emmu_memory::Memory;

/// The address of the manager's own words, which no heap reaches.
const CONTROL: PhysAddr = PhysAddr::new(1 << 47);
/// The largest order of buddies. Its blocks have more units than a heap.
const MAX_ORDER: u8 = 17;

/// A manager with its memory and a record of its operations.
pub(crate) struct Machine {
    pub(crate) heap: Audited<Box<dyn Heap<Memory>>>,
    pub(crate) memory: Memory,
}

/// A manager on a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) manager: Kind,
    /// The first address, in units.
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) header: u64,
    pub(crate) align: u64,
    grow: Option<u64>,
    take: End,
}

/// A kind of manager with its policy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    List { policy: Policy, order: Order, coalesce: bool },
    Tree,
    Buddy,
}

impl Setup {
    /// Returns the manager that the options describe.
    ///
    /// # Errors
    /// If an option is given that the manager does not have.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self> {
        arguments.refuse_unused_options()?;
        let manager = match arguments.manager {
            Manager::List => Kind::list(arguments, arguments.policy.unwrap_or_default().into()),
            Manager::Tree => Kind::Tree,
            Manager::Buddy => Kind::Buddy,
        };
        Ok(Self::of(manager, arguments))
    }

    /// Returns a list for each policy, and then the managers that have no policy.
    pub(crate) fn all(arguments: &Arguments) -> Vec<Self> {
        let lists = Policy::ALL.iter().map(|&policy| Kind::list(arguments, policy));
        let kinds = lists.chain([Kind::Tree, Kind::Buddy]);
        kinds.map(|kind| Self::of(kind, arguments)).collect()
    }

    fn of(manager: Kind, arguments: &Arguments) -> Self {
        let Arguments { base, size, header, align, grow, take, .. } = *arguments;
        let take = match take.unwrap_or_default() {
            HeapEnd::Low => End::Low,
            HeapEnd::High => End::High,
        };
        // Buddies keep the sizes of blocks elsewhere, and round to powers of two.
        let (header, align) =
            if let Kind::Buddy = manager { (None, None) } else { (header, align) };
        let (header, align) = (header.unwrap_or(0), align.unwrap_or(1));
        Self { manager, base, size, header, align, grow, take }
    }

    /// Returns the description of the manager in one line.
    pub(crate) fn description(&self) -> String {
        match self.manager {
            Kind::List { policy, order, coalesce } => {
                let coalescing = if coalesce { "coalescing" } else { "no coalescing" };
                format!("{} fit, {} order, {coalescing}", policy.name(), order.name())
            }
            Kind::Tree => "best fit by balanced trees".to_owned(),
            Kind::Buddy => "buddies".to_owned(),
        }
    }

    /// Returns the manager's name in a table.
    pub(crate) fn name(&self) -> &'static str {
        match self.manager {
            Kind::List { policy, .. } => policy.name(),
            Kind::Tree => "tree",
            Kind::Buddy => "buddy",
        }
    }

    pub(crate) fn build(&self) -> Result<Machine> {
        let region = Extent::new(PhysAddr::new(self.base * UNIT), self.size * UNIT);
        let most = self.grow.unwrap_or(0).max(self.size) * UNIT;
        let buddies = BuddyConfig { unit: UNIT, max_order: MAX_ORDER };
        let own = Buddy::control_bytes(buddies, region.size).max(FreeList::CONTROL_BYTES);
        let mut memory = Memory::new().with_ram(region.addr, most)?.with_ram(CONTROL, own)?;
        let layout = Layout {
            granule: UNIT,
            round_to: self.align * UNIT,
            min_block: UNIT,
            header: self.header * UNIT,
            take: self.take,
            ..Layout::default()
        };
        let heap: Box<dyn Heap<Memory>> = match self.manager {
            Kind::List { policy, order, coalesce } => {
                let config = ListConfig { policy, order, coalesce, layout, growth_step: UNIT };
                let list = FreeList::create(&mut memory, CONTROL, region, config)?;
                match self.grow {
                    Some(_) => Box::new(list.with_growth(UpTo(region.addr.wrapping_add(most)))),
                    None => Box::new(list),
                }
            }
            Kind::Tree => Box::new(FreeTree::create(&mut memory, CONTROL, region, layout)?),
            Kind::Buddy => Box::new(Buddy::create(&mut memory, CONTROL, region, buddies)?),
        };
        Ok(Machine { heap: Audited::new(heap), memory })
    }
}

impl Kind {
    fn list(arguments: &Arguments, policy: Policy) -> Self {
        Self::List {
            policy,
            order: arguments.order.unwrap_or_default().into(),
            coalesce: !arguments.no_coalesce,
        }
    }
}

impl Arguments {
    /// Refuses the options that only other managers have.
    fn refuse_unused_options(&self) -> Result<()> {
        let of_lists = [
            ("--policy", self.policy.is_some()),
            ("--order", self.order.is_some()),
            ("--no-coalesce", self.no_coalesce),
            ("--grow", self.grow.is_some()),
        ];
        let of_trees_too = [
            ("--header", self.header.is_some()),
            ("--align", self.align.is_some()),
            ("--take", self.take.is_some()),
        ];
        let (manager, unused) = match self.manager {
            Manager::List => return Ok(()),
            Manager::Tree => ("tree", of_lists.to_vec()),
            Manager::Buddy => ("buddy", [&of_lists[..], &of_trees_too].concat()),
        };
        match unused.iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => bail!("{option} has no meaning with --manager {manager}"),
            None => Ok(()),
        }
    }
}

impl From<HeapPolicy> for Policy {
    fn from(policy: HeapPolicy) -> Self {
        match policy {
            HeapPolicy::Best => Self::Best,
            HeapPolicy::Worst => Self::Worst,
            HeapPolicy::First => Self::First,
            HeapPolicy::Next => Self::Next,
        }
    }
}

impl From<HeapOrder> for Order {
    fn from(order: HeapOrder) -> Self {
        match order {
            HeapOrder::Address => Self::Address,
            HeapOrder::SizeAscending => Self::SizeAscending,
            HeapOrder::SizeDescending => Self::SizeDescending,
            HeapOrder::InsertFront => Self::Front,
            HeapOrder::InsertBack => Self::Back,
        }
    }
}
