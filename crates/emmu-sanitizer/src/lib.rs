//! Finds missing invalidations: every translation is checked against the tables, and the write to blame is named.
//!
//! Models: a [`Sanitizer`], which wraps any translation unit and the bus behind it. Each answer of the unit is compared
//! with a fresh walk ([`TranslationUnit::peek`](emmu_core::TranslationUnit::peek)). Where the unit still goes by an
//! entry that has changed, a [`Report`] says which access used it, what the TLB answered and what the tables say now,
//! which write made it stale, who made that write and when, and the narrowest invalidation that would have been enough,
//! in the architecture's own words. A [`Shadow`] finds what is wrong with bytes instead: it holds what each process
//! stored, and compares every byte that the process reads.
//!
//! Does not model: anything of the machine. Results, events and counts are those of the unit and bus inside.
//!
//! Which type you want: [`Sanitizer::unit`] and [`Sanitizer::bus`] around what you have, and [`Sanitizer::reports`]
//! afterwards; [`Sanitizer::mark`] to name the code that runs. A machine without the wrapper pays nothing for the
//! sanitizer.
//!
//! ```
//! use emmu_core::{Invalidate, VirtAddr, Width};
//! use emmu_cpu::Cpu;
//! use emmu_memory::Memory;
//! use emmu_paging::{Geometry, Paging, PagingConfig, Policy, RiscV, TlbLevel, TlbTable, format::riscv::SATP};
//! use emmu_sanitizer::Sanitizer;
//!
//! let geometry = Geometry::fully_associative(16, Policy::Lru)?;
//! let tlb = TlbLevel::unified(vec![TlbTable { geometry, page_bits: vec![12, 21, 30] }]);
//! let unit = Paging::new(RiscV::rv64(), &PagingConfig { tlb: vec![tlb], ..PagingConfig::default() })?;
//!
//! let sanitizer = Sanitizer::new();
//! let mut cpu = Cpu::new(sanitizer.unit(unit), sanitizer.bus(Memory::ram(1 << 32)));
//! cpu.store(VirtAddr::new(0x1000), Width::B8, 0xcf)?;           // root: the first gigabyte is the first of RAM
//! cpu.write_register(SATP, 8 << 60 | 1)?;                       // Sv39
//! assert_eq!(cpu.load(VirtAddr::new(0x4000), Width::B8)?, 0);   // this fills the TLB
//!
//! sanitizer.mark("unmap");
//! cpu.store(VirtAddr::new(0x1000), Width::B8, 0)?;              // and no sfence.vma
//! sanitizer.mark("program");
//! cpu.load(VirtAddr::new(0x4000), Width::B8)?;                  // the TLB still knows it
//!
//! let [report] = &sanitizer.reports()[..] else { panic!("one report") };
//! assert_eq!(report.invalidation.unwrap().to_string(), "sfence.vma 0x4000, 0");
//! println!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It prints
//!
//! ```text
//! error: a stale translation was used: the tables refuse the access by now
//!   --> supervisor load of 8 bytes at 0x4000, access 4, in program
//!    | the TLB leads to 0x4000
//!    | the tables say: nothing is mapped there (level 2 entry at 0x1000 holds 0x0)
//! note: this write made it stale
//!   --> supervisor store of 8 bytes at 0x1000, access 3, in unmap
//!    | the level 2 entry at 0x1000 was 0xcf and became 0x0
//! help: after that, `sfence.vma 0x4000, 0` is enough
//! ```
//!
//! # Two stages
//!
//! If a unit has two stages, a report says to which stage each entry belongs, and it names an invalidation of that
//! stage. For the second stage that is `hfence.gvma`, `invept`, or `tlbi ipas2e1` and after it `tlbi vmalle1`. For a
//! guest's own tables it is `hfence.vvma` on RISC-V, and on other architectures the instruction that the guest
//! itself would execute. The invalidation names no guest-physical address if the changed entry is on the way to
//! several guest-physical pages. The report names no instruction if entries or roots of both stages have changed.
//!
//! # Units of your own
//!
//! The sanitizer knows no architecture. It asks the unit for its anatomy
//! ([`Registers::anatomy`](emmu_core::Registers::anatomy)) and for the entries from which an answer follows
//! ([`TranslationUnit::inspect`](emmu_core::TranslationUnit::inspect)). A paging unit answers both questions for every
//! format, from the format's own `anatomy`. If a unit answers neither question, the sanitizer still finds stale
//! translations and the write to blame; it looks for no lost flags, and names the invalidation as a scope. A unit that
//! wraps another one passes both questions on.
//!
//! # What is reported
//!
//! The manuals let a TLB go by old entries until an invalidation that covers them: "an implementation may use any
//! translation for an address that was valid at any time since the most recent SFENCE.VMA that subsumes that address"
//! (RISC-V Privileged, "Supervisor Memory-Management Fence Instruction"); likewise Intel SDM Vol. 3A, 5.10.4, and Arm
//! ARM, chapter D8, "TLB maintenance". That is no fault of the processor. It is a fault of the software, once such an
//! entry is really used and gives another outcome than the tables would:
//!
//! | difference | severity | why |
//! |---|---|---|
//! | another address ([`Kind::Moved`]) | error | the access goes to a frame that is not the page's any more |
//! | no mapping or right any more ([`Kind::Refused`]) | error | unmapping and write-protection are not in force |
//! | a store leaves D clear ([`Kind::NotDirty`]) | error | "if software changes an accessed flag or a dirty flag from 1 to 0, the processor might not set the corresponding bit in memory on a subsequent access" (SDM 5.8): the page will be dropped unwritten |
//! | an access leaves A clear ([`Kind::NotAccessed`]) | warning | the same sentence. Replacement is misled and no data is lost; kernels do so on purpose |
//! | other memory attributes ([`Kind::Attributes`]) | warning | the same bytes, but ordered or cached otherwise |
//!
//! Nothing is reported where the unit *refuses* what the tables would allow. After an entry has gained rights or has
//! become present, "failure to perform an invalidation may result in a 'spurious' page-fault exception … but no other
//! adverse behavior" (SDM 5.10.4.3, "Optional Invalidation"), and RISC-V and Arm leave it to the handler likewise.
#![no_std]

extern crate alloc;

mod bus;
mod culprit;
mod facts;
mod fence;
mod record;
mod report;
mod sanitizer;
mod shadow;
mod unit;

pub use bus::Watched;
pub use fence::Fence;
pub use record::{By, EntryWrite, RegisterWrite, When};
pub use report::{Kind, Report, Severity};
pub use sanitizer::Sanitizer;
pub use shadow::{Mismatch, Shadow, ShadowError};
pub use unit::Sanitized;
