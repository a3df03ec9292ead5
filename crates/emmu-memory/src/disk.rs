//! A disk: blocks that no CPU can address, behind a controller that can.

#[cfg(feature = "serde")]
mod snapshot;

use crate::{Device, Refused};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use emmu_core::{Transfer, Width};

/// A disk of blocks, and its controller: a memory-mapped device with a buffer of one block.
///
/// The CPU addresses the controller and never the blocks: it writes a block's number and a command, and
/// finds the block in the buffer, or has put it there.
///
/// | offset | bytes | register | |
/// |---|---|---|---|
/// | [`BLOCKS`](Self::BLOCKS) | 8 | blocks | how many there are; read-only |
/// | [`BLOCK`](Self::BLOCK) | 8 | block | the number of the block that the next command means |
/// | [`COMMAND`](Self::COMMAND) | 8 | command | [`READ`](Self::READ): block to buffer; [`WRITE`](Self::WRITE): buffer to block; write-only |
/// | [`BUFFER`](Self::BUFFER) | 4096 | buffer | bytes |
///
/// Registers take aligned transfers of 8 bytes, the buffer any; all else is refused, and so is a command for
/// a block that is not there. Blocks that were never written read as zeros, and cost the host nothing. It
/// takes no time: a probe sees the command go by as a store to [`COMMAND`](Self::COMMAND), and can price it.
///
/// ```
/// use emmu_core::{Bus, PhysAddr, Width};
/// use emmu_memory::{Disk, Memory};
///
/// let at = |offset| PhysAddr::new(0x1000_0000 + offset);
/// let mut memory = Memory::ram(0x1000).with_device(at(0), Disk::SIZE, Disk::new(100))?;
/// memory.write_bytes(at(Disk::BUFFER), b"kept")?;
/// memory.write(at(Disk::BLOCK), Width::B8, 99)?;
/// memory.write(at(Disk::COMMAND), Width::B8, Disk::WRITE)?;
/// assert_eq!(memory.device::<Disk>(at(0)).and_then(|disk| disk.block(99)).map(|block| &block[..4]), Some(&b"kept"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Disk {
    blocks: u64,
    selected: u64,
    buffer: Box<Block>,
    written: BTreeMap<u64, Box<Block>>,
    reads: u64,
    writes: u64,
}

const BLOCK_BITS: u32 = 12;

/// The bytes of a block.
type Block = [u8; Disk::BLOCK_LEN];

impl Disk {
    /// Bytes of a block.
    pub const BLOCK_SIZE: u64 = 1 << BLOCK_BITS;
    /// The same, for arrays of the host.
    pub const BLOCK_LEN: usize = 1 << BLOCK_BITS;
    /// Offset of the register that says how many blocks there are.
    pub const BLOCKS: u64 = 0x00;
    /// Offset of the register that selects a block.
    pub const BLOCK: u64 = 0x08;
    /// Offset of the command register.
    pub const COMMAND: u64 = 0x10;
    /// Offset of the buffer.
    pub const BUFFER: u64 = 0x1000;
    /// Bytes that the controller takes on the bus.
    pub const SIZE: u64 = Self::BUFFER + Self::BLOCK_SIZE;
    /// The command that fills the buffer with the selected block.
    pub const READ: u64 = 1;
    /// The command that fills the selected block with the buffer.
    pub const WRITE: u64 = 2;

    /// A disk of so many blocks, all zeros.
    #[must_use]
    pub fn new(blocks: u64) -> Self {
        let buffer = Box::new([0; Self::BLOCK_LEN]);
        Self { blocks, selected: 0, buffer, written: BTreeMap::new(), reads: 0, writes: 0 }
    }

    /// How many blocks there are.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// What a block holds, as the host sees it; `None` if it was never written.
    #[must_use]
    pub fn block(&self, number: u64) -> Option<&[u8]> {
        self.written.get(&number).map(|block| &block[..])
    }

    /// Blocks that were read.
    #[must_use]
    pub const fn reads(&self) -> u64 {
        self.reads
    }

    /// Blocks that were written.
    #[must_use]
    pub const fn writes(&self) -> u64 {
        self.writes
    }

    fn command(&mut self, command: u64) -> Result<(), Refused> {
        if self.selected >= self.blocks {
            return Err(Refused);
        }
        match command {
            Self::READ => {
                match self.written.get(&self.selected) {
                    Some(block) => self.buffer.copy_from_slice(&block[..]),
                    None => self.buffer.fill(0),
                }
                self.reads += 1;
            }
            Self::WRITE => {
                self.written.insert(self.selected, self.buffer.clone());
                self.writes += 1;
            }
            _ => return Err(Refused),
        }
        Ok(())
    }
}

impl Device for Disk {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, Refused> {
        self.peek(offset, width)
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), Refused> {
        self.check(offset, width.bytes(), Transfer::Write)?;
        match offset {
            Self::BLOCK => self.selected = value,
            Self::COMMAND => self.command(value)?,
            _ => {
                let bytes = buffer_range(offset, width.bytes()).ok_or(Refused)?;
                let len = bytes.len();
                self.buffer[bytes].copy_from_slice(&value.to_le_bytes()[..len]);
            }
        }
        Ok(())
    }

    fn peek(&self, offset: u64, width: Width) -> Result<u64, Refused> {
        self.check(offset, width.bytes(), Transfer::Read)?;
        Ok(match offset {
            Self::BLOCKS => self.blocks,
            Self::BLOCK => self.selected,
            _ => {
                let bytes = buffer_range(offset, width.bytes()).ok_or(Refused)?;
                let mut value = [0; 8];
                value[..bytes.len()].copy_from_slice(&self.buffer[bytes]);
                u64::from_le_bytes(value)
            }
        })
    }

    fn check(&self, offset: u64, len: u64, transfer: Transfer) -> Result<(), Refused> {
        let allowed = match (offset, transfer) {
            (Self::BLOCK, _) | (Self::BLOCKS, Transfer::Read) => len == 8,
            (Self::COMMAND, Transfer::Write) => len == 8,
            _ => buffer_range(offset, len).is_some(),
        };
        if allowed { Ok(()) } else { Err(Refused) }
    }
}

/// The bytes of the buffer that a transfer means.
fn buffer_range(offset: u64, len: u64) -> Option<core::ops::Range<usize>> {
    let start = offset.checked_sub(Disk::BUFFER)?;
    let end = start.checked_add(len).filter(|&end| end <= Disk::BLOCK_SIZE)?;
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}
