//! What is wrong with a machine description, and where.

use std::fmt;
use thiserror::Error;

/// A place in a text, as editors count: from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name given with the text: a path, or the name of a preset.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl Place {
    /// The place of the byte at `offset` of `text`.
    pub(crate) fn new(file: &str, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a machine description was refused: one problem, the first found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MachineError {
    /// The text is not TOML.
    #[error("{place}: not TOML: {problem}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the TOML parser says.
        problem: String,
    },
    /// A key is missing, unknown, of the wrong type or out of range.
    #[error("{place}: {key}: {problem} (expected {expected})")]
    Key {
        /// Where: the value, an unknown key itself, or the table that lacks the key.
        place: Place,
        /// The whole path of the key, such as `tlb.l1.data[0].sets`.
        key: String,
        /// What is wrong with it.
        problem: String,
        /// What would be right.
        expected: String,
    },
    /// Two replacement policies have one name, by which a description could mean either.
    #[error(
        "two replacement policies are called `{name}` (expected a name each, and none that is built in)"
    )]
    PolicyName {
        /// The name.
        name: String,
    },
    /// No preset has this name.
    #[error("no machine is called `{name}` (expected one of {known})")]
    UnknownPreset {
        /// The name asked for.
        name: String,
        /// All that there are.
        known: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_columns_count_characters() {
        let text = "a = 1\nä = 2\n";
        assert_eq!(Place::new("f", text, 0).to_string(), "f:1:1");
        assert_eq!(Place::new("f", text, text.find('2').unwrap()).to_string(), "f:2:5");
    }

    #[test]
    fn a_place_past_the_end_is_the_end() {
        assert_eq!(Place::new("f", "a\n", 99).to_string(), "f:2:1");
    }
}
