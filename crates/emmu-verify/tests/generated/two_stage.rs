//! Properties of generated cases, on every model of two stages.

mod aarch64;
mod riscv;
mod x86;

use emmu_core::Access;
use emmu_oracle::two_stage::{Nested, Stage};
use emmu_oracle::{Reference, TwoStage};
use emmu_verify::generate::{Case, Generate};

/// An access, under which registers it was made, and what came of it.
type Happening<R> = (R, Access, Nested<<R as Reference>::Fault>);

/// Everything that happens in the first cases.
fn happenings<R: TwoStage + Generate + Clone>() -> Vec<Happening<R>> {
    let mut happenings = Vec::new();
    for seed in 0..6000 {
        let case = Case::<R>::from_seed(seed);
        let mut memory = case.memory();
        for access in &case.accesses {
            let nested = case.registers.nested(*access, &memory);
            if let Ok(outcome) = &nested.answer {
                memory.apply_all(&outcome.writes);
            }
            happenings.push((case.registers.clone(), *access, nested));
        }
    }
    happenings
}

/// Of `of` happenings, how many are as wanted, rounded down.
fn share<R: Reference>(
    happenings: &[Happening<R>],
    of: usize,
    wanted: impl Fn(&Nested<R::Fault>) -> bool,
) -> usize {
    happenings.iter().filter(|(.., nested)| wanted(nested)).count() * of / happenings.len()
}

/// Returns true if tables of both stages allowed an access.
fn passes_both<F>(nested: &Nested<F>) -> bool {
    let read = |stage| nested.reads.iter().any(|read| read.stage == stage);
    nested.answer.is_ok() && read(Stage::First) && read(Stage::Second)
}

/// Returns true if each access, made once more, gives an equal answer and writes nothing.
fn repeat_without_writes<R: TwoStage>(case: &Case<R>) -> bool {
    let mut memory = case.memory();
    case.accesses.iter().all(|access| {
        let nested = case.registers.nested(*access, &memory);
        let Ok(first) = nested.answer else { return true };
        memory.apply_all(&first.writes);
        let second = case.registers.translate(*access, &memory);
        nested.entangled
            || second.is_ok_and(|second| {
                second.writes.is_empty()
                    && (second.pa, second.page_bits) == (first.pa, first.page_bits)
            })
    })
}
