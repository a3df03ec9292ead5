//! The decision on a program's fault.

use crate::{Kill, Layout, Region};
use emmu_core::{Cause, Fault};

/// Returns the region that needs a page for `fault`, or the reason why the program must end.
///
/// | the first byte that failed is in | the region allows the access | cause | verdict |
/// |---|---|---|---|
/// | no region | – | any | kill |
/// | a region | no | any | kill |
/// | a region | yes | nothing is mapped there | map |
/// | a region | yes | any other | kill: the hardware failed, or something that this kernel never sets up |
///
/// The program's own addresses are those that it uses, less `origin`.
pub(crate) fn judge<'a>(
    layout: &'a Layout,
    origin: u64,
    fault: &Fault,
) -> Result<&'a Region, Kill> {
    let own = fault.addr.wrapping_add(origin.wrapping_neg());
    let region = layout.region_at(own).ok_or(Kill::NoRegion(*fault))?;
    if !region.rights().allow(fault.access.kind) {
        return Err(Kill::Forbidden { fault: *fault, rights: region.rights() });
    }
    match fault.cause {
        Cause::Absent => Ok(region),
        _ => Err(Kill::Exception((*fault).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rights;
    use emmu_core::{Access, BusError, PhysAddr, VirtAddr};
    use emmu_cpu::Exception;

    fn verdict(access: Access, cause: Cause) -> Result<VirtAddr, Kill> {
        let code = Region::new(VirtAddr::new(0x1000), 0x1000, Rights::RX).unwrap();
        let layout = Layout::new([code]).unwrap();
        judge(&layout, 0, &Fault::new(access, cause)).map(Region::start)
    }

    const CODE: VirtAddr = VirtAddr::new(0x1008);

    #[test]
    fn a_missing_page_of_a_region_is_mapped() {
        assert_eq!(verdict(Access::fetch(CODE, 4), Cause::Absent), Ok(VirtAddr::new(0x1000)));
    }

    #[test]
    fn an_address_in_no_region_kills() {
        let access = Access::load(VirtAddr::new(0x2000), 1);
        let fault = Fault::new(access, Cause::Absent);
        assert_eq!(verdict(access, Cause::Absent), Err(Kill::NoRegion(fault)));
    }

    #[test]
    fn what_the_region_forbids_kills_even_if_no_page_is_there() {
        let access = Access::store(CODE, 1);
        for cause in [Cause::Absent, Cause::Permission] {
            let fault = Fault::new(access, cause);
            let forbidden = Kill::Forbidden { fault, rights: Rights::RX };
            assert_eq!(verdict(access, cause), Err(forbidden));
        }
    }

    #[test]
    fn a_failing_bus_kills() {
        let cause = Cause::Bus(BusError::Unmapped { addr: PhysAddr::ZERO });
        let access = Access::load(CODE, 1);
        let expected = Kill::Exception(Exception::Fault(Fault::new(access, cause)));
        assert_eq!(verdict(access, cause), Err(expected));
    }
}
