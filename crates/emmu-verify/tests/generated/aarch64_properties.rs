//! Properties of all registers, tables and accesses.

use emmu_core::{Access, AccessKind, PhysAddr, VirtAddr};
use emmu_oracle::{Hole, Memory, Reference, aarch64::Registers};
use emmu_property::quickcheck;
use emmu_verify::generate::{Case, Entropy, Seed};

/// Memory in which every word is noise, a valid descriptor in three of four cases.
struct Noise(u64);

impl Memory for Noise {
    fn read32(&self, _: PhysAddr) -> Result<u32, Hole> {
        Err(Hole)
    }

    fn read64(&self, addr: PhysAddr) -> Result<u64, Hole> {
        let mut seed = Seed::new(self.0 ^ addr.raw());
        let word = u64::from_le_bytes(core::array::from_fn(|_| seed.byte()));
        Ok(word | u64::from(seed.byte() & 0b11))
    }
}

quickcheck! {
    fn any_registers_translate_any_address_or_fault(
        ttbr: (u64, u64), tcr: u64, sctlr: u64, pa_bits: u32, va: u64, noise: u64
    ) -> bool {
        let registers = Registers {
            ttbr0_el1: ttbr.0,
            ttbr1_el1: ttbr.1,
            tcr_el1: tcr,
            sctlr_el1: sctlr,
            pan: noise & 1 == 1,
            pa_bits,
        };
        AccessKind::ALL.into_iter().all(|kind| {
            let access = Access::new(kind, VirtAddr::new(va), 1);
            match registers.mapping(access, &Noise(noise)) {
                Ok(mapping) => mapping.pa.raw() < 1 << pa_bits.clamp(32, 48),
                Err(fault) => fault.level <= 3 && fault.far == va,
            }
        })
    }

    fn an_allowed_access_keeps_its_offset_in_the_page(case: Case<Registers>) -> bool {
        let outcomes = case.outcomes();
        case.accesses.iter().zip(outcomes).all(|(access, outcome)| match outcome {
            Ok(outcome) if outcome.page_bits < 64 => {
                (outcome.pa.raw() ^ access.addr.raw()) & ((1 << outcome.page_bits) - 1) == 0
            }
            _ => true,
        })
    }

    fn an_access_that_is_repeated_changes_nothing_more(case: Case<Registers>) -> bool {
        let memory = case.memory();
        case.accesses.iter().all(|access| {
            let Ok(first) = case.registers.translate(*access, &memory) else { return true };
            let mut memory = memory.clone();
            memory.apply_all(&first.writes);
            let second = case.registers.translate(*access, &memory);
            second.is_ok_and(|second| second.pa == first.pa && second.writes.is_empty())
        })
    }

    fn who_may_store_may_load_and_do_both_at_once(case: Case<Registers>) -> bool {
        let memory = case.memory();
        let allowed = |access: &Access, kind| {
            case.registers.translate(Access { kind, ..*access }, &memory).is_ok()
        };
        case.accesses.iter().all(|access| {
            let amo = allowed(access, AccessKind::Amo);
            let both = allowed(access, AccessKind::Load) && allowed(access, AccessKind::Store);
            amo == both && amo == allowed(access, AccessKind::Store)
        })
    }
}
