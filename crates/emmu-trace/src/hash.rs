//! The identity of a trace: a hash of its references, whatever file they came in.

use crate::{Record, source::CHUNK_RECORDS};
use core::fmt;

/// Bytes of one reference in the hash: address, size and kind, little-endian.
const RECORD_BYTES: usize = 11;

/// The first 128 bits of the BLAKE3 hash of a sequence of references. Prints as 32 hexadecimal digits.
///
/// The hash covers, for each reference in order, its address in 8 bytes, its size in 2, and the number of its kind
/// in 1, little-endian, with nothing between or around. So all forms of one trace have one hash.
///
/// A native trace carries its hash in the footer, so that a whole run need not compute it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 16]);

impl ContentHash {
    /// Makes the hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the 16 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Computes a [`ContentHash`] as references pass by. How they are cut into slices does not matter; slices
/// of a thousand or more are hashed fastest.
#[derive(Clone, Debug, Default)]
pub struct ContentHasher {
    state: blake3::Hasher,
    bytes: Vec<u8>,
}

impl ContentHasher {
    /// Makes the hasher of an empty sequence.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds references to the end of the sequence.
    pub fn update(&mut self, records: &[Record]) {
        records.chunks(CHUNK_RECORDS).for_each(|chunk| self.update_chunk(chunk));
    }

    fn update_chunk(&mut self, records: &[Record]) {
        self.bytes.resize(records.len() * RECORD_BYTES, 0);
        for (bytes, record) in self.bytes.chunks_exact_mut(RECORD_BYTES).zip(records) {
            bytes[..8].copy_from_slice(&record.addr.raw().to_le_bytes());
            bytes[8..10].copy_from_slice(&record.size.to_le_bytes());
            bytes[10] = record.kind.number();
        }
        self.state.update(&self.bytes);
    }

    /// Returns the hash of the sequence so far.
    #[must_use]
    pub fn finish(&self) -> ContentHash {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.state.finalize().as_bytes()[..16]);
        ContentHash(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecordKind;
    use emmu_core::VirtAddr;

    fn record(addr: u64) -> Record {
        Record::new(RecordKind::Load, VirtAddr::new(addr), 8)
    }

    #[test]
    fn hash_of_nothing_is_the_published_hash_of_the_empty_input() {
        assert_eq!(ContentHasher::new().finish().to_string(), "af1349b9f5f9a1a6a0404dea36dcc949");
    }

    #[test]
    fn cutting_the_sequence_elsewhere_changes_nothing() {
        let (mut whole, mut parts) = (ContentHasher::new(), ContentHasher::new());
        whole.update(&[record(1), record(2), record(3)]);
        parts.update(&[record(1)]);
        parts.update(&[]);
        parts.update(&[record(2), record(3)]);
        assert_eq!(whole.finish(), parts.finish());
    }

    #[test]
    fn address_size_kind_and_order_all_count() {
        let base = [record(1), record(2)];
        let mut others = [[record(2), record(1)], base, base, base];
        others[1][0].addr = VirtAddr::new(257);
        others[2][0].size = 4;
        others[3][0].kind = RecordKind::Store;
        let hash = |records: &[Record]| {
            let mut hasher = ContentHasher::new();
            hasher.update(records);
            hasher.finish()
        };
        assert!(others.iter().all(|other| hash(other) != hash(&base)));
    }
}
