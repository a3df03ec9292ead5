//! The vector reader on what is well and what is not well formed, and the runner on subjects that are wrong.

use emmu_oracle::ReferenceModels;
use emmu_property::quickcheck;
use emmu_vectors::{
    Answer, Format, Mismatch, Operation, Problem, Reader, Registers, Report, SparseMemory, Subject,
    Vector, VectorError, check,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// An Sv39 gigapage, whose A and D hardware sets: a load, then a store, then a load that faults.
const SV39: &str = r#"{"id":"sv39","oracle":"by hand","format":"riscv-sv39",
"regs":{"satp":"0x8000000000000009","mstatus":"0x0","menvcfg":"0x2000000000000000","isa":"rv64gc_svadu"},
"frames":["0x9000"],"mem":[["0x9008","0x20000007"]],
"ops":[
{"access":"load","priv":"supervisor","va":"0x40000010","size":8,"expect":{"pa":"0x80000010"},
 "writes":[["0x9008","0x20000047"]]},
{"access":"store","priv":"supervisor","va":"0x40000010","size":8,"expect":{"pa":"0x80000010"},
 "writes":[["0x9008","0x200000c7"]]},
{"access":"load","priv":"user","va":"0x40000010","size":8,
 "expect":{"fault":"load-page-fault","cause":13,"tval":"0x40000010"}},
{"access":"load","priv":"supervisor","va":"0x40000ffc","size":8,
 "expect":{"pas":[["0x80000ffc",4],["0x80001000",4]]}}
],"mem_after":[["0x9008","0x200000c7"]]}"#;

/// The vector above as one line.
fn line() -> String {
    SV39.replace('\n', "")
}

fn read(text: &str) -> Result<Vec<Vector>, VectorError> {
    Reader::new("test.jsonl", text.as_bytes())?.collect()
}

/// Returns the error of the vector above in which `from` is replaced by `to`.
fn complaint(from: &str, to: &str) -> String {
    assert!(line().contains(from), "{from} is in the vector");
    read(&line().replace(from, to))
        .map(drop)
        .map_or_else(|error| error.to_string(), |()| String::new())
}

/// A subject made of a function that changes what the reference models do.
struct Wrong<F>(F);

impl<F: FnMut(Answer, &mut SparseMemory) -> Answer> Subject for Wrong<F> {
    fn perform(
        &mut self,
        regs: &Registers,
        operation: Operation,
        memory: &mut SparseMemory,
    ) -> Answer {
        let answer = ReferenceModels.perform(regs, operation, memory);
        self.0(answer, memory)
    }
}

/// Runs the vector above, changed by `edit`.
fn run_edited(subject: &mut impl Subject, edit: impl Fn(&mut Vector)) -> (Report, Vec<Mismatch>) {
    let mut mismatches = Vec::new();
    let mut report = Report::default();
    for mut vector in read(&line()).unwrap_or_default() {
        edit(&mut vector);
        report += check(&vector, subject, &mut |mismatch| mismatches.push(mismatch));
    }
    (report, mismatches)
}

fn messages(mismatches: &[Mismatch]) -> Vec<String> {
    mismatches.iter().map(ToString::to_string).collect()
}

#[test]
fn a_vector_says_what_its_line_says() -> Result<(), VectorError> {
    let vectors = read(&line())?;
    let [vector] = vectors.as_slice() else { panic!("one line is one vector") };
    assert_eq!((vector.id.as_str(), vector.oracle.as_str()), ("sv39", "by hand"));
    assert_eq!((vector.format, vector.ops.len()), (Format::Sv39, 4));
    assert!(vector.ops[3].operation.crosses_pages() && !vector.ops[2].operation.crosses_pages());
    let Registers::RiscV(registers) = &vector.registers else { panic!("registers of RISC-V") };
    assert!(registers.has_extension("svadu") && !registers.has_extension("svnapot"));
    Ok(())
}

#[test]
fn gzip_is_told_by_content_and_may_have_several_members() -> Result<(), Box<dyn std::error::Error>>
{
    let mut file = Vec::new();
    for _ in 0..2 {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        writeln!(encoder, "{}", line())?;
        file.extend(encoder.finish()?);
    }
    let vectors = Reader::new("plain.jsonl", file.as_slice())?.collect::<Result<Vec<_>, _>>()?;
    assert_eq!(vectors.len(), 2);
    Ok(())
}

#[test]
fn a_truncated_gzip_file_is_an_error() -> Result<(), Box<dyn std::error::Error>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    writeln!(encoder, "{}", line())?;
    let file = encoder.finish()?;
    let read: Vec<_> = Reader::new("cut.gz", &file[..file.len() / 2])?.collect();
    assert!(matches!(read.as_slice(), [Err(VectorError { line: 1, problem: Problem::Io(_), .. })]));
    Ok(())
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let error = Reader::open("no/such/file.jsonl").map(drop).map_err(|error| error.to_string());
    assert!(error.is_err_and(|error| error.starts_with("no/such/file.jsonl: cannot read:")));
}

#[test]
fn blank_lines_count_and_an_error_ends_the_file() {
    let text = format!("{}\n\n  \n{{\n{}\n", line(), line());
    let items: Vec<_> = Reader::new("test.jsonl", text.as_bytes()).into_iter().flatten().collect();
    assert_eq!(items.len(), 2);
    assert!(matches!(&items[1], Err(VectorError { line: 4, problem: Problem::Json(_), .. })));
}

#[test]
fn a_wrong_field_is_named_with_file_line_and_path() {
    assert_eq!(
        complaint(r#""pa":"0x80000010""#, r#""pa":7"#),
        "test.jsonl:1: ops[0].expect.pa: expected a lower-case hexadecimal string of at most 64 bits, found 7"
    );
}

#[test]
fn a_missing_field_is_named() {
    for (field, path) in [
        (r#""id":"sv39","#, "id"),
        (r#""mstatus":"0x0","#, "regs.mstatus"),
        (r#""mem":[["0x9008","0x20000007"]],"#, "mem"),
        (r#""expect":{"pa":"0x80000010"},"#, "ops[0].expect"),
        (r#""cause":13,"#, "ops[2].expect.cause"),
        (r#""priv":"user","#, "ops[2].priv"),
    ] {
        let expected = format!("test.jsonl:1: {path}: expected a value, found nothing");
        assert_eq!(complaint(field, ""), expected);
    }
}

#[test]
fn what_the_format_does_not_know_is_refused() {
    for (from, to, path) in [
        ("riscv-sv39", "riscv-sv64", "format"),
        ("\"load\"", "\"peek\"", "ops[0].access"),
        ("\"user\"", "\"machine\"", "ops[2].priv"),
        ("load-page-fault", "load-fault", "ops[2].expect.fault"),
        ("\"cause\":13", "\"cause\":15", "ops[2].expect.cause"),
        ("{\"pa\":\"0x80000010\"}", "{}", "ops[0].expect"),
        ("{\"pas\"", "{\"pa\":\"0x0\",\"pas\"", "ops[3].expect"),
        ("\"size\":8", "\"size\":0", "ops[0].size"),
        ("\"size\":8", "\"size\":4097", "ops[0].size"),
        ("\"0x20000007\"", "\"0x2000000F\"", "mem[0][1]"),
        ("\"0x20000007\"", "\"0x10000000000000000\"", "mem[0][1]"),
        ("\"0x20000007\"", "\"0x+7\"", "mem[0][1]"),
        ("\"0x20000007\"", "\"0x\"", "mem[0][1]"),
        ("\"0x9008\",\"0x20000007\"", "\"0x9004\",\"0x7\"", "mem[0]"),
        ("\"0x20000007\"", "\"0x7\",\"8\"", "mem[0]"),
        ("\"0x20000007\"", "\"0x100000000\",\"4\"", "mem[0][1]"),
        ("[\"0x9000\"]", "[\"0x9008\"]", "frames[0]"),
        ("\"ops\":[", "\"ops\":[0,", "ops[0]"),
    ] {
        let complaint = complaint(from, to);
        assert!(
            complaint.starts_with(&format!("test.jsonl:1: {path}: expected ")),
            "{to}: {complaint}"
        );
    }
}

#[test]
fn only_the_first_byte_of_a_fetch_is_meant() {
    // The page is executable now, and the load across pages is a fetch.
    let line = line()
        .replace("0x20000007", "0x200000cf")
        .replace("0x20000047", "0x200000cf")
        .replace("0x200000c7", "0x200000cf")
        .replace(",\"mem_after\":[[\"0x9008\",\"0x200000cf\"]]", ",\"mem_after\":[]")
        .replace(
            "\"load\",\"priv\":\"supervisor\",\"va\":\"0x40000ffc\"",
            "\"fetch\",\"priv\":\"supervisor\",\"va\":\"0x40000ffc\"",
        )
        .replace("{\"pas\":[[\"0x80000ffc\",4],[\"0x80001000\",4]]}", "{\"pa\":\"0x80000ffc\"}");
    let reports = read(&line).unwrap_or_default().into_iter();
    let reports: Vec<_> =
        reports.map(|vector| check(&vector, &mut ReferenceModels, &mut |_| ())).collect();
    assert_eq!(reports, [Report { passed: 4, failed: 0, skipped: 0 }]);
}

#[test]
fn unknown_fields_are_passed_over() {
    assert_eq!(complaint("\"id\"", "\"comment\":[{}],\"id\""), "");
}

#[test]
fn the_right_subject_passes() {
    let (report, mismatches) = run_edited(&mut ReferenceModels, |_| ());
    assert_eq!(
        (report, messages(&mismatches)),
        (Report { passed: 4, failed: 0, skipped: 0 }, vec![])
    );
}

#[test]
fn a_wrong_address_is_told_with_id_op_expected_and_got() {
    let mut subject = Wrong(|answer, _: &mut SparseMemory| match answer {
        Answer::Pa(pa) => Answer::Pa(pa.wrapping_add(1)),
        other => other,
    });
    let (report, mismatches) = run_edited(&mut subject, |_| ());
    assert_eq!(report.to_string(), "2 passed, 2 failed");
    assert_eq!(
        messages(&mismatches)[0],
        "sv39, op 0 (supervisor load of 8 bytes at 0x40000010): \
         expected pa 0x80000010 0x9008 := 0x20000047, got pa 0x80000011 0x9008 := 0x20000047"
    );
}

/// The state rule: op 1 finds the entry that op 0 should have left, whatever the subject did.
#[test]
fn a_subject_that_sets_no_bits_fails_where_there_are_bits_to_set_and_nowhere_else() {
    struct Forgetful;
    impl Subject for Forgetful {
        fn perform(
            &mut self,
            regs: &Registers,
            operation: Operation,
            memory: &mut SparseMemory,
        ) -> Answer {
            ReferenceModels.perform(regs, operation, &mut memory.clone())
        }
    }
    let (report, mismatches) = run_edited(&mut Forgetful, |_| ());
    assert_eq!((report.passed, report.failed), (2, 2));
    assert!(
        messages(&mismatches)[1]
            .ends_with("expected pa 0x80000010 0x9008 := 0x200000c7, got pa 0x80000010")
    );
}

#[test]
fn a_write_that_no_vector_asked_for_is_a_mismatch() {
    let mut subject = Wrong(|answer, memory: &mut SparseMemory| {
        memory.write64(emmu_core::PhysAddr::new(0x9ff8), 1);
        answer
    });
    let (report, mismatches) = run_edited(&mut subject, |_| ());
    // All but the access across pages, whose writes are not recorded.
    assert_eq!((report.passed, report.failed), (1, 3));
    assert!(messages(&mismatches)[2].ends_with("tval 0x40000010 0x9ff8 := 0x1"));
}

#[test]
fn memory_in_the_end_is_compared() {
    let (report, mismatches) = run_edited(&mut ReferenceModels, |vector| vector.mem_after.clear());
    assert_eq!((report.passed, report.failed), (4, 1));
    assert_eq!(
        messages(&mismatches),
        ["sv39, memory in the end: expected no writes, got 0x9008 := 0x200000c7"]
    );
}

#[test]
fn a_subject_skips_what_it_does_not_take() {
    struct Picky;
    impl Subject for Picky {
        fn takes(&self, _: &Vector) -> bool {
            false
        }
        fn perform(&mut self, _: &Registers, _: Operation, _: &mut SparseMemory) -> Answer {
            Answer::NotModelled("anything".to_owned())
        }
    }
    let (report, _) = run_edited(&mut Picky, |_| ());
    assert_eq!(report.to_string(), "0 passed, 0 failed, 4 skipped");
}

/// The vector above with bytes changed.
fn damaged(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = line().into_bytes();
    let len = bytes.len();
    changes.iter().for_each(|(place, byte)| bytes[place % len] = *byte);
    bytes
}

quickcheck! {
    fn any_file_is_read_to_its_end_without_panic(bytes: Vec<u8>) -> bool {
        Reader::new("noise", bytes.as_slice()).map_or(true, |reader| reader.count() <= bytes.len())
    }

    fn a_damaged_vector_is_an_error_or_runs_without_panic(changes: Vec<(usize, u8)>) -> bool {
        let bytes = damaged(&changes);
        let vectors = Reader::new("damaged", bytes.as_slice()).into_iter().flatten().flatten();
        vectors.fold(true, |ran, vector| {
            let report = check(&vector, &mut ReferenceModels, &mut |_| ());
            ran && report.passed + report.failed >= vector.ops.len() as u64
        })
    }
}
