//! Segments in registers, and what they have in common with those in a table.

use super::args;
use super::number::{Radix, value};
use super::story::{Heard, Step, Tell, bytes};
use anyhow::{Context, Result, bail};
use emmu_core::{Access, low_mask};
use emmu_memory::Memory;
use emmu_segmentation::{Parts, Refusal, Segment, SegmentFlags, Segmentation, Selection};

impl args::Segments {
    pub(super) fn unit(&self) -> Result<Segmentation> {
        let count = u32::try_from(self.segments.len()).context("--segment: too many")?;
        let selection = match self.implicit {
            true if count == 3 => Selection::Implicit,
            true => bail!("--implicit: expected 3 segments (fetches, data, stack), found {count}"),
            false => {
                let least = u32::BITS - count.saturating_sub(1).leading_zeros();
                let selector_bits = self.selector_bits.unwrap_or(least);
                Selection::Explicit { selector_bits, segments: count }
            }
        };
        let mut unit = Segmentation::new(self.address_bits, selection)?;
        for (number, text) in (0..).zip(&self.segments) {
            unit = unit
                .with_segment(number, parse(text)?)
                .with_context(|| format!("--segment {text}"))?;
        }
        Ok(unit)
    }
}

/// `BASE:BOUNDS[:RIGHTS][:down]`.
pub(super) fn parse(text: &str) -> Result<Segment> {
    let expected = || {
        format!(
            "--segment: expected BASE:BOUNDS[:RIGHTS][:down] such as 32K:2K:r-x, found {text:?}"
        )
    };
    let mut fields = text.split(':');
    let (base, bounds) = fields.next().zip(fields.next()).with_context(expected)?;
    let (base, bounds) = (value("--segment", base)?, value("--segment", bounds)?);
    let mut flags = SegmentFlags::READ | SegmentFlags::WRITE;
    let mut rest = fields.peekable();
    if let Some(rights) = rest.next_if(|field| *field != "down") {
        flags = parse_rights(rights).with_context(expected)?;
    }
    if rest.next_if_eq(&"down").is_some() {
        flags |= SegmentFlags::GROWS_DOWN;
    }
    match rest.next() {
        None => Ok(Segment { base, bounds, flags }),
        Some(_) => bail!(expected()),
    }
}

/// `rwx`, with `-` for what is missing.
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
    let letter = |flag, letter| if flags.contains(flag) { letter } else { '-' };
    [
        letter(SegmentFlags::READ, 'r'),
        letter(SegmentFlags::WRITE, 'w'),
        letter(SegmentFlags::EXECUTE, 'x'),
    ]
    .into_iter()
    .collect()
}

impl Tell for Segmentation {
    fn parts(&self, access: Access, show: Radix) -> Option<String> {
        let (parts, _) = self.select(access).ok()?;
        Some(match self.selection() {
            Selection::Explicit { selector_bits, .. } => {
                cut("selector", parts, selector_bits, self.address_bits() - selector_bits, show)
            }
            Selection::Implicit => format!("offset {}", show.show(parts.offset)),
        })
    }

    fn steps(&self, access: Access, _: &[Heard], _: &Memory, show: Radix) -> Vec<Step> {
        match self.select(access) {
            Err(refusal) => vec![refused_address(refusal, show)],
            Ok((parts, segment)) => {
                let mut steps = vec![Step::new(
                    "segment",
                    format!("{} has {}", self.name(parts.selector), describe(&segment, show)),
                )];
                steps.extend(place(&segment, parts, self.last_offset(), access, show));
                steps
            }
        }
    }
}

trait Named {
    fn name(&self, selector: u64) -> String;
}

impl Named for Segmentation {
    fn name(&self, selector: u64) -> String {
        match (self.selection(), selector) {
            (Selection::Implicit, 0) => "fetch: code".to_owned(),
            (Selection::Implicit, 1) => "no fetch, no stack: data".to_owned(),
            (Selection::Implicit, _) => "stack pointer: stack".to_owned(),
            (Selection::Explicit { .. }, selector) => selector.to_string(),
        }
    }
}

/// Selector and offset in bits, and as numbers.
pub(super) fn cut(
    what: &str,
    parts: Parts,
    selector_bits: u32,
    offset_bits: u32,
    show: Radix,
) -> String {
    let Parts { selector, offset } = parts;
    let selector_told = show.show(selector);
    let bits = match (selector_bits, offset_bits) {
        (0, width) if width <= 20 => format!("{offset:0width$b}b, ", width = width as usize),
        (bits, width) if bits + width <= 20 => format!(
            "{selector:0bits$b} {offset:0width$b}b, ",
            bits = bits as usize,
            width = width as usize
        ),
        _ => String::new(),
    };
    format!("{bits}{what} {selector_told} | offset {}", show.show(offset))
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

/// The refusal of an address that leads to no segment.
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
            format!("selector {selector} >= {segments}, the number of segments"),
        ),
        other => Step::failing("segment", other.to_string()),
    }
}

/// The steps in a segment: bounds, rights, physical address.
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
    let kind = access.kind;
    match answer {
        Ok((place, left)) => steps.extend([
            Step::new("bounds", format!("{holds}, {} left", bytes(left))),
            Step::new("rights", format!("{} allows a {kind}", rights(flags))),
            Step::new("PA", format!("{sum} = {}", show.show(place))),
        ]),
        Err(Refusal::PastBounds { by: 0 }) => steps.push(Step::failing(
            "bounds",
            format!("{distance} >= bounds {told}, the first byte past them"),
        )),
        Err(Refusal::PastBounds { by }) => {
            let relation = if down { ">" } else { ">=" };
            let text = format!("{distance} {relation} bounds {told} by {}", bytes(by));
            steps.push(Step::failing("bounds", text));
        }
        Err(Refusal::Forbidden { missing }) => steps.extend([
            Step::new("bounds", holds),
            Step::failing(
                "rights",
                format!(
                    "{} lacks {} for a {kind}",
                    rights(flags),
                    rights(missing).replace('-', "")
                ),
            ),
        ]),
        Err(_) => steps.extend([
            Step::new("bounds", holds),
            Step::failing("PA", format!("{sum} is no 64-bit address")),
        ]),
    }
    steps
}

/// How far below the top of its part of the address space an offset is.
fn distance(offset: u64, last: u64, steps: &mut Vec<Step>, show: Radix) -> String {
    let size = u128::from(last) + 1;
    let distance = size - u128::from(offset.min(last));
    let wide =
        |value: u128| u64::try_from(value).map_or(format!("{value:#x}"), |value| show.show(value));
    let text = format!("{} - {} = -{}", show.show(offset), wide(size), wide(distance));
    steps.push(Step::new("distance", text));
    wide(distance)
}
