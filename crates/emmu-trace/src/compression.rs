//! Compressed inputs: told by their first bytes, and decompressed in passing.

mod explain;
#[cfg(feature = "zstd")]
mod zstd;

use crate::TraceError;
use explain::Explain;
use flate2::bufread::MultiGzDecoder;
use std::io::{BufRead, Read};

/// Most memory that a decompressor takes for the window of one input, in KiB: that of `zstd --long` and twice that of
/// `xz -9`. An input that asks for more is refused.
const MAX_WINDOW_KIB: u32 = 128 << 10;

/// A compressed format that an input may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Gzip, RFC 1952.
    Gzip,
    /// The .xz file format, version 1.2.1.
    Xz,
    /// Zstandard, RFC 8878.
    Zstd,
    /// Bzip2, which is not read.
    Bzip2,
    /// A ZIP archive, which is not read.
    Zip,
}

impl Compression {
    /// Number of bytes that tell all of these formats.
    pub(crate) const MAGIC_BYTES: usize = 6;

    /// Returns the format of an input that begins with these bytes, if it is compressed.
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        match start {
            // The magic number, DEFLATE, and flags of which the upper three are reserved (RFC 1952, 2.3.1).
            [0x1f, 0x8b, 8, 0..0x20, ..] => Some(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [b'P', b'K', 3, 4, ..] => Some(Self::Zip),
            _ => None,
        }
    }

    /// Names the formats that this build reads.
    pub(crate) const fn readable() -> &'static str {
        match (cfg!(feature = "xz"), cfg!(feature = "zstd")) {
            (true, true) => "gzip, xz or zstd",
            (true, false) => "gzip or xz",
            (false, true) => "gzip or zstd",
            (false, false) => "gzip",
        }
    }

    const fn with_article(self) -> &'static str {
        match self {
            Self::Gzip => "a gzip file",
            Self::Xz => "an xz file",
            Self::Zstd => "a zstd file",
            Self::Bzip2 => "a bzip2 file",
            Self::Zip => "a ZIP archive",
        }
    }

    /// Decompresses an input of this format. Several compressed streams one after the other are one input, and an
    /// input that ends within one is an error.
    pub(crate) fn decompress<'a>(
        self,
        input: impl BufRead + Send + 'a,
    ) -> Result<Box<dyn Read + Send + 'a>, TraceError> {
        match self {
            Self::Gzip => Ok(Box::new(Explain::new("gzip", MultiGzDecoder::new(input)))),
            #[cfg(feature = "xz")]
            Self::Xz => {
                let several = true;
                let xz = lzma_rust2::XzReader::new_mem_limit(input, several, MAX_WINDOW_KIB);
                Ok(Box::new(Explain::new("xz", xz)))
            }
            #[cfg(feature = "zstd")]
            Self::Zstd => {
                let zstd = zstd::Decoder::new(input, MAX_WINDOW_KIB);
                Ok(Box::new(Explain::new("zstd", zstd)))
            }
            other => Err(TraceError::Compression { found: other.with_article().to_owned() }),
        }
    }

    /// Makes the error that an input of this format, once decompressed, begins as one of format `inner`.
    pub(crate) fn holds(self, inner: Self) -> TraceError {
        let found = format!("{} inside {}", inner.with_article(), self.with_article());
        TraceError::Compression { found }
    }
}
