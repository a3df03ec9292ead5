//! Random cases, biased to the interesting ones, as plain data.
//!
//! A [`Case`] is registers, page tables, holes and a sequence of accesses. It comes from quickcheck ([`Arbitrary`]),
//! from the bytes of a fuzzer ([`Case::from_bytes`]) or from a seed ([`Case::from_seed`]); the same source gives the
//! same case. [`Case::outcomes`] returns the answers of the reference model.
//!
//! The generators make tables along a few addresses, of a few indices and a few frames, so that paths share tables,
//! tables point to themselves and to each other, superpages stand at every level, and some entries are absent, damaged
//! in one bit, or noise. The accesses go to those addresses, near them, and past the edges of the address space. No
//! access leaves its 4 KiB page, or its page where pages can be smaller.
//!
//! Cases of two stages have tables for both: first those of the guest, in guest-physical memory, then those of the
//! second stage, along the addresses of the guest's entries and of the pages that they map. The guest's words stand
//! where the second stage maps them: in some cases nowhere, twice, or among the second stage's own words.
//!
//! ```
//! use emmu_verify::generate::Case;
//! use emmu_oracle::riscv;
//! let case = Case::<riscv::Registers>::from_seed(7);
//! assert_eq!(case, Case::from_seed(7));
//! assert_eq!(case.outcomes().len(), case.accesses.len());
//! ```

mod aarch64;
mod described;
mod entropy;
mod hashed;
mod nested;
mod riscv;
mod tables;
mod x86;

pub use entropy::{Bytes, Entropy, Seed};

use core::fmt::Debug;
use emmu_core::{Access, PhysAddr};
use emmu_oracle::reference::{Outcome, Reference, SparseMemory, Write};
use quickcheck::{Arbitrary, Gen};

/// Registers, tables and accesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case<R> {
    /// The registers of one architecture, which are its reference model.
    pub registers: R,
    /// The page-table words, each address once, in order of address; all others are 0.
    pub mem: Vec<Write>,
    /// The 4 KiB frames that answer a page-table read with a bus error.
    pub holes: Vec<PhysAddr>,
    /// The accesses, in order. Each access finds the tables as the accesses before it leave them.
    pub accesses: Vec<Access>,
}

/// Registers for which cases can be generated.
pub trait Generate: Sized {
    /// Makes a case from `entropy`.
    fn generate(entropy: &mut dyn Entropy) -> Case<Self>;
}

impl<R> Case<R> {
    /// Returns memory as the first access finds it.
    #[must_use]
    pub fn memory(&self) -> SparseMemory {
        let mut memory = SparseMemory::default();
        memory.apply_all(&self.mem);
        self.holes.iter().for_each(|hole| memory.punch(*hole));
        memory
    }
}

impl<R: Generate> Case<R> {
    /// Makes a case from the bytes of a fuzzer. All bytes are valid; after the last one, zeros follow.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        R::generate(&mut Bytes::new(bytes))
    }

    /// Makes the case of this number.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        R::generate(&mut Seed::new(seed))
    }
}

impl<R: Reference> Case<R> {
    /// Returns the answer of the reference model to each access.
    #[must_use]
    pub fn outcomes(&self) -> Vec<Result<Outcome, R::Fault>> {
        let mut memory = self.memory();
        let mut outcomes = Vec::new();
        for access in &self.accesses {
            let outcome = self.registers.translate(*access, &memory);
            if let Ok(Outcome { writes, .. }) = &outcome {
                memory.apply_all(writes);
            }
            outcomes.push(outcome);
        }
        outcomes
    }
}

impl<R: Generate + Clone + Debug + 'static> Arbitrary for Case<R> {
    fn arbitrary(entropy: &mut Gen) -> Self {
        R::generate(entropy)
    }

    /// Returns smaller cases: with half of the accesses, or without one access, one word or one hole.
    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let with_accesses = |accesses| Self { accesses, ..self.clone() };
        let half = self.accesses.len() / 2;
        let mut smaller = Vec::new();
        if half > 0 {
            smaller.push(with_accesses(self.accesses[..half].to_vec()));
            smaller.push(with_accesses(self.accesses[half..].to_vec()));
        }
        smaller.extend(each_without_one(&self.accesses).map(with_accesses));
        smaller.extend(each_without_one(&self.mem).map(|mem| Self { mem, ..self.clone() }));
        smaller.extend(each_without_one(&self.holes).map(|holes| Self { holes, ..self.clone() }));
        Box::new(smaller.into_iter())
    }
}

/// Returns `items` without the first, without the second, and so on.
fn each_without_one<T: Clone>(items: &[T]) -> impl Iterator<Item = Vec<T>> + '_ {
    (0..items.len()).map(|left_out| {
        let mut rest = items.to_vec();
        rest.remove(left_out);
        rest
    })
}
