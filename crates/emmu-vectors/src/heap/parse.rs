//! From a line to a record. Fields that tell nothing of the manager are passed over.

use super::{Description, Fact, Op, Order, Policy, Record, Step};
use crate::field::{Field, Problem};
use serde_json::Value;

/// The most bytes or frames that a heap has.
const LARGEST_HEAP: u64 = 1 << 24;
/// The most frames of a buddy system.
const MOST_FRAMES: u64 = 1 << 16;
/// The largest address, size and the like.
const LARGEST: u64 = 1 << 40;

/// Each manager's name in `sim`, and how its records are read.
const KINDS: [(&str, Parse); 4] = [
    ("malloc", free_space),
    ("kr_nextfit", next_fit),
    ("firstfit_embedded", first_fit),
    ("buddy", buddy),
];

/// Reads the parts of a record but for its number.
type Parse = fn(&Field<'_>) -> Result<(Description, Vec<Fact>, Vec<Step>), Problem>;

/// Returns true if a line is a record of a memory manager.
pub(crate) fn is_of_a_heap(line: &Value) -> bool {
    let sim = line.get("sim").and_then(Value::as_str);
    sim.is_some_and(|sim| KINDS.iter().any(|(name, _)| *name == sim))
}

impl Record {
    /// Reads one from a line's JSON.
    pub(super) fn parse(line: &Value) -> Result<Self, Problem> {
        let line = Field::document(line);
        let sim = line.member("sim")?;
        let name = sim.text()?;
        let kind = KINDS.iter().find(|(known, _)| *known == name);
        let (_, parse) = kind.ok_or_else(|| {
            sim.refuse("a memory manager: malloc, kr_nextfit, firstfit_embedded or buddy")
        })?;
        let id = line.member("id")?.integer(0, u32::MAX)?.into();
        let (heap, initial, steps) = parse(&line)?;
        Ok(Self { id, heap, initial, steps })
    }
}

fn free_space(line: &Field<'_>) -> Result<(Description, Vec<Fact>, Vec<Step>), Problem> {
    let align = line.member("align")?;
    let heap = Description::FreeSpace {
        base: line.member("base")?.number(0, LARGEST)?,
        size: line.member("size")?.number(1, LARGEST_HEAP)?,
        header: line.member("header")?.number(0, LARGEST_HEAP)?,
        // Written −1 where nothing is rounded.
        align: if align.signed()? == -1 { 1 } else { align.number(1, LARGEST_HEAP)? },
        policy: named(&line.member("policy")?, &POLICIES)?,
        order: named(&line.member("order")?, &ORDERS)?,
        coalesce: line.member("coalesce")?.flag()?,
    };
    let steps = steps(line, |step, op| {
        let mut facts = Vec::new();
        match op {
            Op::Allocate { .. } => {
                facts.push(Fact::Block(nullable(step, "block")?));
                facts.push(Fact::Payload(nullable(step, "payload")?));
                facts.push(Fact::Searched(number(step, "searched")?));
            }
            Op::Free { .. } => {
                let rc = step.member("rc")?;
                if !matches!(rc.signed()?, -1 | 0) {
                    return Err(rc.refuse("0 or -1"));
                }
            }
            Op::Skipped => return Ok(facts),
        }
        facts.push(Fact::Free(pairs(step)?));
        Ok(facts)
    })?;
    Ok((heap, Vec::new(), steps))
}

fn next_fit(line: &Field<'_>) -> Result<(Description, Vec<Fact>, Vec<Step>), Problem> {
    let unit = line.member("unit")?;
    let heap = Description::NextFit {
        unit: power_of_two(&unit, 16, 4096)?,
        min_growth: line.member("min_sbrk")?.number(0, LARGEST_HEAP)?,
        limit: line.member("limit")?.number(0, LARGEST_HEAP)?,
    };
    let steps = steps(line, |step, op| {
        let mut facts = Vec::new();
        if let Op::Allocate { .. } = op {
            facts.push(Fact::Payload(nullable(step, "payload")?));
        }
        facts.push(Fact::End(number(step, "brk")?));
        // Written −1 before the first block.
        let rover = step.member("freep")?.signed()?;
        facts.push(Fact::Rover(u64::try_from(rover).ok()));
        facts.push(Fact::Free(pairs(step)?));
        Ok(facts)
    })?;
    Ok((heap, Vec::new(), steps))
}

fn first_fit(line: &Field<'_>) -> Result<(Description, Vec<Fact>, Vec<Step>), Problem> {
    let heap = Description::FirstFit {
        size: line.member("size")?.number(1, LARGEST_HEAP)?,
        min_block: power_of_two(&line.member("min_block")?, 16, 4096)?,
    };
    let steps = steps(line, |step, op| {
        let mut facts = Vec::new();
        if let Op::Allocate { .. } = op {
            facts.push(Fact::Payload(nullable(step, "at")?));
        }
        facts.push(Fact::UsedBytes(number(step, "used")?));
        facts.push(Fact::FreeBytes(number(step, "free")?));
        Ok(facts)
    })?;
    Ok((heap, Vec::new(), steps))
}

fn buddy(line: &Field<'_>) -> Result<(Description, Vec<Fact>, Vec<Step>), Problem> {
    let max_order = line.member("max_order")?.integer(0, 20)?;
    let heap = Description::Buddy {
        start: line.member("start")?.number(0, LARGEST_HEAP)?,
        frames: line.member("frames")?.number(1, MOST_FRAMES)?,
        max_order: u8::try_from(max_order).unwrap_or(u8::MAX),
    };
    let steps = steps(line, |step, op| {
        let mut facts = Vec::new();
        if let Op::Allocate { .. } = op {
            let at = nullable(step, "at")?;
            facts.push(Fact::Payload(at));
            if at.is_some() {
                facts.push(Fact::Size(1 << step.member("order")?.integer(0, max_order)?));
            }
        }
        facts.push(Fact::Free(orders(&step.member("free")?, max_order)?));
        Ok(facts)
    })?;
    let initial = orders(&line.member("init")?, max_order)?;
    Ok((heap, vec![Fact::Free(initial)], steps))
}

/// The steps, each with its facts as `facts` reads them.
fn steps(
    line: &Field<'_>,
    facts: impl Fn(&Field<'_>, Op) -> Result<Vec<Fact>, Problem>,
) -> Result<Vec<Step>, Problem> {
    line.member("ops")?.list(|step| {
        let op = op(step)?;
        Ok(Step { op, facts: facts(step, op)? })
    })
}

fn op(step: &Field<'_>) -> Result<Op, Problem> {
    let op = step.member("op")?;
    let slot = || number(step, "slot");
    Ok(match op.text()? {
        "alloc" => Op::Allocate {
            slot: slot()?,
            size: number(step, "n")?,
            align: match step.optional("align")? {
                Some(align) => power_of_two(&align, 1, 1 << 20)?,
                None => 1,
            },
        },
        "free" => Op::Free { slot: slot()? },
        "invalid_free_skipped" => Op::Skipped,
        _ => return Err(op.refuse("alloc, free or invalid_free_skipped")),
    })
}

/// Free blocks as `[[address, size], …]`.
fn pairs(step: &Field<'_>) -> Result<Vec<(u64, u64)>, Problem> {
    step.member("free")?.list(|pair| match pair.items()?.as_slice() {
        [at, size] => Ok((at.number(0, LARGEST)?, size.number(0, LARGEST)?)),
        _ => Err(pair.refuse("an address and a size")),
    })
}

/// Free blocks as `{order: [starts], …}`.
fn orders(field: &Field<'_>, max_order: u32) -> Result<Vec<(u64, u64)>, Problem> {
    let mut blocks = Vec::new();
    for order in 0..=max_order {
        if let Some(starts) = field.optional(&order.to_string())? {
            let starts = starts.list(|start| start.number(0, LARGEST))?;
            blocks.extend(starts.into_iter().map(|start| (start, 1 << order)));
        }
    }
    Ok(blocks)
}

const POLICIES: [(Policy, &str); 3] =
    [(Policy::Best, "BEST"), (Policy::Worst, "WORST"), (Policy::First, "FIRST")];

const ORDERS: [(Order, &str); 5] = [
    (Order::Address, "ADDRSORT"),
    (Order::SizeAscending, "SIZESORT+"),
    (Order::SizeDescending, "SIZESORT-"),
    (Order::Front, "INSERT-FRONT"),
    (Order::Back, "INSERT-BACK"),
];

fn named<T: Copy>(field: &Field<'_>, names: &[(T, &str)]) -> Result<T, Problem> {
    let name = field.text()?;
    let known: Vec<_> = names.iter().map(|(_, known)| *known).collect();
    let found = names.iter().find(|(_, known)| *known == name);
    found.map(|(value, _)| *value).ok_or_else(|| field.refuse(&known.join(" or ")))
}

fn number(step: &Field<'_>, name: &str) -> Result<u64, Problem> {
    step.member(name)?.number(0, LARGEST)
}

/// A number, or `null`.
fn nullable(step: &Field<'_>, name: &str) -> Result<Option<u64>, Problem> {
    let field = step.member(name)?;
    if field.is_null() { Ok(None) } else { field.number(0, LARGEST).map(Some) }
}

fn power_of_two(field: &Field<'_>, low: u64, high: u64) -> Result<u64, Problem> {
    let number = field.number(low, high)?;
    if number.is_power_of_two() { Ok(number) } else { Err(field.refuse("a power of two")) }
}
