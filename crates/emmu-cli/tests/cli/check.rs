//! `emmu check`.

use crate::{emmu, file, refusal};

fn vector(pa: &str) -> String {
    format!(
        r#"{{"id": "bare-0", "oracle": "by hand", "format": "riscv-sv39", "regs": {{"satp": "0x0", "mstatus": "0x0", "menvcfg": "0x0", "isa": "rv64gc"}}, "frames": [], "mem": [], "mem_after": [], "ops": [{{"access": "load", "priv": "user", "va": "0x1234", "size": 4, "expect": {{"pa": "{pa}"}}}}]}}"#
    )
}

#[test]
fn vectors_that_agree_pass() {
    let (_folder, path) = file("v.jsonl", vector("0x1234"));
    for arguments in [vec!["check"], vec!["check", "--reference"]] {
        let run = emmu(&[&arguments[..], &[path.to_str().unwrap()]].concat());
        assert_eq!((run.code, run.out.as_str()), (Some(0), "1 passed, 0 failed\n"));
    }
}

#[test]
fn a_mismatch_is_printed_with_id_op_expected_and_got() {
    let (_folder, path) = file("v.jsonl", vector("0x9999"));
    let path = path.to_str().unwrap();
    let run = emmu(&["check", path]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.out,
        format!(
            "{path}: bare-0, op 0 (user load of 4 bytes at 0x1234): expected pa 0x9999, got pa 0x1234\n\
             0 passed, 1 failed\n"
        )
    );
}

#[test]
fn a_file_that_does_not_parse_is_refused_with_line_and_field() {
    let (_folder, path) =
        file("v.jsonl", vector("0x1234") + "\n" + &vector("0x1234").replace("0x1234", "1234"));
    let message = refusal(&["check", path.to_str().unwrap()], b"");
    assert!(message.contains("v.jsonl:2: "), "{message}");
    assert!(message.contains("ops[0].va: expected a lower-case hexadecimal string"), "{message}");
}
