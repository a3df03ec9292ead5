//! What can be wrong with an image.

use crate::LayoutError;
use emmu_core::VirtAddr;
use thiserror::Error;

/// A file is no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It does not begin as images do.
    #[error("byte 0: expected \"EMI1\"")]
    Magic,
    /// It ends too early.
    #[error("byte {at}: expected {what} of {needed} bytes, found {left}")]
    Truncated {
        /// Offset in the file.
        at: usize,
        /// What should be there.
        what: &'static str,
        /// Its bytes.
        needed: u64,
        /// Bytes that are left.
        left: usize,
    },
    /// Something follows the last part.
    #[error("byte {at}: expected the end, found {left} bytes more")]
    TooLong {
        /// Offset in the file.
        at: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A field has a value that it cannot have.
    #[error("byte {at}: {field} is {found:#x}; expected {expected}")]
    Field {
        /// Offset in the file.
        at: usize,
        /// Which field.
        field: &'static str,
        /// What it holds.
        found: u64,
        /// What it may hold.
        expected: &'static str,
    },
    /// The sections make no layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A reference is not among the bytes that a section has in the file.
    #[error("the reference at {addr} is in no section's bytes")]
    Reference {
        /// Where it should be.
        addr: VirtAddr,
    },
    /// The program begins where nothing can be executed.
    #[error("the program begins at {entry}, where nothing can be executed")]
    Entry {
        /// Where.
        entry: VirtAddr,
    },
}
