//! The binary traces of the simulator ChampSim: 64 bytes for each instruction.
//!
//! All numbers are little-endian. There is no header, no magic number and no end marker.
//!
//! | offset | bytes | contents |
//! |---|---|---|
//! | 0 | 8 | address of the instruction |
//! | 8 | 1 | 1 for a branch, otherwise 0 |
//! | 9 | 1 | 1 for a branch that was taken, otherwise 0 |
//! | 10 | 2 × 1 | registers written, 0 for none |
//! | 12 | 4 × 1 | registers read, 0 for none |
//! | 16 | 2 × 8 | addresses written, 0 for none |
//! | 32 | 4 × 8 | addresses read, 0 for none |
//!
//! Registers have the numbers of Intel's Pin. Three of them mean something to ChampSim, which tells the kinds of
//! branches apart by them: 6 is the stack pointer, 25 the flags and 26 the instruction pointer.
//!
//! An instruction becomes a fetch, then a load for each address read and a store for each address written, in order.
//! Registers and branches become nothing, since references have neither.
//!
//! The format has no sizes: neither the length of an instruction nor the bytes of an operand. Every reference gets a
//! size of 1. ChampSim itself does as much: it looks up the one block, and translates the one page, that hold the
//! address. A larger size would make references that cross pages where the program made none.
//!
//! Sources: ChampSim, `inc/trace_instruction.h` (`input_instr`), `inc/instruction.h` and `tracer/pin`. The longer
//! records of its variants are not read: 88 bytes for SPARC (`cloudsuite_instr`), and those with a type of load.

use crate::{Record, RecordKind, RecordSource, TraceError, source::CHUNK_RECORDS, source::Chunk};
use crate::{emt::format_error, error::Position};
use emmu_core::VirtAddr;
use std::io::Read;

/// Bytes of an instruction in the trace.
pub const INSTRUCTION_BYTES: usize = 64;

/// Most references of an instruction: its fetch, four loads and two stores.
const MOST_RECORDS: usize = 7;

/// One instruction of a ChampSim trace.
///
/// ```
/// use emmu_trace::champsim::Instruction;
/// let push = Instruction { ip: 0x40_0123, destination_memory: [0x7ffe_1000, 0], ..Default::default() };
/// assert_eq!(Instruction::from_bytes(&push.to_bytes()), push);
/// let text: Vec<_> = push.records().map(|record| record.to_string()).collect();
/// assert_eq!(text, ["I  00400123,1", " S 7ffe1000,1"]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instruction {
    /// Address of the instruction.
    pub ip: u64,
    /// 1 for a branch, otherwise 0.
    pub is_branch: u8,
    /// 1 for a branch that was taken, otherwise 0.
    pub branch_taken: u8,
    /// Registers written, 0 for none.
    pub destination_registers: [u8; 2],
    /// Registers read, 0 for none.
    pub source_registers: [u8; 4],
    /// Addresses written, 0 for none.
    pub destination_memory: [u64; 2],
    /// Addresses read, 0 for none.
    pub source_memory: [u64; 4],
}

impl Instruction {
    /// Reads an instruction from the bytes of a trace.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; INSTRUCTION_BYTES]) -> Self {
        let mut words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut next = || words.next().unwrap_or_default();
        let (ip, small) = (next(), next().to_le_bytes());
        let [is_branch, branch_taken, d0, d1, s0, s1, s2, s3] = small;
        Self {
            ip,
            is_branch,
            branch_taken,
            destination_registers: [d0, d1],
            source_registers: [s0, s1, s2, s3],
            destination_memory: [next(), next()],
            source_memory: [next(), next(), next(), next()],
        }
    }

    /// Returns the bytes of the instruction in a trace.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; INSTRUCTION_BYTES] {
        let [d0, d1] = self.destination_registers;
        let [s0, s1, s2, s3] = self.source_registers;
        let small = [self.is_branch, self.branch_taken, d0, d1, s0, s1, s2, s3];
        let words = [self.ip, u64::from_le_bytes(small)];
        let words = words.into_iter().chain(self.destination_memory).chain(self.source_memory);
        let mut bytes = [0; INSTRUCTION_BYTES];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }

    /// Returns the references of the instruction: its fetch, its loads, its stores.
    pub fn records(&self) -> impl Iterator<Item = Record> + use<> {
        let of = |kind| move |addr| Record::new(kind, VirtAddr::new(addr), 1);
        let present = |addr: &u64| *addr != 0;
        let loads = self.source_memory.into_iter().filter(present).map(of(RecordKind::Load));
        let stores = self.destination_memory.into_iter().filter(present).map(of(RecordKind::Store));
        std::iter::once(of(RecordKind::Fetch)(self.ip)).chain(loads).chain(stores)
    }

    /// Checks what every instruction has in common, whatever it does: its branch flags are 0 or 1.
    ///
    /// `offset` is the place of the instruction in the trace.
    fn check(&self, offset: u64) -> Result<(), TraceError> {
        let flags = [(8, self.is_branch), (9, self.branch_taken)];
        match flags.into_iter().find(|(_, flag)| *flag > 1) {
            Some((at, flag)) => {
                Err(format_error(offset + at, "a branch flag of a ChampSim trace, 0 or 1", flag))
            }
            None => Ok(()),
        }
    }

    /// Returns true for an instruction as programs execute them: at an address of theirs, with branch flags that fit
    /// each other.
    fn is_plausible(&self) -> bool {
        let flags = self.is_branch <= 1 && self.branch_taken <= self.is_branch;
        let memory = self.destination_memory.into_iter().chain(self.source_memory);
        flags && self.ip != 0 && memory.chain([self.ip]).all(is_canonical)
    }
}

/// Returns true for an address of at most 57 bits, sign-extended: no processor that is traced has more.
const fn is_canonical(addr: u64) -> bool {
    let upper = addr >> 56;
    upper == 0 || upper == 0xff
}

/// Returns true if a trace that begins with these bytes is one of ChampSim: they hold at least one instruction, and all
/// instructions in them are plausible. `whole` says that the bytes are all of the trace.
///
/// The format has no magic number. But bytes 8 and 9 of every instruction are 0 or 1, which no text has, and by chance
/// only one of 16,384 instructions; and the upper bytes of seven addresses are 0 or 255.
pub(crate) fn is_plausible(bytes: &[u8], whole: bool) -> bool {
    let (instructions, rest) = bytes.as_chunks();
    let all = instructions.iter().all(|bytes| Instruction::from_bytes(bytes).is_plausible());
    all && !instructions.is_empty() && (rest.is_empty() || !whole)
}

/// Reads a ChampSim trace.
///
/// ```
/// use emmu_trace::{ChampSimReader, RecordSource, champsim::Instruction};
/// let load = Instruction { ip: 0x40_0123, source_memory: [0x7ffe_1000, 0, 0, 0], ..Default::default() };
/// let bytes = [load.to_bytes(), load.to_bytes()].concat();
/// assert_eq!(ChampSimReader::new(&bytes[..]).records().count(), 4);
/// ```
#[derive(Debug)]
pub struct ChampSimReader<R> {
    input: R,
    /// Place of the next instruction in the trace.
    offset: u64,
    bytes: Vec<u8>,
    chunk: Chunk,
}

impl<R: Read> ChampSimReader<R> {
    /// Creates a reader of the trace that `input` delivers.
    pub fn new(input: R) -> Self {
        Self { input, offset: 0, bytes: vec![], chunk: Chunk::default() }
    }
}

impl<R: Read> RecordSource for ChampSimReader<R> {
    fn next_chunk(&mut self) -> Result<Option<&[Record]>, TraceError> {
        let Self { input, offset, bytes, chunk } = self;
        chunk.refill(|records| {
            bytes.clear();
            let most = (CHUNK_RECORDS / MOST_RECORDS * INSTRUCTION_BYTES) as u64;
            let read = input.by_ref().take(most).read_to_end(bytes);
            let (instructions, rest) = bytes.as_chunks();
            for bytes in instructions {
                let instruction = Instruction::from_bytes(bytes);
                instruction.check(*offset)?;
                records.extend(instruction.records());
                *offset += INSTRUCTION_BYTES as u64;
            }
            let end = *offset + rest.len() as u64;
            read.map_err(|source| TraceError::Io { at: Position::Byte(end), source })?;
            match rest {
                [] => Ok(()),
                _ => Err(TraceError::Truncated { offset: end, inside: "last instruction" }),
            }
        })
    }
}
