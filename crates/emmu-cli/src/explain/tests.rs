//! An explanation never disagrees with the unit that it explains.

use super::args::Explain;
use super::story::Explanation;
use clap::Parser;
use emmu_property::{Arbitrary, Gen, quickcheck};
use std::collections::BTreeMap;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    explain: Explain,
}

fn explain(line: &str) -> Explanation {
    let words = ["explain"].into_iter().chain(line.split_whitespace());
    let line = Line::try_parse_from(words).expect("a legal command line");
    super::explain(&line.explain.unit).expect("a legal machine").remove(0)
}

/// Returns true if an explanation agrees with itself, as it must on every machine.
fn is_sound(explanation: &Explanation) -> bool {
    let failing = explanation.steps.iter().filter(|step| !step.holds);
    let priced: u64 = explanation.steps.iter().filter_map(|step| step.cycles).sum();
    let refused = usize::from(explanation.fault.is_some());
    explanation.physical.is_some() == explanation.fault.is_none()
        && failing.count() == refused
        && priced == explanation.cycles
}

/// Returns the number after the last `=` of the step of this name.
fn sum(explanation: &Explanation, what: &str) -> Option<u64> {
    let step = explanation.steps.iter().find(|step| step.what == what && step.holds)?;
    step.text.rsplit_once("= ")?.1.parse().ok()
}

/// Numbers near one another.
#[derive(Clone, Copy, Debug)]
struct Near(u64);

impl Arbitrary for Near {
    fn arbitrary(g: &mut Gen) -> Self {
        let edge = *g.choose(&[0u64, 16, 100, 4096, 12_288, 16_384]).expect("edges");
        Self((edge + u64::from(u8::arbitrary(g) % 5)).saturating_sub(2))
    }
}

#[derive(Clone, Copy, Debug)]
struct Rights(&'static str);

impl Arbitrary for Rights {
    fn arbitrary(g: &mut Gen) -> Self {
        Self(g.choose(&["rw-", "rw-", "r--", "r-x", "--x", "-w-"]).expect("rights"))
    }
}

#[derive(Clone, Copy, Debug)]
struct Kind(&'static str);

impl Arbitrary for Kind {
    fn arbitrary(g: &mut Gen) -> Self {
        Self(g.choose(&["load", "load", "store", "fetch", "amo"]).expect("kinds"))
    }
}

quickcheck! {
    fn base_and_bounds(base: Near, bounds: Near, addr: Near, end: bool) -> bool {
        let register = if end { "--end" } else { "--bounds" };
        let line = format!("base-bounds --base {} {register} {} {}", base.0, bounds.0, addr.0);
        let told = explain(&line);
        let expected = if end { base.0 + addr.0 < bounds.0 } else { addr.0 < bounds.0 };
        is_sound(&told)
            && told.physical.is_some() == expected
            && told.physical.is_none_or(|place| sum(&told, "PA") == Some(place))
    }

    fn segments(segment: (Near, Near, Rights, bool), addr: Near, kind: Kind) -> bool {
        let (base, bounds, rights, down) = segment;
        let direction = if down { ":down" } else { "" };
        let line = format!(
            "segments --address-bits 15 --selector-bits 1 --segment {}:{}:{}{direction} \
             --access {} {}",
            base.0, bounds.0.min(1 << 14), rights.0, kind.0, addr.0
        );
        let told = explain(&line);
        is_sound(&told) && told.physical.is_none_or(|place| sum(&told, "PA") == Some(place))
    }

    fn a_table(segment: (Near, Near, Rights, bool), addr: Near, kind: Kind, cache: bool) -> bool {
        let (base, bounds, rights, down) = segment;
        let direction = if down { ":down" } else { "" };
        let line = format!(
            "table --address-bits 16 --selector-bits 2 --table 0x8000 --length 3 --cache {} \
             --segment 0={}:{}:{}{direction} --segment 1={}:{}:{}{direction} --size 8 --access {} {}",
            u8::from(cache), base.0, bounds.0, rights.0, base.0, bounds.0, rights.0, kind.0, addr.0
        );
        let told = explain(&line);
        is_sound(&told) && told.physical.is_none_or(|place| sum(&told, "PA") == Some(place))
    }

    fn pages(entries: Vec<(u8, u8)>, addr: Near, tlb: bool, kind: Kind, levels: bool) -> bool {
        let entries: BTreeMap<_, _> = entries.iter().map(|(index, raw)| (index % 2, *raw)).collect();
        let entries = entries.into_iter().map(|(index, raw)| {
            let raw = u32::from(raw) << 24 | u32::from(raw & 0xf);
            format!("--entry {index}={raw} ")
        });
        let entries: String = entries.collect();
        let levels = 1 + u8::from(levels);
        let line = format!(
            "paging --tlb {} --levels {levels} --read 30 --write 29 --execute 28 {entries} \
             --access {} {}",
            u8::from(tlb), kind.0, addr.0
        );
        let told = explain(&line);
        is_sound(&told) && told.physical.is_none_or(|place| sum(&told, "PA") == Some(place))
    }
}
