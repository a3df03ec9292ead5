//! Files that commands write. A file appears whole or not at all.

mod unfinished;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::{
    fs,
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// The place that a command writes to.
#[derive(Clone, Debug, Args)]
pub(crate) struct Target {
    /// Where to write it; `-` is standard output. If the input turns out malformed, no file is left there.
    output: PathBuf,
    /// Replace the file if it is there already.
    #[arg(long)]
    force: bool,
}

impl Target {
    /// Returns the name of the place in messages.
    pub(crate) fn name(&self) -> String {
        if self.is_standard() {
            "standard output".to_owned()
        } else {
            self.output.display().to_string()
        }
    }

    fn is_standard(&self) -> bool {
        self.output == Path::new("-")
    }

    /// Says what was written: on standard output, or on standard error if standard output has the data.
    pub(crate) fn say(&self, out: &mut impl Write, what: &str) -> Result<()> {
        let line = format!("{}: {what}\n", self.name());
        if self.is_standard() {
            io::stderr().write_all(line.as_bytes())?;
        } else {
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    /// Returns the path of the file, at the end of links. A file that is there is refused unless it may be replaced; a
    /// folder, a device, and a link that leads to no file always.
    fn path(&self, input: &Path) -> Result<PathBuf> {
        let Ok(path) = fs::canonicalize(&self.output) else { return self.path_of_new_file() };
        ensure!(path.is_file(), "it is there already, and is no file");
        if self.force {
            return Ok(path);
        }
        if fs::canonicalize(input).is_ok_and(|input| input == path) {
            bail!("it is the input; --force replaces it");
        }
        bail!("it is there already; --force replaces it")
    }

    /// Returns the path that was given, if nothing is there, not even a link.
    fn path_of_new_file(&self) -> Result<PathBuf> {
        match fs::symlink_metadata(&self.output) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.output.clone()),
            Err(error) => Err(error.into()),
            Ok(_) => bail!("it is there already, and leads to no file"),
        }
    }
}

/// An output that is being written.
pub(crate) struct TargetWriter {
    sink: BufWriter<Sink>,
    /// Place of the next byte.
    bytes: u64,
}

enum Sink {
    Standard(io::Stdout),
    File {
        file: NamedTempFile,
        path: PathBuf,
        /// True if a file that is there is replaced.
        replace: bool,
    },
}

impl TargetWriter {
    /// Begins to write to `target` a conversion of `input`.
    pub(crate) fn create(target: &Target, input: &Path) -> Result<Self> {
        let sink = Sink::create(target, input);
        let sink = sink.with_context(|| format!("{}: cannot write", target.name()))?;
        Ok(Self { sink: BufWriter::new(sink), bytes: 0 })
    }

    /// Returns true if the output is a file, whose beginning can still be changed.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.sink.get_ref(), Sink::File { .. })
    }

    /// Ends the output, and returns its length in bytes. A file is now in its place.
    pub(crate) fn finish(self) -> io::Result<u64> {
        let bytes = self.bytes;
        match self.sink.into_inner().map_err(io::IntoInnerError::into_error)? {
            Sink::Standard(mut output) => output.flush()?,
            Sink::File { file, path, replace: true } => {
                file.persist(path).map_err(|refused| refused.error)?;
            }
            Sink::File { file, path, replace: false } => {
                file.persist_noclobber(path).map_err(|refused| with_hint(refused.error))?;
            }
        }
        Ok(bytes)
    }
}

impl Sink {
    fn create(target: &Target, input: &Path) -> Result<Self> {
        if target.is_standard() {
            return Ok(Self::Standard(io::stdout()));
        }
        let path = target.path(input)?;
        let file = unfinished::create(|| temporary_beside(&path))?;
        Ok(Self::File { file, path, replace: target.force })
    }
}

/// Adds the way out to the error that a file has appeared while the command ran.
fn with_hint(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            io::Error::new(error.kind(), "it is there by now; --force replaces it")
        }
        _ => error,
    }
}

/// Creates a file that is to take the place of the one at `path`, with the rights that any new file gets. An error does
/// not tell the name of the new file, which the user has not chosen.
fn temporary_beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    tempfile::Builder::new()
        .make_in(folder.unwrap_or(Path::new(".")), |path| fs::File::create_new(path))
}

impl Write for TargetWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl Seek for TargetWriter {
    /// Goes elsewhere in a file, and counts its bytes up to there.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = self.sink.seek(to)?;
        self.bytes = at;
        Ok(at)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(output) => output.write(bytes),
            Self::File { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(output) => output.flush(),
            Self::File { file, .. } => file.flush(),
        }
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Standard(_) => Err(io::ErrorKind::NotSeekable.into()),
            Self::File { file, .. } => file.seek(to),
        }
    }
}
