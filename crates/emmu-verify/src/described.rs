//! Described formats on [`Described`] units.

use crate::architecture::{Architecture, Run, SetupError, Unit, passes};
use emmu_core::{Access, Bus, Cause, Fault, RegisterError, TranslationUnit, Width};
use emmu_oracle::{
    Memory,
    described::{self, EntryPlace, Fault as Refused, Reason, Registers},
};
use emmu_paging::{
    Paging, PagingConfig,
    format::described::{ASID, Described, Description, MODE, PTBR},
};

impl Architecture for Registers {
    type Format = Described;
    type Second = ();

    fn out_of_reset(
        &self,
        config: &PagingConfig,
        _: &PagingConfig,
    ) -> Result<Unit<Self>, SetupError> {
        let format = Described::new(description(&self.description)?)?;
        Ok(Paging::new(format, config)?)
    }

    fn switch_on<B: Bus>(
        &self,
        unit: &mut Paging<Described>,
        bus: &mut B,
    ) -> Result<(), RegisterError> {
        let registers = [(PTBR, self.ptbr), (ASID, self.asid.into()), (MODE, self.mode)];
        let mut written = registers.into_iter();
        written.try_for_each(|(id, value)| unit.write_register(id, value, bus, &mut ()))
    }

    fn exception(_: &Described, fault: &Fault) -> Option<Refused> {
        let reason = match fault.cause {
            Cause::NonCanonical => Reason::NotCanonical,
            Cause::Bus(_) => Reason::Hole,
            Cause::Absent => Reason::NotValid,
            Cause::Misaligned => Reason::Misaligned,
            Cause::ReadOnly => Reason::ReadOnly,
            Cause::Permission => Reason::NotAllowed,
            Cause::AccessFlag => Reason::NotAccessed,
            Cause::DirtyFlag => Reason::NotDirty,
            _ => return None,
        };
        let entry =
            fault.entry.map(|entry| EntryPlace { level: entry.level.into(), addr: entry.addr });
        Some(Refused { reason, entry })
    }

    fn leaves_address_space(&self, access: Access) -> bool {
        passes(access, 64)
    }

    /// Returns the sizes of the pages. A TLB cannot hold pages of one byte.
    fn sizes(&self) -> Vec<u8> {
        let sizes = self.description.page_sizes();
        let mut sizes: Vec<u8> =
            sizes.into_iter().filter_map(|bits| bits.try_into().ok()).collect();
        sizes.retain(|bits| *bits > 0);
        if sizes.is_empty() { vec![1] } else { sizes }
    }

    fn run(&self, _: Access, _: &dyn Memory) -> Option<Run> {
        None
    }
}

/// Returns the description of the unit that corresponds to a model's description.
///
/// # Errors
/// [`SetupError::Unspeakable`] for properties that emmu cannot describe: entries of other than 1, 2, 4 or 8 bytes, and
/// numbers of more than eight bits.
pub fn description(model: &described::Description) -> Result<Description, SetupError> {
    let unspeakable = |what| SetupError::Unspeakable { what };
    let small = |number: u32| u8::try_from(number).map_err(|_| unspeakable("a number"));
    let width = Width::from_bytes(model.entry_size.into());
    let entry = width.ok_or(unspeakable("an entry size"))?;
    let index_bits: Result<Vec<u8>, _> = model.index_bits.iter().copied().map(small).collect();
    let bit = |bit: Option<u32>| bit.map(small).transpose();

    let pages = Description::new(entry, small(model.page_bits)?, &index_bits?)
        .frame(small(model.frame.0)?, small(model.frame.1)?)
        .valid(small(model.valid)?)
        .rights(bit(model.read)?, bit(model.write)?, bit(model.execute)?);
    let (accessed, dirty) = (bit(model.accessed)?, bit(model.dirty)?);
    let recorded = if model.recorded_by_software {
        pages.recorded_by_software(accessed, dirty)
    } else {
        pages.recorded(accessed, dirty)
    };
    let with = |pages, add: fn(Description, u8) -> Description, number: Option<u8>| match number {
        Some(number) => add(pages, number),
        None => pages,
    };
    let recorded = with(recorded, Description::superpage, bit(model.superpage)?);
    let recorded = with(recorded, Description::user, bit(model.user)?);
    Ok(with(recorded, Description::global, bit(model.global)?))
}
