//! Opening traces by the name on the command line.

use anyhow::{Context, Result};
use emmu_trace::{BUNDLED_NAME, Trace, bundled, open};
use std::{fs::File, io, path::Path};

/// A trace, and what to call it.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) trace: Trace<'static>,
}

/// The trace at `path`, standard input for `-`, or the bundled one for nothing.
pub(crate) fn find(path: Option<&Path>) -> Result<Named> {
    let Some(path) = path else {
        let trace = open(bundled()).context(BUNDLED_NAME)?;
        return Ok(Named { name: format!("{BUNDLED_NAME} (bundled)"), trace });
    };
    if path == Path::new("-") {
        let trace = open(io::stdin()).context("standard input")?;
        return Ok(Named { name: "standard input".to_owned(), trace });
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("{name}: cannot open"))?;
    let trace = open(file).with_context(|| name.clone())?;
    Ok(Named { name, trace })
}
