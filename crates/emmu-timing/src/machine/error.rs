//! Errors in machine descriptions, with their places.

use std::fmt;
use thiserror::Error;

/// A place in a text. Lines and columns count from 1, as in editors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name given with the text: a path, or the name of a preset.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Place {
    /// Makes the place of the byte at `offset` of `text`.
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

/// The reason why a machine description was refused. It names the first problem found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The text is not TOML.
    #[error("{place}: not TOML: {problem}")]
    Syntax {
        /// The place.
        place: Place,
        /// The message of the TOML parser.
        problem: String,
    },
    /// A key is missing, unknown, of the wrong type or out of range.
    #[error("{place}: {key}: {problem} (expected {expected})")]
    Key {
        /// The place of the value, of an unknown key, or of the table that lacks the key.
        place: Place,
        /// The full path of the key, such as `tlb.l1.data[0].sets`.
        key: String,
        /// The problem with the key or value.
        problem: String,
        /// The keys or values that would be right.
        expected: String,
    },
    /// Two replacement policies have the same name, so that a description could mean either.
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
        /// The names of all presets.
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
