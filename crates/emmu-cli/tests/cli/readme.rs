//! The README shows the output of emmu.

use crate::{emmu, without_speed};

const README: &str = include_str!("../../../../README.md");

#[test]
fn the_report_in_the_readme_is_what_emmu_prints() {
    let shown = README.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let run = emmu(&[]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(without_speed(&run.out), without_speed(shown));
}

#[test]
fn every_subcommand_in_the_readme_exists() {
    let commands = README.lines().filter_map(|line| line.strip_prefix("$ emmu "));
    let mut seen = 0;
    for command in commands {
        let name = command.split(' ').next().unwrap();
        assert_eq!(emmu(&[name, "--help"]).code, Some(0), "{name}");
        seen += 1;
    }
    assert!(seen >= 5);
}
