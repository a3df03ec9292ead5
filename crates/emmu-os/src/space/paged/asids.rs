//! Address-space identifiers.

use crate::OsError;
use alloc::vec::Vec;
use emmu_core::Asid;

/// The identifiers that no living process has. 0 is the kernel's.
#[derive(Clone, Debug, Default)]
pub(super) struct Asids {
    last: u16,
    /// The largest one ever taken.
    used: u16,
    returned: Vec<Asid>,
}

impl Asids {
    /// The identifiers 1 to `last`.
    pub(super) const fn up_to(last: Asid) -> Self {
        Self { last: last.0, used: 0, returned: Vec::new() }
    }

    /// Takes one of which the hardware remembers nothing.
    pub(super) fn take(&mut self) -> Result<Asid, OsError> {
        if let Some(asid) = self.returned.pop() {
            return Ok(asid);
        }
        if self.used == self.last {
            return Err(OsError::OutOfAsids { asids: self.last.into() });
        }
        self.used += 1;
        Ok(Asid(self.used))
    }

    /// Gives one back; the hardware has been told to forget it.
    pub(super) fn give(&mut self, asid: Asid) {
        self.returned.push(asid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_identifier_is_taken_twice_before_it_is_given_back() {
        let mut asids = Asids::up_to(Asid(2));
        let (first, second) = (asids.take().unwrap(), asids.take().unwrap());
        assert!(first != second && first != Asid(0) && second != Asid(0));
        assert_eq!(asids.take(), Err(OsError::OutOfAsids { asids: 2 }));
        asids.give(first);
        assert_eq!(asids.take(), Ok(first));
    }
}
