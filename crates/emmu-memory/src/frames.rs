//! The bytes of RAM and ROM, in frames. A frame is allocated when it is first written.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;
use emmu_core::{BusError, PhysAddr, RAM_PAGE_BITS, Width};
use hashbrown::HashMap;

/// The number of bytes of a frame.
pub(crate) const FRAME: usize = 1 << RAM_PAGE_BITS;

/// The number of frames that are found without a search. An entry has 16 bytes, and only entries in use compete
/// for the host's caches.
const RECENT: usize = 4096;

/// Log2 of the number of frames that one leaf of the index describes.
const LEAF_BITS: u32 = 9;

/// A RAM frame that was used lately. Frame numbers have 52 bits, so that `u64::MAX` means none.
#[derive(Clone, Copy)]
struct Recent {
    frame: u64,
    offset: usize,
}

/// The place of a frame's bytes: its offset in the arena. The low bits of an offset are zeros, and hold flags
/// here.
#[derive(Clone, Copy, Default)]
struct Backing(usize);

impl Backing {
    /// A flag: the frame has bytes.
    const PRESENT: usize = 1;
    /// A flag: the whole frame is RAM, so that a transfer needs no lookup in the map.
    const RAM: usize = 2;

    fn new(offset: usize, ram: bool) -> Self {
        Self(offset | Self::PRESENT | if ram { Self::RAM } else { 0 })
    }

    fn offset(self) -> Option<usize> {
        (self.0 & Self::PRESENT != 0).then_some(self.0 & !(FRAME - 1))
    }

    fn is_ram(self) -> bool {
        self.0 & Self::RAM != 0
    }
}

/// The backing of 512 adjacent frames.
type Leaf = [Backing; 1 << LEAF_BITS];

/// Frames by number, in one growing arena. A frame never moves within the arena.
///
/// A frame is found in three ways. The direct-mapped table `recent` serves nearly all transfers. The index is a
/// hash table of blocks of 512 frames with an array for each block, so that neighbours share cache lines of the
/// host. For addresses that are not plain RAM, the caller consults the map.
#[derive(Clone)]
pub(crate) struct Frames {
    arena: Vec<u8>,
    blocks: HashMap<u64, usize>,
    leaves: Vec<Leaf>,
    /// Frames used lately. It holds only frames that are RAM to the last byte.
    recent: Box<[Recent; RECENT]>,
}

impl Default for Frames {
    fn default() -> Self {
        let recent = Box::new([Recent { frame: u64::MAX, offset: 0 }; RECENT]);
        Self { arena: Vec::new(), blocks: HashMap::new(), leaves: Vec::new(), recent }
    }
}

impl Frames {
    /// Returns the number of frames that take memory of the host.
    pub(crate) fn len(&self) -> u64 {
        (self.arena.len() / FRAME) as u64
    }

    /// Returns the offset of the RAM frame around `addr` if it was used lately.
    #[inline]
    pub(crate) fn recent(&self, addr: PhysAddr) -> Option<usize> {
        let frame = addr.block(RAM_PAGE_BITS);
        let recent = &self.recent[recent_slot(frame)];
        (recent.frame == frame).then_some(recent.offset)
    }

    /// Reads a word if it lies within one frame used lately.
    #[inline]
    pub(crate) fn load(&self, addr: PhysAddr, width: Width) -> Option<u64> {
        Some(match width {
            Width::B1 => u64::from(u8::from_le_bytes(*self.chunk(addr)?)),
            Width::B2 => u64::from(u16::from_le_bytes(*self.chunk(addr)?)),
            Width::B4 => u64::from(u32::from_le_bytes(*self.chunk(addr)?)),
            Width::B8 => u64::from_le_bytes(*self.chunk(addr)?),
        })
    }

    /// Writes a word if it lies within one frame used lately.
    #[inline]
    pub(crate) fn store(&mut self, addr: PhysAddr, width: Width, value: u64) -> Option<()> {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = value.to_le_bytes();
        match width {
            Width::B1 => *self.chunk_mut(addr)? = [b0],
            Width::B2 => *self.chunk_mut(addr)? = [b0, b1],
            Width::B4 => *self.chunk_mut(addr)? = [b0, b1, b2, b3],
            Width::B8 => *self.chunk_mut(addr)? = [b0, b1, b2, b3, b4, b5, b6, b7],
        }
        Some(())
    }

    #[inline]
    fn chunk<const N: usize>(&self, addr: PhysAddr) -> Option<&[u8; N]> {
        let at = self.recent(addr)? + within(addr, N)?;
        self.arena.get(at..)?.first_chunk()
    }

    #[inline]
    fn chunk_mut<const N: usize>(&mut self, addr: PhysAddr) -> Option<&mut [u8; N]> {
        let at = self.recent(addr)? + within(addr, N)?;
        self.arena.get_mut(at..)?.first_chunk_mut()
    }

    /// Enters the frame around `addr` among those used lately, if it has bytes and all of it is RAM.
    pub(crate) fn warm(&mut self, addr: PhysAddr) -> Option<usize> {
        let frame = addr.block(RAM_PAGE_BITS);
        let backing = self.backing(frame);
        let offset = backing.offset().filter(|_| backing.is_ram())?;
        self.recent[recent_slot(frame)] = Recent { frame, offset };
        Some(offset)
    }

    /// Allocates all the memory that a write of `len` bytes needs, so that the write is done completely or not
    /// at all.
    ///
    /// # Errors
    /// [`BusError::Refused`] if the host has no more memory.
    pub(crate) fn reserve(&mut self, addr: PhysAddr, len: usize) -> Result<(), BusError> {
        let new = pieces(addr, len).filter(|(at, _)| self.find(*at).is_none()).count();
        let blocks = (new >> LEAF_BITS) + 2;
        let room = self.arena.try_reserve(new.saturating_mul(FRAME)).is_ok()
            && self.leaves.try_reserve(blocks).is_ok()
            && self.blocks.try_reserve(blocks).is_ok();
        if room { Ok(()) } else { Err(BusError::Refused { addr }) }
    }

    /// Returns the offset of the frame around `addr`, and allocates the frame if it has no bytes yet. `ram`
    /// returns true if the whole frame is RAM.
    pub(crate) fn back(&mut self, addr: PhysAddr, ram: impl FnOnce() -> bool) -> usize {
        let frame = addr.block(RAM_PAGE_BITS);
        let offset = self.arena.len();
        let leaf = *self.blocks.entry(frame >> LEAF_BITS).or_insert_with(|| {
            self.leaves.push([Backing::default(); 1 << LEAF_BITS]);
            self.leaves.len() - 1
        });
        let backing = &mut self.leaves[leaf][in_leaf(frame)];
        backing.offset().unwrap_or_else(|| {
            self.arena.resize(offset + FRAME, 0);
            *backing = Backing::new(offset, ram());
            offset
        })
    }

    /// Copies bytes from `addr` on. Bytes that no frame holds are zeros.
    pub(crate) fn copy_out(&self, addr: PhysAddr, bytes: &mut [u8]) {
        for (at, range) in pieces(addr, bytes.len()) {
            let piece = &mut bytes[range];
            match self.find(at) {
                Some(from) => piece.copy_from_slice(&self.arena[from..from + piece.len()]),
                None => piece.fill(0),
            }
        }
    }

    /// Copies bytes to `addr` and on. `ram` returns true for a frame that is RAM to the last byte.
    pub(crate) fn copy_in(&mut self, addr: PhysAddr, bytes: &[u8], ram: impl Fn(PhysAddr) -> bool) {
        for (at, range) in pieces(addr, bytes.len()) {
            let to = self.back(at, || ram(at)) + in_frame(at);
            self.arena[to..to + range.len()].copy_from_slice(&bytes[range]);
        }
    }

    /// Returns the bytes of all frames, in the order in which the frames were first touched.
    #[inline]
    pub(crate) fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// Returns the bytes of all frames, to be written.
    #[inline]
    pub(crate) fn arena_mut(&mut self) -> &mut [u8] {
        &mut self.arena
    }

    /// Returns all frames with their addresses, sorted by address.
    #[cfg(feature = "serde")]
    pub(crate) fn by_address(&self) -> Vec<(PhysAddr, &[u8])> {
        let of_leaf = |(&block, &leaf): (&u64, &usize)| {
            let numbers = block << LEAF_BITS..;
            numbers.zip(self.leaves[leaf]).filter_map(|(number, backing)| {
                let offset = backing.offset()?;
                let bytes = &self.arena[offset..offset + FRAME];
                Some((PhysAddr::new(number << RAM_PAGE_BITS), bytes))
            })
        };
        let mut frames: Vec<_> = self.blocks.iter().flat_map(of_leaf).collect();
        frames.sort_unstable_by_key(|(addr, _)| *addr);
        frames
    }

    /// Returns the index in the arena of the byte at `addr`.
    fn find(&self, addr: PhysAddr) -> Option<usize> {
        let offset = self.backing(addr.block(RAM_PAGE_BITS)).offset()?;
        Some(offset + in_frame(addr))
    }

    fn backing(&self, frame: u64) -> Backing {
        match self.blocks.get(&(frame >> LEAF_BITS)) {
            Some(&leaf) => self.leaves[leaf][in_leaf(frame)],
            None => Backing::default(),
        }
    }
}

/// Returns the index of a frame in the table of frames used lately.
#[inline]
fn recent_slot(frame: u64) -> usize {
    low_bits(frame) & (RECENT - 1)
}

/// Returns the index of a frame in its leaf.
#[inline]
fn in_leaf(frame: u64) -> usize {
    low_bits(frame) & ((1 << LEAF_BITS) - 1)
}

/// Returns the distance of `addr` from the start of its frame.
#[inline]
fn in_frame(addr: PhysAddr) -> usize {
    low_bits(addr.raw()) & (FRAME - 1)
}

/// Returns the distance of `addr` from the start of its frame, if `len` bytes from `addr` on stay in the frame.
#[inline]
fn within(addr: PhysAddr, len: usize) -> Option<usize> {
    let at = in_frame(addr);
    (at + len <= FRAME).then_some(at)
}

/// Returns the number, or its low half if the host's addresses have 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "callers look at the low bits only")]
#[inline]
fn low_bits(number: u64) -> usize {
    number as usize
}

/// Cuts `len` bytes from `addr` on into pieces, at the edges of frames.
fn pieces(addr: PhysAddr, len: usize) -> impl Iterator<Item = (PhysAddr, Range<usize>)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        let at = addr.wrapping_add(done as u64);
        let range = done..len.min(done + FRAME - in_frame(at));
        done = range.end;
        (!range.is_empty()).then_some((at, range))
    })
}
