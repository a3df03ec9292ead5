//! Puts an MMU that is not emmu to the vectors: a toy that walks Sv39 in some fifty lines.
//!
//! `cargo run -p emmu-vectors --example toy_sv39 [FILE…]` runs it on these files, or else on a vector of its
//! own. It prints each mismatch, then how many operations passed and failed, and how many it did not take.

use emmu_core::{Access, AccessKind, PhysAddr, Privilege};
use emmu_vectors::riscv::{self, Exception};
use emmu_vectors::{
    Answer, Fault, Format, Memory, Operation, Reader, Registers, Report, RiscVRegisters,
    SparseMemory, Subject, Vector, VectorError, run,
};
use std::process::ExitCode;

/// The toy: 4 KiB, 2 MiB and 1 GiB pages, permissions, SUM and MXR. It sets no A or D, and has no
/// extensions.
struct Toy;

impl Toy {
    /// The physical address, or nothing for any page fault.
    fn walk(registers: &RiscVRegisters, access: Access, memory: &SparseMemory) -> Option<u64> {
        let va = access.addr.raw();
        let sign = va.cast_signed() >> 38;
        if sign != 0 && sign != -1 {
            return None;
        }
        let mut table = registers.satp << 12 & 0xff_ffff_ffff_f000;
        for shift in [30, 21, 12] {
            let pte = memory.read64(PhysAddr::new(table + (va >> shift & 0x1ff) * 8)).ok()?;
            let next = pte << 2 & 0xff_ffff_ffff_f000;
            let in_page = (1 << shift) - 1;
            match pte & 0xf {
                _ if pte >> 54 != 0 => return None,
                1 if pte & 0xd0 == 0 => table = next,
                3 | 7 | 9 | 11 | 15
                    if next & in_page == 0 && Self::permits(pte, registers.mstatus, access) =>
                {
                    return Some(next | va & in_page);
                }
                _ => return None,
            }
        }
        None
    }

    fn permits(pte: u64, mstatus: u64, access: Access) -> bool {
        let bit = |word: u64, number: u32| word >> number & 1 == 1;
        let (r, w, x, u, a, d) =
            (bit(pte, 1), bit(pte, 2), bit(pte, 3), bit(pte, 4), bit(pte, 6), bit(pte, 7));
        let (sum, mxr) = (bit(mstatus, 18), bit(mstatus, 19));
        let mode = match access.privilege {
            Privilege::User => u,
            _ => !u || sum && access.kind != AccessKind::Fetch,
        };
        mode && a
            && match access.kind {
                AccessKind::Fetch => x,
                AccessKind::Load => r || mxr && x,
                AccessKind::Store | AccessKind::Amo => w && d,
            }
    }
}

impl Subject for Toy {
    fn takes(&self, vector: &Vector) -> bool {
        let within_pages = vector.ops.iter().all(|op| !op.operation.crosses_pages());
        let plain = |regs: &RiscVRegisters| {
            regs.menvcfg == 0 && regs.satp >> 60 == 8 && !regs.has_extension("svnapot")
        };
        let plain = matches!(&vector.registers, Registers::RiscV(registers) if plain(registers));
        vector.format == Format::Sv39 && plain && within_pages && vector.holes.is_empty()
    }

    fn perform(
        &mut self,
        regs: &Registers,
        operation: Operation,
        memory: &mut SparseMemory,
    ) -> Answer {
        let (Registers::RiscV(registers), Operation::Access { access, .. }) = (regs, operation)
        else {
            return Answer::NotModelled("anything but RISC-V".to_owned());
        };
        let exception = Exception::page_fault(access.kind);
        match Self::walk(registers, access, memory) {
            Some(pa) => Answer::Pa(PhysAddr::new(pa)),
            None => {
                Answer::Fault(Fault::RiscV(riscv::Fault { exception, tval: access.addr.raw() }))
            }
        }
    }
}

/// A gigapage that the supervisor may read, and nobody may write.
const OWN: &str = concat!(
    r#"{"id": "own", "oracle": "by hand", "format": "riscv-sv39", "mem": [["0x9008", "0x20000043"]],"#,
    r#" "regs": {"satp": "0x8000000000000009", "mstatus": "0x0", "menvcfg": "0x0", "isa": "rv64gc"},"#,
    r#" "ops": [{"access": "load", "priv": "supervisor", "va": "0x40001234", "size": 4,"#,
    r#" "expect": {"pa": "0x80001234"}}, {"access": "store", "priv": "supervisor", "va": "0x40001234","#,
    r#" "size": 4, "expect": {"fault": "store-page-fault", "cause": 15, "tval": "0x40001234"}}],"#,
    r#" "mem_after": []}"#,
);

fn main() -> ExitCode {
    match run_files() {
        Ok(report) => {
            println!("{report}");
            if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run_files() -> Result<Report, VectorError> {
    let mut files: Vec<_> = std::env::args().skip(1).map(Reader::open).collect::<Result<_, _>>()?;
    if files.is_empty() {
        files.push(Reader::new("its own vector", OWN.as_bytes())?);
    }
    run(files.into_iter().flatten(), &mut Toy, &mut |mismatch| println!("{mismatch}"))
}
