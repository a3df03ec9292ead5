//! The parts that the help texts of all commands have in common.

use crate::number;

/// Returns the end of a command's help: examples, which a test runs as they are typed.
pub(crate) fn examples(lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| format!("  {line}")).collect();
    format!("Examples:\n{}", lines.join("\n"))
}

/// Returns the end of the help of a command that takes numbers.
pub(crate) fn examples_and_numbers(lines: &[&str]) -> String {
    format!("{}\n\n{}", examples(lines), number::NOTE)
}
