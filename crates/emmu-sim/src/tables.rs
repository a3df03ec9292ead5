//! The formats that a machine description can name, each with the operating system's tables for it.

use emmu_os::{AArch64Tables, RiscVTables, TableFormat, X86Tables};
use emmu_paging::{AArch64, RiscV, X86, format::Format};
use emmu_timing::PagingFormat;

/// Work with a paging unit and the tables that it walks, in whichever format.
pub trait WithTables {
    /// The result of the work.
    type Output;

    /// Does the work for a unit of `format`, for which the operating system writes `tables`.
    fn with<F: Format + 'static, T: TableFormat + 'static>(
        self,
        format: F,
        tables: T,
    ) -> Self::Output;
}

/// Does the work in the format that a machine description names.
pub fn with_tables<W: WithTables>(format: PagingFormat, what: W) -> W::Output {
    match format {
        PagingFormat::RiscvSv32 => what.with(RiscV::rv32(), RiscVTables::SV32),
        PagingFormat::RiscvSv39 => what.with(RiscV::rv64(), RiscVTables::SV39),
        PagingFormat::RiscvSv48 => what.with(RiscV::rv64(), RiscVTables::SV48),
        PagingFormat::RiscvSv57 => what.with(RiscV::rv64(), RiscVTables::SV57),
        PagingFormat::X86Bits32 => what.with(X86::default(), X86Tables::BITS32),
        PagingFormat::X86Pae => what.with(X86::default(), X86Tables::PAE),
        PagingFormat::X86_64FourLevel => what.with(X86::default(), X86Tables::LEVEL4),
        PagingFormat::X86_64FiveLevel => what.with(X86::default(), X86Tables::LEVEL5),
        PagingFormat::AArch64K4 => what.with(AArch64::new(), AArch64Tables::K4),
        PagingFormat::AArch64K16 => what.with(AArch64::new(), AArch64Tables::K16),
        PagingFormat::AArch64K64 => what.with(AArch64::new(), AArch64Tables::K64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Facts;

    impl WithTables for Facts {
        type Output = (u8, u64);

        fn with<F: Format, T: TableFormat>(self, _: F, tables: T) -> (u8, u64) {
            (tables.shape().levels, tables.shape().page())
        }
    }

    #[test]
    fn tables_are_shaped_as_machine_descriptions_have_it() {
        for format in PagingFormat::ALL {
            // The root of PAE paging is read with CR3, and by no walk.
            let levels = format.levels() + u8::from(format == PagingFormat::X86Pae);
            let described = (levels, format.page());
            assert_eq!(with_tables(format, Facts), described, "{format}");
        }
    }
}
