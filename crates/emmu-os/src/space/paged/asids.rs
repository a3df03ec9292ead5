//! Address-space identifiers.

use crate::OsError;
use alloc::vec::Vec;
use emmu_core::Asid;

/// The identifiers that no living process has. 0 is the kernel's, and everybody's on a machine without identifiers.
#[derive(Clone, Debug, Default)]
pub(super) struct Asids {
    last: Option<Asid>,
    /// The largest one ever taken.
    used: u16,
    returned: Vec<Asid>,
}

impl Asids {
    /// The identifiers 1 to `last`; none if the machine has none.
    pub(super) const fn up_to(last: Option<Asid>) -> Self {
        Self { last, used: 0, returned: Vec::new() }
    }

    /// Takes one of which the hardware remembers nothing.
    pub(super) fn take(&mut self) -> Result<Asid, OsError> {
        let Some(Asid(last)) = self.last else { return Ok(Asid(0)) };
        if let Some(asid) = self.returned.pop() {
            return Ok(asid);
        }
        if self.used == last {
            return Err(OsError::OutOfAsids { asids: last.into() });
        }
        self.used += 1;
        Ok(Asid(self.used))
    }

    /// Returns an ASID to the pool. Its entries must have been invalidated before.
    pub(super) fn give(&mut self, asid: Asid) {
        if self.last.is_some() {
            self.returned.push(asid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_identifier_is_taken_twice_before_it_is_given_back() {
        let mut asids = Asids::up_to(Some(Asid(2)));
        let (first, second) = (asids.take().unwrap(), asids.take().unwrap());
        assert!(first != second && first != Asid(0) && second != Asid(0));
        assert_eq!(asids.take(), Err(OsError::OutOfAsids { asids: 2 }));
        asids.give(first);
        assert_eq!(asids.take(), Ok(first));
    }

    #[test]
    fn without_identifiers_all_have_the_kernels() {
        let mut asids = Asids::up_to(None);
        for _ in 0..3 {
            let asid = asids.take();
            assert_eq!(asid, Ok(Asid(0)));
            asids.give(Asid(0));
        }
    }

    #[test]
    fn a_machine_whose_identifiers_are_all_the_kernels_has_none_for_processes() {
        let refused = Asids::up_to(Some(Asid(0))).take();
        assert_eq!(refused, Err(OsError::OutOfAsids { asids: 0 }));
    }
}
