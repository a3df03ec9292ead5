//! The errors of decompressors, in the words of this crate.

use super::MAX_WINDOW_KIB;
use std::error::Error;
use std::io::{self, ErrorKind, Read};
use std::iter::successors;

/// The data that a decompressor delivers. An error says in one sentence what is wrong with the compressed data.
pub(super) struct Explain<R> {
    /// Name of the compressed format.
    format: &'static str,
    data: R,
}

impl<R> Explain<R> {
    pub(super) const fn new(format: &'static str, data: R) -> Self {
        Self { format, data }
    }

    /// Puts an error of the decompressor into words. An error of the system remains itself.
    fn explain(&self, error: io::Error) -> io::Error {
        let reason = match error.kind() {
            ErrorKind::UnexpectedEof
            | ErrorKind::InvalidData
            | ErrorKind::InvalidInput
            | ErrorKind::Other => {
                "are cut off or damaged at this place of the decompressed trace".to_owned()
            }
            ErrorKind::OutOfMemory => {
                format!("need a window of more than {} MiB", MAX_WINDOW_KIB >> 10)
            }
            ErrorKind::Unsupported => "use a part of the format that is not read".to_owned(),
            _ => return system_error(&error).unwrap_or(error),
        };
        let explained =
            || io::Error::new(error.kind(), format!("the {} data {reason}", self.format));
        system_error(&error).unwrap_or_else(explained)
    }
}

/// Returns the error with which the system refused to read, if that is the cause of a decompressor's error.
fn system_error(error: &io::Error) -> Option<io::Error> {
    let outermost: &(dyn Error + 'static) = error;
    successors(Some(outermost), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .find_map(io::Error::raw_os_error)
        .map(io::Error::from_raw_os_error)
}

impl<R: Read> Read for Explain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.data.read(buffer).map_err(|error| self.explain(error))
    }
}
