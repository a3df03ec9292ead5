//! Textbook records: what is well and what is not well formed, and the textbook's rules as reference models.

use emmu_core::{PhysAddr, VirtAddr};
use emmu_oracle::ReferenceModels;
use emmu_property::{quickcheck, vector_files_named};
use emmu_vectors::textbook::{
    Answer, EntryRead, Fault, Loaded, Machine, Mismatch, Reader, Record, Subject, check, run,
};
use emmu_vectors::{Report, VectorError, VectorFile};

const RELOCATION: &str = r#"{"id":7,"sim":"relocation","args":["-s","7"],"asize":1024,"psize":16384,"base":2471,"limit":338,"trace":[{"va":666,"fault":"bounds"},{"va":74,"pa":2545}]}"#;

const SEGMENTATION: &str = r#"{"id":2,"asize":128,"psize":512,"seg":[{"base":0,"limit":20,"grows":"up"},{"base":512,"limit":20,"grows":"down"}],"trace":[{"va":19,"seg":0,"pa":19},{"va":20,"seg":0,"fault":"bounds"},{"va":107,"seg":1,"fault":"bounds"},{"va":108,"seg":1,"pa":492}]}"#;

const LINEAR: &str = r#"{"id":3,"asize":32,"psize":128,"page":8,"pt":[2147483660,0,0,2147483649],"trace":[{"va":5,"vpn":0,"pa":101},{"va":15,"vpn":1,"fault":"invalid"},{"va":31,"vpn":3,"pa":15}]}"#;

/// The directory is frame 1: entry 2 names the table in frame 2, whose entry 3 names the page in frame 3.
fn multilevel() -> String {
    let mut memory = [0x7f; 4096];
    (memory[32 + 2], memory[2 * 32 + 3], memory[3 * 32 + 4]) = (0x82, 0x83, 42);
    let mem: String = memory.iter().map(|byte| format!("{byte:02x}")).collect();
    let pde = r#""pde_index":2,"pde":130,"pde_valid":1,"pde_pfn":2"#;
    let pte = r#""pte_index":3,"pte":131,"pte_valid":1,"pte_pfn":3"#;
    let no_pte = r#""pte_index":4,"pte":127,"pte_valid":0,"pte_pfn":127"#;
    let no_pde = r#""pde_index":3,"pde":127,"pde_valid":0,"pde_pfn":127"#;
    [
        format!(r#"{{"id":4,"page":32,"va_bits":15,"pa_bits":12,"pdbr":1,"mem":"{mem}","trace":["#),
        format!(r#"{{"va":2148,{pde},{pte},"pa":100,"value":42}},"#),
        format!(r#"{{"va":2176,{pde},{no_pte},"fault":"pte"}},"#),
        format!(r#"{{"va":3072,{no_pde},"fault":"pde"}}]}}"#),
    ]
    .concat()
}

fn all() -> String {
    [RELOCATION, SEGMENTATION, LINEAR, &multilevel()].join("\n")
}

fn read(text: &str) -> Result<Vec<Record>, VectorError> {
    Reader::new("test.jsonl", text.as_bytes())?.collect()
}

/// Returns the error of a record in which `from` is replaced by `to`.
fn complaint(record: &str, from: &str, to: &str) -> String {
    assert!(record.contains(from), "{from} is in the record");
    read(&record.replace(from, to)).map_or_else(|error| error.to_string(), |_| String::new())
}

fn run_on(subject: &mut impl Subject, text: &str) -> (Report, Vec<String>) {
    let mut mismatches = Vec::new();
    let records = read(text).into_iter().flatten().map(Ok);
    let report = run(records, subject, &mut |found: Mismatch| mismatches.push(found.to_string()));
    (report.unwrap_or_default(), mismatches)
}

fn loaded(pa: u64) -> Result<Loaded, Fault> {
    Ok(Loaded { pa: PhysAddr::new(pa), value: None })
}

#[test]
fn a_record_says_what_its_line_says() -> Result<(), VectorError> {
    let records = read(LINEAR)?;
    let [record] = records.as_slice() else { panic!("one line is one record") };
    let Machine::Linear { memory, space, page, table } = &record.machine else {
        panic!("a record of a linear table")
    };
    assert_eq!((record.id, *memory, *space, page.get(), table.len()), (3, 128, 32, 8, 4));
    let [step, ..] = record.trace.as_slice() else { panic!("a record with steps") };
    let entries = vec![EntryRead { level: 0, index: 0, raw: 2_147_483_660 }];
    assert_eq!(step.va, VirtAddr::new(5));
    assert_eq!(step.expect, Answer { entries, outcome: loaded(101) });
    Ok(())
}

#[test]
fn reference_models_answer_as_the_textbook_does() {
    let (report, mismatches) = run_on(&mut ReferenceModels, &all());
    assert_eq!(mismatches, [""; 0]);
    assert_eq!(report, Report { passed: 2 + 4 + 3 + 3, failed: 0, skipped: 0 });
}

#[test]
fn a_mismatch_tells_id_step_expected_and_got() {
    for (record, from, to, expected) in [
        (
            RELOCATION.to_owned(),
            "2545",
            "2546",
            "7, step 1 (load at 74): expected pa 2546, got pa 2545",
        ),
        (
            SEGMENTATION.to_owned(),
            r#""fault":"bounds""#,
            r#""pa":0"#,
            "2, step 1 (load at 20): expected pa 0, got bounds fault",
        ),
        (
            LINEAR.to_owned(),
            r#""vpn":1"#,
            r#""vpn":2"#,
            "3, step 1 (load at 15): expected invalid fault, pte 2 = 0, got invalid fault, pte 1 = 0",
        ),
        (
            multilevel(),
            r#""value":42"#,
            r#""value":43"#,
            "4, step 0 (load at 2148): expected pa 100 value 43, pde 2 = 130, pte 3 = 131, \
             got pa 100 value 42, pde 2 = 130, pte 3 = 131",
        ),
        (
            multilevel(),
            r#""fault":"pde""#,
            r#""fault":"pte""#,
            "4, step 2 (load at 3072): expected pte fault, pde 3 = 127, got pde fault, pde 3 = 127",
        ),
    ] {
        let (_, mismatches) = run_on(&mut ReferenceModels, &record.replace(from, to));
        assert_eq!(mismatches.first().map(String::as_str), Some(expected));
    }
}

#[test]
fn a_configuration_that_was_refused_counts_as_nothing() {
    let refused =
        r#"{"id":1,"sim":"linear","asize":12,"psize":24,"page":3,"error":"not a power of 2"}"#;
    let (report, _) = run_on(&mut ReferenceModels, &format!("{refused}\n{LINEAR}\n{refused}"));
    assert_eq!(report.to_string(), "3 passed, 0 failed");
}

#[test]
fn addresses_that_no_memory_has_are_faults_here() -> Result<(), VectorError> {
    for (pa, fault) in [("512", Fault::NoMemory(PhysAddr::new(512))), ("-10", Fault::Bounds)] {
        let records = read(&SEGMENTATION.replace("492", pa))?;
        assert_eq!(records[0].trace[3].expect.outcome, Err(fault));
    }
    Ok(())
}

#[test]
fn a_space_that_is_no_power_of_two_has_halves_all_the_same() {
    let odd = r#"{"id":9,"asize":37,"psize":101,"seg":[{"base":40,"limit":11,"grows":"up"},{"base":25,"limit":10,"grows":"down"}],"trace":[{"va":18,"seg":0,"fault":"bounds"},{"va":19,"seg":1,"fault":"bounds"},{"va":27,"seg":1,"pa":15}]}"#;
    let (report, mismatches) = run_on(&mut ReferenceModels, odd);
    assert_eq!((report.passed, mismatches), (3, vec![]));
}

#[test]
fn what_the_format_does_not_know_is_refused_with_line_and_path() {
    for (record, from, to, path) in [
        (RELOCATION, "338", "-1", "limit"),
        (RELOCATION, "\"psize\":16384", "\"psize\":0", "psize"),
        (RELOCATION, "\"va\":666", "\"va\":1024", "trace[0].va"),
        (RELOCATION, "\"bounds\"", "\"invalid\"", "trace[0].fault"),
        (RELOCATION, ",\"pa\":2545", "", "trace[1]"),
        (RELOCATION, "2545", "\"0x9f1\"", "trace[1].pa"),
        (RELOCATION, "\"id\":7,", "", "id"),
        (RELOCATION, "\"sim\":\"relocation\"", "\"sim\":\"buddy\"", "sim"),
        (SEGMENTATION, "\"up\"", "\"down\"", "seg[0].grows"),
        (SEGMENTATION, "\"base\":512,\"limit\":20", "\"base\":512,\"limit\":65", "seg[1].limit"),
        (SEGMENTATION, "\"seg\":0", "\"seg\":1", "trace[0].seg"),
        (LINEAR, "\"page\":8", "\"page\":6", "page"),
        (LINEAR, "\"asize\":32", "\"asize\":33", "asize"),
        (LINEAR, "2147483660,", "", "pt"),
        (LINEAR, "2147483660", "4294967296", "pt[0]"),
        (LINEAR, "\"vpn\":3", "\"vpn\":4", "trace[2].vpn"),
        (LINEAR, "\"pt\"", "\"table\"", "the line"),
    ] {
        let complaint = complaint(record, from, to);
        let expected = format!("test.jsonl:1: {path}: expected ");
        assert!(complaint.starts_with(&expected), "{to}: {complaint}");
    }
}

#[test]
fn a_multilevel_record_is_whole() {
    for (from, to, path) in [
        ("\"pdbr\":1", "\"pdbr\":128", "pdbr"),
        ("\"page\":32", "\"page\":64", "page"),
        ("7f7f", "7f7g", "mem"),
        ("7f7f", "7f", "mem"),
        ("\"pde\":130", "\"pde\":131", "trace[0].pde_pfn"),
        ("\"pte_valid\":1", "\"pte_valid\":0", "trace[0].pte_valid"),
        ("\"pte_index\":3", "\"pte_index\":32", "trace[0].pte_index"),
        (",\"value\":42", "", "trace[0].value"),
    ] {
        let complaint = complaint(&multilevel(), from, to);
        let expected = format!("test.jsonl:1: {path}: expected ");
        assert!(complaint.starts_with(&expected), "{to}: {complaint}");
    }
}

#[test]
fn other_textbook_files_are_refused_with_what_is_supported() {
    let translating = "a machine that translates (linear, multilevel, relocation or segmentation) or a memory \
                       manager (malloc, kr_nextfit, firstfit_embedded or buddy)";
    assert_eq!(
        complaint(RELOCATION, "\"relocation\"", "\"policy\""),
        format!("test.jsonl:1: sim: expected {translating}, found \"policy\"")
    );
    let bare = complaint(r#"{"id":0,"policy":"FIFO","refs":[1]}"#, "1", "2");
    for field in ["page and pt", "pdbr, mem", "base, limit", "seg", "format"] {
        assert!(bare.contains(field), "{bare}");
    }
}

#[test]
fn a_file_is_of_the_kind_of_its_first_line() -> Result<(), VectorError> {
    let vector = concat!(
        r#"{"id": "bare-0", "oracle": "by hand", "format": "riscv-sv39", "mem": [], "ops": [],"#,
        r#" "regs": {"satp": "0x0", "mstatus": "0x0", "menvcfg": "0x0", "isa": "rv64gc"},"#,
        r#" "mem_after": []}"#,
    );
    let open = |text: &'static str| VectorFile::new("test.jsonl", text.as_bytes());
    assert!(matches!(open(RELOCATION)?, VectorFile::Textbook(_)));
    assert!(matches!(open(vector)?, VectorFile::Translation(_)));
    let run = |text: String| {
        VectorFile::new("test.jsonl", text.as_bytes())?.run(&mut ReferenceModels, &mut |_| ())
    };
    assert_eq!(run(all())?.passed, 12);
    assert_eq!(run(format!("\n{vector}\n"))?, Report::default());
    let error = run(format!("{vector}\n{RELOCATION}")).map_err(|error| error.to_string());
    assert_eq!(error, Err("test.jsonl:2: format: expected a value, found nothing".to_owned()));
    let error = run(format!("\n{RELOCATION}\n{vector}")).map_err(|error| error.to_string());
    assert!(error.is_err_and(|error| error.starts_with("test.jsonl:3: the line: expected")));
    Ok(())
}

#[test]
fn a_file_that_begins_with_no_json_is_an_error_of_its_first_line() {
    let error = VectorFile::new("test.jsonl", "\nnothing".as_bytes()).map(drop);
    let error = error.map_err(|error| error.to_string());
    assert!(error.is_err_and(|error| error.starts_with("test.jsonl:2: not JSON")));
}

#[test]
fn a_subject_skips_the_steps_of_what_it_does_not_take() {
    struct Picky;
    impl Subject for Picky {
        fn takes(&self, machine: &Machine) -> bool {
            matches!(machine, Machine::Relocation { .. })
        }
        fn load(&mut self, machine: &Machine, va: VirtAddr) -> Answer {
            ReferenceModels.load(machine, va)
        }
    }
    let (report, _) = run_on(&mut Picky, &all());
    assert_eq!(report.to_string(), "2 passed, 0 failed, 10 skipped");
}

#[test]
fn reference_models_pass_every_textbook_file() -> Result<(), VectorError> {
    let names = ["linear_paging", "multilevel_paging", "relocation", "segmentation"];
    for file in names.into_iter().flat_map(|name| vector_files_named("textbook", name)) {
        let name = file.path.display();
        let report = VectorFile::open(&file.path)?
            .run(&mut ReferenceModels, &mut |mismatch| println!("{mismatch}"))?;
        println!("{name}: {report}");
        assert!(report.passed > 0 && report.failed == 0 && report.skipped == 0, "{name}: {report}");
    }
    Ok(())
}

/// All records with bytes changed.
fn damaged(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = all().into_bytes();
    let len = bytes.len();
    changes.iter().for_each(|(place, byte)| bytes[place % len] = *byte);
    bytes
}

quickcheck! {
    fn a_damaged_record_is_an_error_or_runs_without_panic(changes: Vec<(usize, u8)>) -> bool {
        let bytes = damaged(&changes);
        let records = Reader::new("damaged", bytes.as_slice()).into_iter().flatten().flatten();
        records.fold(true, |ran, record| {
            let report = check(&record, &mut ReferenceModels, &mut |_| ());
            ran && report.passed + report.failed == record.trace.len() as u64
        })
    }
}
