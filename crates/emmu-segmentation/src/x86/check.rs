//! The checks of an access, once segment registers are loaded.

use super::descriptor::Kind;
use super::{SegmentState, X86Descriptor};
use emmu_core::{Access, AccessKind, Cause, VirtAddr};
use thiserror::Error;

/// Why a segment refuses an access (Intel SDM Vol. 3A, "Limit Checking", "Type Checking").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Violation {
    /// The segment register holds a null selector.
    #[error("the segment register holds a null selector")]
    Null,
    /// A write to code or to data that is not writable, or a read of code that is not readable.
    #[error("the type of the segment does not allow it")]
    Type,
    /// A byte of the access is outside the limit.
    #[error("offset {offset} is outside the limit")]
    Limit {
        /// The first such byte.
        offset: VirtAddr,
    },
}

impl Violation {
    /// Returns the cause of the fault that this refusal raises.
    #[must_use]
    pub const fn cause(self) -> Cause {
        match self {
            Self::Null => Cause::NoSegment,
            Self::Type => Cause::Permission,
            Self::Limit { .. } => Cause::Bounds,
        }
    }
}

/// The linear address of the first byte, and how many bytes the segment has from there on, up to which linear
/// addresses do not wrap.
pub(super) fn check(segment: &SegmentState, access: Access) -> Result<(u64, u64), Violation> {
    // spec: x86seg-linear
    let descriptor = segment.descriptor.ok_or(Violation::Null)?;
    if !permits(descriptor, access.kind) {
        return Err(Violation::Type);
    }
    let left = within(descriptor, access)?;
    let linear = segment.base.wrapping_add(access.addr.raw()) & LAST_LINEAR;
    Ok((linear, left.min(LAST_LINEAR - linear + 1)))
}

/// Linear addresses outside 64-bit mode have 32 bits; sums wrap (Intel SDM Vol. 3A, 3.3).
const LAST_LINEAR: u64 = 0xffff_ffff;

fn permits(descriptor: X86Descriptor, kind: AccessKind) -> bool {
    // spec: x86seg-type
    match (descriptor.kind(), kind) {
        // The segment in CS was a code segment when it was loaded.
        (_, AccessKind::Fetch) => true,
        (Kind::Data { .. }, AccessKind::Load) => true,
        (Kind::Data { writable, .. }, AccessKind::Store | AccessKind::Amo) => writable,
        (Kind::Code { readable, .. }, AccessKind::Load) => readable,
        (Kind::Code { .. }, AccessKind::Store | AccessKind::Amo) => false,
        (Kind::System(_), _) => false,
    }
}

/// How many valid offsets there are from that of the first byte on. Every byte of data must have one; of a fetch
/// only the first byte is known to be wanted.
fn within(descriptor: X86Descriptor, access: Access) -> Result<u64, Violation> {
    // spec: x86seg-limit
    let (offsets, first) = (descriptor.offsets(), access.addr.raw());
    if !offsets.contains(&first) {
        return Err(Violation::Limit { offset: access.addr });
    }
    let left = offsets.end() - first + 1;
    if access.kind != AccessKind::Fetch && left < u64::from(access.size) {
        return Err(Violation::Limit { offset: access.addr.wrapping_add(left) });
    }
    Ok(left)
}
