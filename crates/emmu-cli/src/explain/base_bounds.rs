//! Base and bounds.

use super::Radix;
use super::args;
use super::story::{Heard, Step, Tell, bytes};
use emmu_base_bounds::{BaseBounds, Convention, Refusal};
use emmu_core::{Access, Registers};
use emmu_memory::Memory;

impl args::BaseBounds {
    pub(super) fn unit(&self) -> BaseBounds {
        let (convention, bounds) = match self.end {
            Some(end) => (Convention::End, end),
            None => (Convention::Size, self.bounds.unwrap_or_default()),
        };
        BaseBounds::new(convention).with_registers(self.base, bounds)
    }
}

impl Tell for BaseBounds {
    fn parts(&self, _: Access, _: Radix) -> Option<String> {
        None
    }

    fn steps(&self, access: Access, _: &[Heard], _: &Memory, show: Radix) -> Vec<Step> {
        let register = |id| self.read_register(id).unwrap_or_default();
        let (base, bounds) = (register(Self::BASE), register(Self::BOUNDS));
        let (va, base_text) = (show.show(access.addr), show.show(base));
        let told = show.show(bounds);
        match (self.convention(), self.relocate(access.addr)) {
            (Convention::Size, Ok((place, left))) => vec![
                Step::new("bounds", format!("{va} < bounds {told}, {} left", bytes(left, show))),
                Step::new("PA", format!("base {base_text} + {va} = {}", show.show(place))),
            ],
            (Convention::Size, Err(Refusal::PastBounds { by })) => {
                vec![Step::failing("bounds", past(&va, &told, by, show))]
            }
            (Convention::Size, Err(Refusal::NoPlace)) => vec![
                Step::new("bounds", format!("{va} < bounds {told}")),
                no_place(&base_text, &va),
            ],
            (Convention::End, Ok((place, left))) => vec![
                Step::new("PA", format!("base {base_text} + {va} = {}", show.show(place))),
                Step::new(
                    "bounds",
                    format!("{} < bounds {told}, {} left", show.show(place), bytes(left, show)),
                ),
            ],
            (Convention::End, Err(Refusal::PastBounds { by })) => {
                let sum = show.show(bounds.saturating_add(by));
                vec![
                    Step::new("PA", format!("base {base_text} + {va} = {sum}")),
                    Step::failing("bounds", past(&sum, &told, by, show)),
                ]
            }
            (Convention::End, Err(Refusal::NoPlace)) => vec![no_place(&base_text, &va)],
        }
    }
}

fn past(checked: &str, bounds: &str, by: u64, show: Radix) -> String {
    match by {
        0 => format!("{checked} >= bounds {bounds}, the first byte past them"),
        by => format!("{checked} >= bounds {bounds} by {}", bytes(by, show)),
    }
}

fn no_place(base: &str, va: &str) -> Step {
    Step::failing("PA", format!("base {base} + {va} is past the last 64-bit address"))
}
