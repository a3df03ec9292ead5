//! The commands that the README shows, so that CI runs what a stranger types.

use crate::{Error, markdown, workspace};
use std::path::Path;

/// Each line of the README's `console` blocks that has a prompt and starts with `cargo` or `emmu`, once, in order.
/// Others (recording a trace) need more than this repository.
pub(crate) fn commands(root: &Path) -> Result<Vec<String>, Error> {
    Ok(commands_in(&workspace::read(&root.join("README.md"))?))
}

fn commands_in(readme: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in markdown::code_blocks(readme, "console") {
        for command in block.lines().filter_map(command).filter(|command| is_ours(command)) {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
    }
    commands
}

/// Returns the command after the prompt, without the comment behind it.
fn command(line: &str) -> Option<String> {
    let typed = line.strip_prefix("$ ")?;
    Some(typed.split(" #").next().unwrap_or(typed).trim().to_owned())
}

fn is_ours(command: &str) -> bool {
    command.starts_with("cargo ") || command.starts_with("emmu ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_once_without_prompt_and_comment() {
        let readme = "```console\n$ cargo run --release   # the report\nwhat it prints\n$ valgrind ls\n\
                      $ emmu sim x.emt\n$ cargo run --release\n```\n\n```text\n$ cargo run --never\n```\n";
        assert_eq!(commands_in(readme), ["cargo run --release", "emmu sim x.emt"]);
    }
}
