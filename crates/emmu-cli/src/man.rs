//! `emmu man`: the manual pages.

mod args;

pub(crate) use args::Man;

use crate::args::Arguments;
use anyhow::{Context, Result};
use clap::CommandFactory;
use std::{fs, io::Write, path::Path};

/// Prints the page of emmu itself, or writes the pages of all commands to a folder.
pub(crate) fn run(arguments: &Man, out: &mut impl Write) -> Result<()> {
    match &arguments.folder {
        None => Ok(clap_mangen::Man::new(Arguments::command()).render(out)?),
        Some(folder) => write_all(folder)
            .with_context(|| format!("DIR {}: the pages cannot be written", folder.display())),
    }
}

fn write_all(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Arguments::command(), folder)?;
    Ok(())
}
