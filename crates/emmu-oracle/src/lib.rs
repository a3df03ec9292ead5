//! Naive, slow, obviously right reference models of address translation, to judge real MMUs by.
//!
//! Models: one access with an empty TLB, straight from the manuals: [RISC-V](riscv) Bare and Sv32 to Sv57
//! with PMP, [x86] 32-bit, PAE, 4-level and 5-level paging, [AArch64](aarch64) stage 1, and
//! [formats described at run time](described) and [hashed page tables](hashed), straight from their documentation. A
//! model returns the physical address or the exception of the access, and the accessed and dirty bits that the access
//! sets. Two stages for guests: RISC-V with the [hypervisor extension](riscv::hypervisor), x86 with [EPT](x86::ept),
//! AArch64 with [stage 2](aarch64::stage2), and [hashed page tables](hashed) at both stages. The model of two stages
//! runs a model of one stage for each of them.
//!
//! Does not model: TLBs, walk caches, time, or what stands at the physical address. It
//! shares no decoding, no walk and no arithmetic with the translation units that it judges; only the plain
//! types of emmu-core and of the vectors are common.
//!
//! You want
//! * [`Reference::translate`] on the registers of your architecture, to ask for one answer;
//! * [`TwoStage::nested`] on those of a machine with two stages, to ask for the entries that were read, too;
//! * [`ReferenceModels`], to put all models to files of known answers (`emmu_vectors`);
//! * `emmu_verify`, to compare your MMU with a model on random cases, in property tests and fuzzers.
//!
//! ```
//! use emmu_core::{Access, PhysAddr, VirtAddr};
//! use emmu_oracle::reference::SparseMemory;
//! use emmu_oracle::riscv::{Exception, Registers, Xlen};
//! use emmu_oracle::{Reference, Write};
//!
//! // Sv39 with hardware update of A and D (menvcfg.ADUE); the root's entry 1 is a gigapage, V, R and W.
//! let (satp, menvcfg) = (8 << 60 | 9, 1 << 61);
//! let hart = Registers { xlen: Xlen::Rv64, satp, mstatus: 0, menvcfg, svnapot: false, pmp: vec![] };
//! let mut memory = SparseMemory::default();
//! memory.write64(PhysAddr::new(0x9008), 0x2000_0007);
//!
//! let store = hart.translate(Access::store(VirtAddr::new(0x4000_1234), 4), &memory).unwrap();
//! assert_eq!(store.pa, PhysAddr::new(0x8000_1234));
//! // V, R, W and now A and D.
//! assert_eq!(store.writes, [Write { addr: PhysAddr::new(0x9008), size: 8, value: 0x2000_00c7 }]);
//!
//! let fetch = hart.translate(Access::fetch(VirtAddr::new(0x4000_1234), 4), &memory).unwrap_err();
//! assert_eq!((fetch.exception, fetch.tval), (Exception::InstructionPageFault, 0x4000_1234));
//! ```

pub mod aarch64;
pub mod described;
pub mod hashed;
mod models;
pub mod reference;
pub mod riscv;
pub mod two_stage;
pub mod x86;

pub use models::ReferenceModels;
pub use reference::{Hole, Memory, Outcome, Reference, Write};
pub use two_stage::TwoStage;
