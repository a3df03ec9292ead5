//! Removes the file that is being written when the user interrupts the command.

use anyhow::Result;
use std::{
    fs, io,
    path::PathBuf,
    process,
    sync::{Mutex, PoisonError},
};
use tempfile::NamedTempFile;

/// Exit code of a command that was interrupted, as shells have it: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// The file that is being written. A command writes one.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Creates the file that the command writes. From now on, an interruption removes it and ends the command. Once it has
/// been moved to its place, there is nothing to remove any more.
pub(super) fn create(create: impl FnOnce() -> io::Result<NamedTempFile>) -> Result<NamedTempFile> {
    ctrlc::set_handler(end)?;
    // An interruption while the file is being created waits for its name.
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let file = create()?;
    *unfinished = Some(file.path().to_owned());
    Ok(file)
}

fn end() {
    let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(path) = unfinished {
        // It may be in its place already, under another name.
        let _ = fs::remove_file(path);
    }
    process::exit(INTERRUPTED)
}
