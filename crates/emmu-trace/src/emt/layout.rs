//! The fixed parts of a native trace: header, block header and footer, and their checksums.

use super::encode::STREAMS;
use crate::{ContentHash, TraceError};

/// The first eight bytes of a native trace.
pub const MAGIC: [u8; 8] = *b"\x89EMT\r\n\x1a\n";

const VERSION: u16 = 1;
/// Count in a header whose writer did not know it.
const UNKNOWN: u64 = u64::MAX;
/// Longest provenance, in bytes.
const MAX_PROVENANCE: usize = 4096;
/// Largest number of references in a block.
pub(super) const MAX_BLOCK: u32 = 1 << 20;
/// Largest number of stream bytes for a reference: no definition with its surprises takes more.
const MAX_STREAM_BYTES: usize = 32;

pub(super) const HEADER_FIXED: usize = 24;
pub(super) const BLOCK_TAG: [u8; 4] = *b"BLOK";
pub(super) const BLOCK_HEADER: usize = 48;
pub(super) const FOOTER_TAG: [u8; 4] = *b"DONE";
pub(super) const FOOTER: usize = 32;

/// The beginning of a native trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of references in the trace, if the writer knew it.
    pub records: Option<u64>,
    /// Number of references in a full block: 1 to 2^20. Larger blocks make a smaller trace; smaller ones are found
    /// faster.
    pub block_records: u32,
    /// Where the trace comes from, in words; at most 4096 bytes.
    pub provenance: String,
}

impl Header {
    /// Makes a header with blocks of the usual size, 2^18 references, and no count.
    #[must_use]
    pub fn new(provenance: &str) -> Self {
        Self { records: None, block_records: 1 << 18, provenance: provenance.to_owned() }
    }

    /// Returns the header as it is stored.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, TraceError> {
        self.check()?;
        let length = u16::try_from(self.provenance.len()).unwrap_or(u16::MAX);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.block_records.to_le_bytes());
        bytes.extend(self.records.unwrap_or(UNKNOWN).to_le_bytes());
        bytes.extend(self.provenance.as_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        Ok(bytes)
    }

    fn check(&self) -> Result<(), TraceError> {
        let (block, length) = (self.block_records, self.provenance.len());
        if !(1..=MAX_BLOCK).contains(&block) {
            let expected = "1 to 1048576 references in a block";
            return Err(TraceError::Header { expected, found: block.into() });
        }
        if length > MAX_PROVENANCE {
            let expected = "a provenance of at most 4096 bytes";
            return Err(TraceError::Header { expected, found: length as u64 });
        }
        Ok(())
    }

    /// Returns the number of bytes that follow the fixed part, which tells it.
    pub(super) fn rest(fixed: &[u8; HEADER_FIXED]) -> Result<usize, TraceError> {
        if fixed[..8] != MAGIC {
            return Err(format_error(
                0,
                "the magic bytes of a native trace",
                fixed[..8].escape_ascii(),
            ));
        }
        if u16_at(fixed, 8) != VERSION {
            return Err(format_error(8, "format version 1", u16_at(fixed, 8)));
        }
        match usize::from(u16_at(fixed, 10)) {
            length @ ..=MAX_PROVENANCE => Ok(length + 4),
            length => Err(format_error(10, "a provenance of at most 4096 bytes", length)),
        }
    }

    /// Reads the whole header, with its checksum.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, TraceError> {
        let body = checked(bytes, 0, "header")?;
        let block_records = u32_at(body, 12);
        if !(1..=MAX_BLOCK).contains(&block_records) {
            return Err(format_error(12, "1 to 1048576 references in a block", block_records));
        }
        let provenance = str::from_utf8(&body[HEADER_FIXED..])
            .map_err(|error| format_error(24, "a provenance in UTF-8", error))?;
        Ok(Self {
            records: Some(u64_at(body, 16)).filter(|records| *records != UNKNOWN),
            block_records,
            provenance: provenance.to_owned(),
        })
    }
}

/// The part of a block before its streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockHeader {
    pub(super) records: u32,
    pub(super) first: u64,
    pub(super) compressed: u32,
    pub(super) streams: [u32; STREAMS],
    pub(super) checksum: u32,
}

impl BlockHeader {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = BLOCK_TAG.to_vec();
        bytes.extend(self.records.to_le_bytes());
        bytes.extend(self.first.to_le_bytes());
        bytes.extend(self.compressed.to_le_bytes());
        bytes.extend(self.streams.into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(self.checksum.to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the header of a block that begins at `offset` and should begin with reference `first`.
    pub(super) fn from_bytes(
        bytes: &[u8; BLOCK_HEADER],
        offset: u64,
        block_records: u32,
    ) -> Result<Self, TraceError> {
        let body = checked(bytes, offset, "block header")?;
        let header = Self {
            records: u32_at(body, 4),
            first: u64_at(body, 8),
            compressed: u32_at(body, 16),
            streams: std::array::from_fn(|stream| u32_at(body, 20 + 4 * stream)),
            checksum: u32_at(body, 40),
        };
        header.check(offset, block_records).map(|()| header)
    }

    fn check(&self, offset: u64, block_records: u32) -> Result<(), TraceError> {
        let bytes: u64 = self.streams.iter().map(|bytes| u64::from(*bytes)).sum();
        if !(1..=block_records).contains(&self.records) {
            let expected =
                "a block of at most as many references as the header says, and of one at least";
            return Err(format_error(offset + 4, expected, self.records));
        }
        if bytes > u64::from(self.records) * MAX_STREAM_BYTES as u64 {
            return Err(format_error(offset + 20, "at most 32 bytes a reference", bytes));
        }
        // DEFLATE makes nothing longer than this (5 bytes for each stored block of up to 65535, and the last).
        if u64::from(self.compressed) > bytes + bytes / 1024 + 64 {
            let expected = "no more compressed bytes than the streams have";
            return Err(format_error(offset + 16, expected, self.compressed));
        }
        Ok(())
    }

    /// Returns the length of all streams together.
    pub(super) fn stream_bytes(&self) -> u64 {
        self.streams.iter().map(|bytes| u64::from(*bytes)).sum()
    }
}

/// The end of a native trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Number of references in the trace.
    pub records: u64,
    /// Their hash.
    pub hash: ContentHash,
}

impl Footer {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = FOOTER_TAG.to_vec();
        bytes.extend(self.records.to_le_bytes());
        bytes.extend(self.hash.to_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; FOOTER], offset: u64) -> Result<Self, TraceError> {
        let body = checked(bytes, offset, "footer")?;
        Ok(Self { records: u64_at(body, 4), hash: ContentHash::from_bytes(array_at(body, 12)) })
    }
}

/// Returns the bytes before the checksum in the last four, if it is theirs.
fn checked<'a>(bytes: &'a [u8], offset: u64, part: &'static str) -> Result<&'a [u8], TraceError> {
    let (body, stored) = bytes.split_at(bytes.len() - 4);
    check_sum(body, u32_at(stored, 0), offset, part).map(|()| body)
}

/// Checks that `expected` is the checksum of `bytes`, which begin at `offset`.
pub(super) fn check_sum(
    bytes: &[u8],
    expected: u32,
    offset: u64,
    part: &'static str,
) -> Result<(), TraceError> {
    let found = crc32fast::hash(bytes);
    if found == expected {
        return Ok(());
    }
    Err(TraceError::Checksum { offset, part, expected, found })
}

/// Makes the error that the part at `offset` breaks the rules of its format.
pub(crate) fn format_error(
    offset: u64,
    expected: &'static str,
    found: impl core::fmt::Display,
) -> TraceError {
    TraceError::Format { offset, expected, found: found.to_string() }
}

/// Returns the `N` bytes from `at` on, which must be there.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}
