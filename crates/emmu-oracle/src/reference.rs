//! The seam of the reference models: what one access does when nothing is cached.

pub use emmu_vectors::{Hole, Memory, SparseMemory, Write};

use emmu_core::{Access, PhysAddr};

/// The result of an access that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The physical address of its first byte.
    pub pa: PhysAddr,
    /// Log2 of the size in bytes of the page or block that maps it; 64 where nothing is paged.
    pub page_bits: u32,
    /// The entries that it changes, in order of address, each once. An access that faults changes none.
    pub writes: Vec<Write>,
}

/// A reference model: the registers of one architecture, which know how an access is translated under them.
pub trait Reference {
    /// The exception in the architecture's own terms.
    type Fault;

    /// Translates the first byte of `access` as if no translation had ever been cached.
    ///
    /// # Errors
    /// The exception that the access raises instead.
    fn translate(&self, access: Access, memory: &dyn Memory) -> Result<Outcome, Self::Fault>;

    /// Checks what is checked of an access as a whole before any piece of it is translated.
    ///
    /// # Errors
    /// The exception that comes before those of all pieces.
    fn check_whole(&self, access: Access) -> Result<(), Self::Fault> {
        let _ = access;
        Ok(())
    }

    /// Log2 of the size in bytes of the blocks at whose ends an access is cut into pieces: of 4 KiB, or of the
    /// smallest pages if these are smaller.
    fn piece_bits(&self) -> u32 {
        12
    }
}

/// Translates an access that may leave its page: one outcome per 4 KiB, or per smallest page if that is smaller,
/// lowest first, each with its part of the access. The changes of a piece are made at once: the pieces after it find the tables so,
/// and of an access that faults those of the pieces before stay.
///
/// # Errors
/// The exception of the access as a whole, or of the first piece that raises one.
pub fn translate_pieces<R: Reference>(
    model: &R,
    access: Access,
    memory: &mut SparseMemory,
) -> Result<Vec<(Access, Outcome)>, R::Fault> {
    model.check_whole(access)?;
    let mut pieces = Vec::new();
    for piece in pieces_of(access, model.piece_bits()) {
        let outcome = model.translate(piece, memory)?;
        memory.apply_all(&outcome.writes);
        pieces.push((piece, outcome));
    }
    Ok(pieces)
}

/// Cuts an access at each end of a block of 2^`bits` bytes: those of [`Reference::piece_bits`].
#[must_use]
pub fn pieces_of(access: Access, bits: u32) -> Vec<Access> {
    let mut pieces = Vec::new();
    let (mut addr, mut left) = (access.addr, access.size);
    while left > 0 {
        let in_page = u32::try_from((1 << bits) - addr.offset(bits)).unwrap_or(u32::MAX);
        let size = left.min(in_page);
        pieces.push(access.at(addr, size));
        addr = addr.wrapping_add(u64::from(size));
        left -= size;
    }
    pieces
}
