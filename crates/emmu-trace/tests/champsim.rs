//! ChampSim's binary traces.

use emmu_property::quickcheck;
use emmu_trace::champsim::Instruction;
use emmu_trace::check::{self, Verdict};
use emmu_trace::{ChampSimReader, RecordSource, TraceError};

fn read(bytes: &[u8]) -> Result<Vec<String>, TraceError> {
    ChampSimReader::new(bytes).records().map(|record| Ok(record?.to_string())).collect()
}

/// `add [0x1000], reg` at 0x400123, written byte by byte.
const ADD: [u8; 64] = {
    let mut bytes = [0; 64];
    [bytes[0], bytes[1], bytes[2]] = [0x23, 0x01, 0x40];
    [bytes[10], bytes[12], bytes[13]] = [25, 25, 3];
    [bytes[17], bytes[33]] = [0x10, 0x10];
    bytes
};

#[test]
fn an_instruction_is_its_fetch_its_loads_and_its_stores() {
    assert_eq!(read(&ADD).unwrap(), ["I  00400123,1", " L 00001000,1", " S 00001000,1"]);
    let all = Instruction {
        ip: 1,
        source_memory: [2, 0, 3, u64::MAX],
        destination_memory: [0, 4],
        ..Instruction::default()
    };
    let addrs: Vec<_> = all.records().map(|record| record.addr.raw()).collect();
    assert_eq!(addrs, [1, 2, 3, u64::MAX, 4]);
}

#[test]
fn fields_stand_where_champsim_has_them() {
    let bytes: [u8; 64] = std::array::from_fn(|at| u8::try_from(at).expect("a byte"));
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let instruction = Instruction {
        ip: word(0),
        is_branch: 8,
        branch_taken: 9,
        destination_registers: [10, 11],
        source_registers: [12, 13, 14, 15],
        destination_memory: [word(16), word(24)],
        source_memory: [word(32), word(40), word(48), word(56)],
    };
    assert_eq!(Instruction::from_bytes(&bytes), instruction);
    assert_eq!(instruction.to_bytes(), bytes);
}

#[test]
fn a_branch_flag_that_is_none_is_refused_with_its_place() {
    for (at, flag) in [(8, 2), (9, 255)] {
        let mut bytes = [ADD, ADD].concat();
        bytes[64 + at] = flag;
        let expected = format!(
            "byte {}: expected a branch flag of a ChampSim trace, 0 or 1, found {flag}",
            64 + at
        );
        assert_eq!(read(&bytes).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_trace_cut_within_an_instruction_is_refused_after_those_before() {
    let bytes = [ADD, ADD].concat();
    for end in 65..128 {
        let mut records = ChampSimReader::new(&bytes[..end]).records();
        assert!(records.by_ref().take(3).all(|record| record.is_ok()));
        let error = records.next().unwrap().unwrap_err().to_string();
        assert_eq!(error, format!("byte {end}: the trace is cut off inside its last instruction"));
        assert!(records.next().is_none());
    }
}

#[test]
fn many_instructions_are_read_in_several_chunks() {
    let bytes = ADD.repeat(1000);
    let mut reader = ChampSimReader::new(&bytes[..]);
    assert!(reader.next_chunk().unwrap().unwrap().len() < 3000);
    assert_eq!(read(&bytes).unwrap().len(), 3000);
}

quickcheck! {
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) -> Verdict {
        check::champsim_bytes(&bytes)
    }

    fn any_instructions_come_back(words: Vec<u64>, branch: u8) -> Verdict {
        let bytes = words.chunks_exact(6).flat_map(|words| {
            let instruction = Instruction {
                ip: words[0],
                is_branch: branch & 1,
                branch_taken: branch >> 7,
                destination_memory: [words[1], 0],
                source_memory: [words[2], words[3], words[4], words[5]],
                ..Instruction::default()
            };
            instruction.to_bytes()
        });
        check::champsim_bytes(&bytes.collect::<Vec<_>>())
    }
}
