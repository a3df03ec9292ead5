//! A disk: no CPU can address its blocks, but the CPU can address its controller.

#[cfg(feature = "serde")]
mod snapshot;

use crate::{Device, Refused};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use emmu_core::{Transfer, Width};

/// A disk of blocks with its controller: a memory-mapped device with a buffer of one block.
///
/// The CPU addresses the controller and never the blocks. To read a block, it writes the number of the block
/// and then the command, and finds the block in the buffer. To write one, it puts the bytes into the buffer
/// before it writes the command.
///
/// | offset | bytes | register | |
/// |---|---|---|---|
/// | [`BLOCKS`](Self::BLOCKS) | 8 | blocks | how many there are; read-only |
/// | [`BLOCK`](Self::BLOCK) | 8 | block | the number of the block that the next command means |
/// | [`COMMAND`](Self::COMMAND) | 8 | command | [`READ`](Self::READ): block to buffer; [`WRITE`](Self::WRITE): buffer to block; write-only |
/// | [`BUFFER`](Self::BUFFER) | 4096 | buffer | bytes |
///
/// Registers accept aligned transfers of 8 bytes, and the buffer accepts any. The controller refuses all other
/// transfers, and commands for a block that does not exist. A block that was never written reads as zeros, and
/// takes no memory of the host. A command takes no time: a probe sees it as a store to
/// [`COMMAND`](Self::COMMAND), and can price it.
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
    /// The number of bytes of a block.
    pub const BLOCK_SIZE: u64 = 1 << BLOCK_BITS;
    /// The number of bytes of a block, as a `usize` for arrays of the host.
    pub const BLOCK_LEN: usize = 1 << BLOCK_BITS;
    /// The offset of the register that holds the number of blocks.
    pub const BLOCKS: u64 = 0x00;
    /// The offset of the register that selects a block.
    pub const BLOCK: u64 = 0x08;
    /// The offset of the command register.
    pub const COMMAND: u64 = 0x10;
    /// The offset of the buffer.
    pub const BUFFER: u64 = 0x1000;
    /// The number of bytes of the controller's region on the bus.
    pub const SIZE: u64 = Self::BUFFER + Self::BLOCK_SIZE;
    /// The command that fills the buffer with the selected block.
    pub const READ: u64 = 1;
    /// The command that fills the selected block with the buffer.
    pub const WRITE: u64 = 2;

    /// Makes a disk of this many blocks, which all read as zeros.
    #[must_use]
    pub fn new(blocks: u64) -> Self {
        let buffer = Box::new([0; Self::BLOCK_LEN]);
        Self { blocks, selected: 0, buffer, written: BTreeMap::new(), reads: 0, writes: 0 }
    }

    /// Returns the number of blocks.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Returns the bytes of a block, or `None` if the block was never written. It is for the host and counts as
    /// no read.
    #[must_use]
    pub fn block(&self, number: u64) -> Option<&[u8]> {
        self.written.get(&number).map(|block| &block[..])
    }

    /// Returns the number of blocks that were read.
    #[must_use]
    pub const fn reads(&self) -> u64 {
        self.reads
    }

    /// Returns the number of blocks that were written.
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

/// Returns the range of the buffer that a transfer accesses, or `None` if the transfer leaves the buffer.
fn buffer_range(offset: u64, len: u64) -> Option<core::ops::Range<usize>> {
    let start = offset.checked_sub(Disk::BUFFER)?;
    let end = start.checked_add(len).filter(|&end| end <= Disk::BLOCK_SIZE)?;
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}
