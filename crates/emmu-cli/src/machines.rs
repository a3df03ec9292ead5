//! `emmu machines`, and the search for a machine by its name.

mod args;

pub(crate) use args::Machines;

use crate::output::Output;
use anyhow::{Context, Result};
use emmu_timing::Machine;
use serde::Serialize;
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
        None => arguments.output.write(&List::new()?, write_list, out),
        Some(name) => show(name, arguments.output, out),
    }
}

/// The list of the presets.
#[derive(Serialize)]
struct List {
    machines: Vec<Listed>,
}

/// A preset in the list.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    /// The format of its page tables.
    format: String,
    description: String,
    /// True for the machine that commands take if none is named.
    default: bool,
}

impl List {
    fn new() -> Result<Self> {
        let listed = |name| -> Result<Listed> {
            let Machine { format, description, .. } = Machine::preset(name)?;
            let default = name == Machine::DEFAULT;
            Ok(Listed { name, format: format.to_string(), description, default })
        };
        Ok(Self { machines: Machine::presets().map(listed).collect::<Result<_>>()? })
    }
}

fn write_list(list: &List, out: &mut impl Write) -> Result<()> {
    for Listed { name, format, description, default } in &list.machines {
        let mark = if *default { "*" } else { " " };
        writeln!(out, "{mark} {name:<16} {format:<14} {description}")?;
    }
    writeln!(
        out,
        "\n* the default. `emmu machines NAME` shows one, with the source of every number."
    )?;
    Ok(())
}

/// Shows a preset as it is written, with its comments, and another file as emmu has read it.
fn show(name: &str, output: Output, out: &mut impl Write) -> Result<()> {
    let machine = find(name)?;
    let text = Machine::preset_text(name).map_or_else(|| machine.to_toml(), str::to_owned);
    let data: serde_json::Value = toml::from_str(&text)?;
    output.write(&data, |_, out| Ok(out.write_all(text.as_bytes())?), out)
}
