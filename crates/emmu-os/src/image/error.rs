//! Errors in images.

use crate::LayoutError;
use emmu_core::VirtAddr;
use thiserror::Error;

/// The reason why a file is no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file does not begin with [`Image::MAGIC`](crate::Image::MAGIC).
    #[error("byte 0: expected \"EMI1\"")]
    Magic,
    /// The file ends too early.
    #[error("byte {at}: expected {what} of {needed} bytes, found {left}")]
    Truncated {
        /// Offset in the file.
        at: usize,
        /// The part that should be there.
        what: &'static str,
        /// The number of bytes of that part.
        needed: u64,
        /// The number of bytes that are left.
        left: usize,
    },
    /// Something follows the last part.
    #[error("byte {at}: expected the end, found {left} bytes more")]
    TooLong {
        /// Offset in the file.
        at: usize,
        /// The number of bytes that are left.
        left: usize,
    },
    /// A field has a value that it cannot have.
    #[error("byte {at}: {field} is {found:#x}; expected {expected}")]
    Field {
        /// Offset in the file.
        at: usize,
        /// The name of the field.
        field: &'static str,
        /// The value of the field.
        found: u64,
        /// The values that are allowed.
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
