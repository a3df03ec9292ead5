//! Help, completions and manual pages; and that every command writes numbers and formats alike.

use crate::{LACKEY, emmu, file, refusal};
use std::{env, fs, path::Path, process::Command};

/// Every command, with the units of `emmu explain`.
const COMMANDS: [&[&str]; 15] = [
    &[],
    &["sim"],
    &["import"],
    &["export"],
    &["machines"],
    &["compare"],
    &["explain"],
    &["explain", "base-bounds"],
    &["explain", "segments"],
    &["explain", "table"],
    &["explain", "paging"],
    &["check"],
    &["heap"],
    &["completions"],
    &["man"],
];

/// A file of vectors.
pub(crate) const VECTOR: &str = r#"{"id": "bare-0", "oracle": "by hand", "format": "riscv-sv39", "regs": {"satp": "0x0", "mstatus": "0x0", "menvcfg": "0x0", "isa": "rv64gc"}, "frames": [], "mem": [], "mem_after": [], "ops": [{"access": "load", "priv": "user", "va": "0x1234", "size": 4, "expect": {"pa": "0x1234"}}]}"#;

fn help(command: &[&str]) -> String {
    let run = emmu(&[command, &["--help"]].concat());
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{command:?}");
    run.out
}

/// The examples at the end of a command's help.
fn examples(help: &str) -> Vec<&str> {
    let (_, end) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("examples in {help}"));
    end.lines().map_while(|line| line.strip_prefix("  ")).collect()
}

/// Runs a line as a shell does, in this folder, with `emmu` in the path; returns what it prints.
pub(crate) fn shell(line: &str, folder: &Path) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_emmu")).parent().unwrap().to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path))).unwrap();
    let mut command = Command::new("sh");
    let run = command.args(["-c", line]).current_dir(folder).env("PATH", path).output().unwrap();
    assert!(run.status.success(), "{line}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

#[cfg(unix)]
#[test]
fn every_example_of_every_command_runs() {
    for command in COMMANDS {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("trace.txt"), LACKEY).unwrap();
        fs::write(folder.path().join("vectors.jsonl"), VECTOR).unwrap();
        let help = help(command);
        let examples = examples(&help);
        assert!(examples.len() >= 2, "{command:?} has too few examples");
        for line in examples {
            assert!(
                line.starts_with(
                    &["emmu"].iter().chain(command).copied().collect::<Vec<_>>().join(" ")
                ),
                "{line}"
            );
            shell(line, folder.path());
        }
    }
}

#[test]
fn the_list_of_commands_is_whole() {
    let listed = |help: &str| -> Vec<String> {
        let (_, list) = help.split_once("\nCommands:\n").unwrap();
        let lines = list.lines().take_while(|line| !line.is_empty());
        let names =
            lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned));
        names.filter(|name| !name.is_empty() && name != "help").collect()
    };
    let own = |prefix: &[&str]| -> Vec<String> {
        let below = COMMANDS.iter().filter(|command| command.len() == prefix.len() + 1);
        below
            .filter(|command| command.starts_with(prefix))
            .map(|command| command[prefix.len()].to_owned())
            .collect()
    };
    assert_eq!(listed(&help(&[])), own(&[]));
    assert_eq!(listed(&help(&["explain"])), own(&["explain"]));
}

#[test]
fn help_wraps_at_the_width_of_the_terminal_and_at_100_columns() {
    let help_at = |width: &str, command: &[&str]| {
        let emmu = env!("CARGO_BIN_EXE_emmu");
        let run = Command::new(emmu).args(command).arg("--help").env("COLUMNS", width).output();
        String::from_utf8(run.unwrap().stdout).unwrap()
    };
    for command in COMMANDS {
        let widest = |width| {
            let help = help_at(width, command);
            // Usage and names of options are not wrapped.
            let words = help.lines().filter(|line| !line.trim_start().starts_with(['-', '<', 'U']));
            words.map(|line| line.chars().count()).max()
        };
        assert!(widest("60") <= Some(60), "{command:?}");
        assert!(widest("200") <= Some(100), "{command:?}");
    }
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = emmu(&["completions", shell]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        for word in ["compare", "--no-coalesce", "base-bounds"] {
            let word = if shell == "fish" { word.trim_start_matches("--") } else { word };
            assert!(run.out.contains(word), "{shell}: {word}");
        }
    }
    let message = refusal(&["completions", "tcsh"], b"");
    assert!(message.contains("'tcsh'") && message.contains("bash"), "{message}");
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let page = emmu(&["man"]);
    assert_eq!((page.code, page.err.as_str()), (Some(0), ""));
    assert!(page.out.contains(".TH emmu 1"), "{}", page.out);
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("pages");
    assert_eq!(emmu(&["man", pages.to_str().unwrap()]).code, Some(0));
    for command in COMMANDS {
        let name = [&["emmu"], command].concat().join("-");
        let page = fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        assert!(page.contains("Examples:"), "{name}");
    }
    let occupied = folder.path().join("file");
    fs::write(&occupied, "").unwrap();
    let message = refusal(&["man", occupied.to_str().unwrap()], b"");
    assert!(message.starts_with("DIR ") && message.contains("cannot be written"), "{message}");
}

#[test]
fn one_spelling_of_numbers_is_known_to_every_option() {
    for (command, options) in [
        (&["sim", "-"][..], &["--limit", "--seed"][..]),
        (&["import", "a", "b"], &["--skip", "--limit"]),
        (&["compare"], &["--accesses", "--heap", "--stack", "--space", "--disk", "--seed"]),
        (&["heap", "+1"], &["--size", "--base", "--header", "--align", "--grow"]),
    ] {
        for option in options {
            let message = refusal(&[command, &[option, "1k"]].concat(), b"");
            let expected = format!("invalid value '1k' for '{option} ");
            assert!(message.starts_with(&expected), "{message}");
            assert!(message.contains("4200, 1_000_000, 16K, 0x4000 or 0b1010"), "{message}");
        }
    }
}

#[test]
fn every_report_is_text_or_json_by_the_same_options() {
    let base_bounds = ["explain", "base-bounds", "--base", "0", "--bounds", "9", "1"];
    let (_folder, vectors) = file("vectors.jsonl", VECTOR);
    let check = ["check", vectors.to_str().unwrap()];
    let machine = ["machines", "cortex-a53"];
    let compare = ["compare", "--accesses", "9"];
    for command in [&compare[..], &["heap", "+1"], &base_bounds, &check, &["machines"], &machine] {
        let run = |options: &[&str]| emmu(&[command, options].concat()).out;
        assert_eq!(run(&["--json"]), run(&["--format", "json"]));
        assert_eq!(run(&[]), run(&["-f", "text"]));
        serde_json::from_str::<serde_json::Value>(&run(&["--json"])).unwrap();
        let message = refusal(&[command, &["--json", "--format", "text"]].concat(), b"");
        assert!(message.contains("'--json' cannot be used with '--format"), "{message}");
        let message = refusal(&[command, &["--format", "xml"]].concat(), b"");
        assert!(message.contains("'xml' for '--format") && message.contains("json"), "{message}");
    }
}

#[test]
fn what_clap_refuses_is_said_in_one_line() {
    let messages = [
        &["smi"][..],
        &["sim", "--frmat", "csv"],
        &["sim", "--format", "xml"],
        &["import", "one"],
        &["check"],
        &["heap"],
        &["heap", "+1", "--compare", "--policy", "best"],
        &["heap", "+1", "--size", "0"],
        &["machines", "a", "b"],
        &["man", "a", "b"],
        &["completions"],
        &["explain"],
        &["explain", "paging"],
    ]
    .map(|arguments| refusal(arguments, b""));
    insta::assert_snapshot!(messages.join("\n"));
}
