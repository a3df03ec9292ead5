//! Explanations as text to read.

use super::story::Explanation;
use anyhow::Result;
use std::io::Write;

/// The column in which cycles are told.
const CYCLES: usize = 72;

pub(super) fn write(explained: &[Explanation], out: &mut impl Write) -> Result<()> {
    for (number, explanation) in explained.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        write_one(explanation, out)?;
    }
    Ok(())
}

fn write_one(explanation: &Explanation, out: &mut impl Write) -> Result<()> {
    let Explanation { address, parts, access, steps, fault, cycles, .. } = explanation;
    let parts = parts.as_ref().map(|parts| format!(" = {parts}")).unwrap_or_default();
    writeln!(out, "VA {address}{parts}, {access}")?;
    for (number, step) in (1..).zip(steps) {
        let line = format!("{number:>3} {:<10} {}", step.what, step.text);
        let served_by = step.served_by.as_ref().map(|name| format!(" ({name})"));
        match step.cycles {
            Some(cycles) => {
                writeln!(out, "{line:<CYCLES$} {cycles:>6}{}", served_by.unwrap_or_default())?;
            }
            None => writeln!(out, "{line}")?,
        }
    }
    let end = match fault {
        Some(told) => format!("{} -> exception -> {}", explanation.reason(), told.next),
        None => explanation.place(),
    };
    writeln!(out, "    {end}")?;
    writeln!(out, "{:<CYCLES$} {cycles:>6} cycles", "    total")?;
    Ok(())
}

impl Explanation {
    /// Returns the text of the check that failed.
    fn reason(&self) -> &str {
        let failed = self.steps.iter().find(|step| !step.holds);
        failed.map_or("", |step| step.text.as_str())
    }

    fn place(&self) -> String {
        let addr = self.physical.map(|addr| self.show.show(addr)).unwrap_or_default();
        match self.value {
            Some(value) => format!("-> PA {addr}, which holds {}", self.show.show(value)),
            None => format!("-> PA {addr}"),
        }
    }
}
