//! Snapshots of disks: they hold the registers, the buffer, and the blocks that were written.

use super::{Block, Disk};
use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A number of commands that no disk reaches.
const END_OF_COMMANDS: u64 = 1 << 62;

#[derive(Serialize)]
#[serde(rename = "Disk")]
struct Shown<'a> {
    blocks: u64,
    selected: u64,
    buffer: &'a [u8],
    written: Vec<(u64, &'a [u8])>,
    reads: u64,
    writes: u64,
}

/// The snapshot as it is read. It may hold anything, so its values are checked.
#[derive(Deserialize)]
#[serde(rename = "Disk")]
struct Read {
    blocks: u64,
    selected: u64,
    buffer: Vec<u8>,
    written: Vec<(u64, Vec<u8>)>,
    reads: u64,
    writes: u64,
}

impl Serialize for Disk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { blocks, selected, reads, writes, .. } = *self;
        let written = self.written.iter().map(|(number, block)| (*number, &block[..])).collect();
        let buffer = &self.buffer[..];
        Shown { blocks, selected, buffer, written, reads, writes }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Disk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Read::deserialize(deserializer)?.checked().map_err(D::Error::custom)
    }
}

impl Read {
    fn checked(self) -> Result<Disk, &'static str> {
        let Self { blocks, selected, buffer, written, reads, writes } = self;
        let buffer = block(buffer).ok_or("buffer: not as long as a block")?;
        if reads.max(writes) >= END_OF_COMMANDS {
            return Err("reads, writes: a number that no disk comes to");
        }
        if !written.is_sorted_by(|(one, _), (other, _)| one < other) {
            return Err("written: not by rising numbers, or one is there twice");
        }
        if written.last().is_some_and(|(number, _)| *number >= blocks) {
            return Err("written: a block that there is not");
        }
        let written = written.into_iter().map(|(number, bytes)| Some((number, block(bytes)?)));
        let written: Option<BTreeMap<_, _>> = written.collect();
        let written = written.ok_or("written: not as long as a block")?;
        Ok(Disk { blocks, selected, buffer, written, reads, writes })
    }
}

fn block(bytes: Vec<u8>) -> Option<Box<Block>> {
    bytes.into_boxed_slice().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{Disk, Read};
    use crate::Device;
    use alloc::{vec, vec::Vec};
    use emmu_core::Width;
    use emmu_property::quickcheck;

    /// Performs commands and writes to the buffer, and returns the result of each.
    fn run(disk: &mut Disk, steps: &[(u8, u16)]) -> Vec<Option<u64>> {
        let one = |&(what, value): &(u8, u16)| {
            let value = u64::from(value);
            let offset = Disk::BUFFER + value % 0x1000;
            match what % 4 {
                0 => disk.write(Disk::BLOCK, Width::B8, value % 5).ok().map(|()| 0),
                1 => disk.write(Disk::COMMAND, Width::B8, 1 + value % 2).ok().map(|()| 0),
                2 => disk.write(offset, Width::B1, value >> 8).ok().map(|()| 0),
                _ => disk.read(offset, Width::B1).ok(),
            }
        };
        steps.iter().map(one).collect()
    }

    quickcheck! {
        fn a_disk_read_back_goes_on(before: Vec<(u8, u16)>, after: Vec<(u8, u16)>) -> bool {
            let mut disk = Disk::new(4);
            run(&mut disk, &before);
            let snapshot = postcard::to_allocvec(&disk).unwrap();
            let mut again: Disk = postcard::from_bytes(&snapshot).unwrap();
            let alike = run(&mut disk, &after) == run(&mut again, &after);
            alike && postcard::to_allocvec(&disk) == postcard::to_allocvec(&again)
        }
    }

    #[test]
    fn what_no_disk_can_be_is_refused_by_the_name_of_the_field() {
        let blank = || vec![0; Disk::BLOCK_LEN];
        let read =
            |buffer, written| Read { blocks: 4, selected: 9, buffer, written, reads: 0, writes: 0 };
        let refused = |read: Read| read.checked().err().unwrap_or("");
        assert_eq!(refused(read(blank(), vec![(3, blank())])), "");
        assert!(refused(read(vec![], vec![])).starts_with("buffer:"));
        assert!(refused(read(blank(), vec![(4, blank())])).starts_with("written:"));
        assert!(refused(read(blank(), vec![(3, vec![0])])).starts_with("written:"));
        let twice = vec![(3, blank()), (3, blank())];
        assert!(refused(read(blank(), twice)).starts_with("written:"));
        let read = Read { writes: u64::MAX, ..read(blank(), vec![]) };
        assert!(refused(read).starts_with("reads, writes:"));
    }
}
