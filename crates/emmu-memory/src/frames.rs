//! The bytes of RAM and ROM: frames that come into being when they are first written.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;
use emmu_core::{BusError, PhysAddr, RAM_PAGE_BITS, Width};
use hashbrown::HashMap;

/// Bytes of a frame.
const FRAME: usize = 1 << RAM_PAGE_BITS;

/// How many frames are found without a hash: at 16 bytes each, half of a usual first-level cache.
const RECENT: usize = 1024;

/// A RAM frame used lately. Frame numbers have 52 bits, so that `u64::MAX` stands for none.
#[derive(Clone, Copy)]
struct Recent {
    frame: u64,
    offset: usize,
}

/// Where the bytes of a frame are.
#[derive(Clone, Copy)]
struct Backing {
    offset: usize,
    /// The frame is RAM to its last byte, so that nobody needs to ask the map.
    ram: bool,
}

/// Frames by number, in one growing arena in which none ever moves.
#[derive(Clone)]
pub(crate) struct Frames {
    arena: Vec<u8>,
    index: HashMap<u64, Backing>,
    /// Direct-mapped; holds only frames that are RAM to the last byte.
    recent: Box<[Recent; RECENT]>,
}

impl Default for Frames {
    fn default() -> Self {
        let recent = Box::new([Recent { frame: u64::MAX, offset: 0 }; RECENT]);
        Self { arena: Vec::new(), index: HashMap::new(), recent }
    }
}

impl Frames {
    /// How many frames cost host memory.
    pub(crate) fn len(&self) -> u64 {
        self.index.len() as u64
    }

    /// Offset of the RAM frame around `addr`, if it was used lately.
    #[inline]
    pub(crate) fn recent(&self, addr: PhysAddr) -> Option<usize> {
        let frame = addr.block(RAM_PAGE_BITS);
        let recent = &self.recent[recent_slot(frame)];
        (recent.frame == frame).then_some(recent.offset)
    }

    /// Reads a word that lies within one frame used lately.
    #[inline]
    pub(crate) fn load(&self, addr: PhysAddr, width: Width) -> Option<u64> {
        Some(match width {
            Width::B1 => u64::from(u8::from_le_bytes(*self.chunk(addr)?)),
            Width::B2 => u64::from(u16::from_le_bytes(*self.chunk(addr)?)),
            Width::B4 => u64::from(u32::from_le_bytes(*self.chunk(addr)?)),
            Width::B8 => u64::from_le_bytes(*self.chunk(addr)?),
        })
    }

    /// Writes a word that lies within one frame used lately.
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

    /// Makes the frame around `addr` one used lately, if it has bytes and is RAM to the last of them.
    pub(crate) fn warm(&mut self, addr: PhysAddr) -> Option<usize> {
        let frame = addr.block(RAM_PAGE_BITS);
        let Backing { offset, ram } = *self.index.get(&frame)?;
        ram.then(|| {
            self.recent[recent_slot(frame)] = Recent { frame, offset };
            offset
        })
    }

    /// Asks the host for all the memory that a write of `len` bytes needs, so that the write is done in
    /// whole or not at all.
    ///
    /// # Errors
    /// [`BusError::Refused`] if the host has no more.
    pub(crate) fn reserve(&mut self, addr: PhysAddr, len: usize) -> Result<(), BusError> {
        let new = pieces(addr, len).filter(|(at, _)| self.find(*at).is_none()).count();
        let bytes = new.saturating_mul(FRAME);
        let arena = self.arena.try_reserve(bytes).is_ok();
        let index = self.index.try_reserve(new).is_ok();
        if arena && index { Ok(()) } else { Err(BusError::Refused { addr }) }
    }

    /// Offset of the frame around `addr`, which is given bytes if it has none. `ram` says whether all of
    /// it is RAM.
    pub(crate) fn back(&mut self, addr: PhysAddr, ram: impl FnOnce() -> bool) -> usize {
        let Self { arena, index, .. } = self;
        index
            .entry(addr.block(RAM_PAGE_BITS))
            .or_insert_with(|| {
                let offset = arena.len();
                arena.resize(offset + FRAME, 0);
                Backing { offset, ram: ram() }
            })
            .offset
    }

    /// Copies from `addr` on; what no frame holds is zeros.
    pub(crate) fn copy_out(&self, addr: PhysAddr, bytes: &mut [u8]) {
        for (at, range) in pieces(addr, bytes.len()) {
            let piece = &mut bytes[range];
            match self.find(at) {
                Some(from) => piece.copy_from_slice(&self.arena[from..from + piece.len()]),
                None => piece.fill(0),
            }
        }
    }

    /// Copies to `addr` and on. `ram` says of a frame whether all of it is RAM.
    pub(crate) fn copy_in(&mut self, addr: PhysAddr, bytes: &[u8], ram: impl Fn(PhysAddr) -> bool) {
        for (at, range) in pieces(addr, bytes.len()) {
            let to = self.back(at, || ram(at)) + in_frame(at);
            self.arena[to..to + range.len()].copy_from_slice(&bytes[range]);
        }
    }

    /// All frames, in the order in which they were touched.
    #[inline]
    pub(crate) fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// The same, to write.
    #[inline]
    pub(crate) fn arena_mut(&mut self) -> &mut [u8] {
        &mut self.arena
    }

    /// Where in the arena the byte at `addr` is.
    fn find(&self, addr: PhysAddr) -> Option<usize> {
        let frame = self.index.get(&addr.block(RAM_PAGE_BITS))?;
        Some(frame.offset + in_frame(addr))
    }
}

/// Its place among the frames used lately.
#[inline]
fn recent_slot(frame: u64) -> usize {
    low_bits(frame) & (RECENT - 1)
}

/// Distance from the start of the frame.
#[inline]
fn in_frame(addr: PhysAddr) -> usize {
    low_bits(addr.raw()) & (FRAME - 1)
}

/// The same, if `len` bytes from there on stay in the frame.
#[inline]
fn within(addr: PhysAddr, len: usize) -> Option<usize> {
    let at = in_frame(addr);
    (at + len <= FRAME).then_some(at)
}

/// The number, or its low half where the host's addresses have 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "callers look at the low bits only")]
#[inline]
fn low_bits(number: u64) -> usize {
    number as usize
}

/// Cuts `len` bytes from `addr` on at the edges of frames.
fn pieces(addr: PhysAddr, len: usize) -> impl Iterator<Item = (PhysAddr, Range<usize>)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        let at = addr.wrapping_add(done as u64);
        let range = done..len.min(done + FRAME - in_frame(at));
        done = range.end;
        (!range.is_empty()).then_some((at, range))
    })
}
