//! Segments in registers, and the parts that they share with segments in a table.

use super::parts::{Part, cut};
use super::story::{Heard, Step, Tell, bytes, with_article};
use super::{
    Radix,
    args::{self, Kind},
};
use crate::number::number;
use anyhow::{Context, Result, anyhow, ensure};
use emmu_core::{Access, AccessFlags, low_mask};
use emmu_memory::Memory;
use emmu_segmentation::{
    GeometryError, MAX_SEGMENTS, Parts, Refusal, Segment, SegmentFlags, Segmentation, Selection,
};
use std::{collections::BTreeMap, str::FromStr};

/// A segment, and its number if it is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberedSegment {
    number: Option<u64>,
    segment: Segment,
}

impl FromStr for NumberedSegment {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbered = || match text.split_once('=') {
            Some((given, segment)) => {
                Some(Self { number: Some(number(given).ok()?), segment: parse(segment)? })
            }
            None => Some(Self { number: None, segment: parse(text)? }),
        };
        numbered().context(
            "expected [N=]BASE:BOUNDS[:RIGHTS][:down] such as 32K:2K:r-x or 3=28K:2K:rw-:down",
        )
    }
}

impl args::Segments {
    pub(super) fn unit(&self) -> Result<Segmentation> {
        ensure!(
            !self.stack || self.accesses.access != Kind::Fetch,
            "--stack has no meaning with --access fetch: fetches always select the code"
        );
        let segments = self.numbered()?;
        let count = segments.keys().last().map_or(0, |last| last + 1);
        let mut unit =
            Segmentation::new(self.address_bits, self.selection(count)?).map_err(named)?;
        for (number, segment) in segments {
            unit = unit
                .with_segment(number, segment)
                .with_context(|| format!("--segment: segment {number}"))?;
        }
        Ok(unit)
    }

    pub(super) const fn flags(&self) -> AccessFlags {
        if self.stack { AccessFlags::STACK } else { AccessFlags::empty() }
    }

    /// Returns the segments by number. A segment without a number of its own follows the one before.
    fn numbered(&self) -> Result<BTreeMap<u32, Segment>> {
        let (mut segments, mut next) = (BTreeMap::new(), 0);
        for given in &self.segments {
            let number = given.number.unwrap_or(next);
            ensure!(
                number < MAX_SEGMENTS.into(),
                "--segment: segment {number}; expected numbers from 0 to {}",
                MAX_SEGMENTS - 1
            );
            let twice = segments.insert(u32::try_from(number)?, given.segment);
            ensure!(twice.is_none(), "--segment: segment {number} is given twice");
            next = number + 1;
        }
        Ok(segments)
    }

    fn selection(&self, count: u32) -> Result<Selection> {
        if self.implicit {
            ensure!(
                count == 3 && self.segments.len() == 3,
                "--implicit: expected 3 segments (fetches, data, stack), found {}",
                self.segments.len()
            );
            return Ok(Selection::Implicit);
        }
        let least = u32::BITS - count.saturating_sub(1).leading_zeros();
        let selector_bits = self.selector_bits.unwrap_or(least);
        Ok(Selection::Explicit { selector_bits, segments: count })
    }
}

/// Names the option that makes this geometry impossible.
pub(super) fn named(error: GeometryError) -> anyhow::Error {
    let option = match error {
        GeometryError::AddressBits { .. } => "--address-bits",
        GeometryError::SelectorBits { .. } | GeometryError::OffsetBits { .. } => "--selector-bits",
        GeometryError::Segments { .. } => "--segment",
        _ => return anyhow!(error),
    };
    anyhow!("{option}: {error}")
}

/// Parses `BASE:BOUNDS[:RIGHTS][:down]`.
pub(super) fn parse(text: &str) -> Option<Segment> {
    let mut fields = text.split(':');
    let (base, bounds) = fields.next().zip(fields.next())?;
    let (base, bounds) = (number(base).ok()?, number(bounds).ok()?);
    let mut flags = SegmentFlags::READ | SegmentFlags::WRITE;
    let mut rest = fields.peekable();
    if let Some(rights) = rest.next_if(|field| *field != "down") {
        flags = parse_rights(rights)?;
    }
    if rest.next_if_eq(&"down").is_some() {
        flags |= SegmentFlags::GROWS_DOWN;
    }
    rest.next().is_none().then_some(Segment { base, bounds, flags })
}

/// Parses `rwx`, with `-` for rights that are missing.
fn parse_rights(text: &str) -> Option<SegmentFlags> {
    let flags = [SegmentFlags::READ, SegmentFlags::WRITE, SegmentFlags::EXECUTE];
    let mut rights = SegmentFlags::empty();
    let mut letters = text.chars();
    for (flag, letter) in flags.into_iter().zip(['r', 'w', 'x']) {
        match letters.next()? {
            '-' => {}
            found if found == letter => rights |= flag,
            _ => return None,
        }
    }
    letters.next().is_none().then_some(rights)
}

pub(super) fn rights(flags: SegmentFlags) -> String {
    letters(
        [SegmentFlags::READ, SegmentFlags::WRITE, SegmentFlags::EXECUTE]
            .map(|flag| flags.contains(flag)),
    )
}

/// Shows rights as `rwx`, with `-` for those that are missing.
pub(super) fn letters(has: [bool; 3]) -> String {
    has.iter().zip("rwx".chars()).map(|(&has, letter)| if has { letter } else { '-' }).collect()
}

impl Tell for Segmentation {
    fn parts(&self, access: Access, show: Radix) -> Option<String> {
        let parts = match self.selection() {
            Selection::Explicit { selector_bits, .. } => {
                selector_and_offset(selector_bits, self.address_bits())
            }
            Selection::Implicit => vec![("offset".to_owned(), self.address_bits())],
        };
        Some(cut(access.addr.raw(), &parts, show))
    }

    fn steps(&self, access: Access, _: &[Heard], _: &Memory, show: Radix) -> Vec<Step> {
        let (parts, segment) = match self.select(access) {
            Ok(selected) => selected,
            Err(refusal) => return vec![refused_address(refusal, show)],
        };
        let name = name(self.selection(), parts.selector, show);
        if segment == Segment::default() {
            let text = format!("selector {name}: no segment is loaded, its bounds are 0");
            return vec![Step::failing("segment", text)];
        }
        let found = format!("{name} has {}", describe(&segment, show));
        let mut steps = vec![Step::new("segment", found)];
        steps.extend(place(&segment, parts, self.last_offset(), access, show));
        steps
    }
}

fn name(selection: Selection, selector: u64, show: Radix) -> String {
    match (selection, selector) {
        (Selection::Implicit, 0) => "fetch: code".to_owned(),
        (Selection::Implicit, 1) => "no fetch, no stack: data".to_owned(),
        (Selection::Implicit, _) => "stack pointer: stack".to_owned(),
        (Selection::Explicit { .. }, selector) => show.show(selector),
    }
}

/// Returns the parts of an address whose top bits select the segment.
pub(super) fn selector_and_offset(selector_bits: u32, address_bits: u32) -> Vec<Part> {
    let offset_bits = address_bits.saturating_sub(selector_bits);
    vec![("selector".to_owned(), selector_bits), ("offset".to_owned(), offset_bits)]
}

pub(super) fn describe(segment: &Segment, show: Radix) -> String {
    let Segment { base, bounds, flags } = *segment;
    let direction = if flags.contains(SegmentFlags::GROWS_DOWN) { "down" } else { "up" };
    format!(
        "base {}, bounds {}, {}, grows {direction}",
        show.show(base),
        show.show(bounds),
        rights(flags)
    )
}

/// Returns the step that refuses an address without a segment.
pub(super) fn refused_address(refusal: Refusal, show: Radix) -> Step {
    match refusal {
        Refusal::TooWide { address_bits } => {
            let last = show.show(low_mask(address_bits));
            Step::failing(
                "address",
                format!("wider than {address_bits} bits, whose last address is {last}"),
            )
        }
        Refusal::NoSegment { selector, segments } => Step::failing(
            "segment",
            format!(
                "selector {} >= {}, the number of segments",
                show.show(selector),
                show.show(segments)
            ),
        ),
        other => Step::failing("segment", other.to_string()),
    }
}

/// Returns the steps in a segment: bounds, rights, physical address.
pub(super) fn place(
    segment: &Segment,
    parts: Parts,
    last: u64,
    access: Access,
    show: Radix,
) -> Vec<Step> {
    let Segment { base, bounds, flags } = *segment;
    let down = flags.contains(SegmentFlags::GROWS_DOWN);
    let answer = segment.place(parts.offset, last, access.kind);
    let mut steps = Vec::new();
    let distance =
        if down { distance(parts.offset, last, &mut steps, show) } else { show.show(parts.offset) };
    let told = show.show(bounds);
    let holds = match down {
        true => format!("{distance} <= bounds {told}"),
        false => format!("{distance} < bounds {told}"),
    };
    let sign = if down { "-" } else { "+" };
    let sum = format!("base {} {sign} {distance}", show.show(base));
    let kind = with_article(access.kind);
    match answer {
        Ok((place, left)) => steps.extend([
            Step::new("bounds", format!("{holds}, {} left", bytes(left, show))),
            Step::new("rights", format!("{} allows {kind}", rights(flags))),
            Step::new("PA", format!("{sum} = {}", show.show(place))),
        ]),
        Err(Refusal::PastBounds { by: 0 }) => steps.push(Step::failing(
            "bounds",
            format!("{distance} >= bounds {told}, the first byte past them"),
        )),
        Err(Refusal::PastBounds { by }) => {
            let relation = if down { ">" } else { ">=" };
            let text = format!("{distance} {relation} bounds {told} by {}", bytes(by, show));
            steps.push(Step::failing("bounds", text));
        }
        Err(Refusal::Forbidden { missing }) => steps.extend([
            Step::new("bounds", holds),
            Step::failing(
                "rights",
                format!("{} lacks {} for {kind}", rights(flags), rights(missing).replace('-', "")),
            ),
        ]),
        Err(_) => steps.extend([
            Step::new("bounds", holds),
            Step::failing("PA", format!("{sum} is no 64-bit address")),
        ]),
    }
    steps
}

/// Adds the step that computes the distance of an offset from the top of the segment, and returns the distance.
fn distance(offset: u64, last: u64, steps: &mut Vec<Step>, show: Radix) -> String {
    let size = u128::from(last) + 1;
    let distance = size - u128::from(offset.min(last));
    let wide =
        |value: u128| u64::try_from(value).map_or(format!("{value:#x}"), |value| show.show(value));
    let text = format!("{} - {} = -{}", show.show(offset), wide(size), wide(distance));
    steps.push(Step::new("distance", text));
    wide(distance)
}
