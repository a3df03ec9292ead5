//! `emmu machines`, and the search for a machine by its name.

mod args;

pub(crate) use args::Machines;

use anyhow::{Context, Result};
use emmu_timing::Machine;
use std::{fs, io::Write, path::Path};

/// Returns the machine of this name, or in this file. A name with a slash or the ending `.toml` is that of a file.
pub(crate) fn find(name: &str) -> Result<Machine> {
    let path = Path::new(name);
    let is_file = name.contains(std::path::is_separator)
        || path.extension().is_some_and(|extension| extension == "toml");
    if !is_file {
        return Ok(Machine::preset(name)?);
    }
    let text = fs::read_to_string(path).with_context(|| format!("{name}: cannot read"))?;
    Ok(Machine::from_toml(name, &text)?)
}

/// Lists the presets, or shows one machine in full.
pub(crate) fn run(arguments: &Machines, out: &mut impl Write) -> Result<()> {
    match &arguments.machine {
        None => list(out),
        Some(name) => show(name, out),
    }
}

fn list(out: &mut impl Write) -> Result<()> {
    for name in Machine::presets() {
        let machine = Machine::preset(name)?;
        let mark = if name == Machine::DEFAULT { "*" } else { " " };
        let format = machine.format.to_string();
        writeln!(out, "{mark} {name:<16} {format:<14} {}", machine.description)?;
    }
    writeln!(
        out,
        "\n* the default. `emmu machines NAME` shows one, with the source of every number."
    )?;
    Ok(())
}

/// Shows a preset as it is written, with its comments, and another file as emmu has read it.
fn show(name: &str, out: &mut impl Write) -> Result<()> {
    let machine = find(name)?;
    match Machine::preset_text(name) {
        Some(text) => write!(out, "{text}")?,
        None => write!(out, "{}", machine.to_toml())?,
    }
    Ok(())
}
