//! Values of a JSON document that know their path, so that what is wrong with them can be told.

use serde_json::Value;
use thiserror::Error;

/// A defect of a line.
#[derive(Debug, Error)]
pub enum Problem {
    /// The file could not be opened, read or decompressed.
    #[error("cannot read: {0}")]
    Io(#[from] std::io::Error),
    /// There is nothing in the file.
    #[error("expected vectors, found an empty file")]
    Empty,
    /// The line is longer than any vector.
    #[error("the line is longer than {limit} bytes")]
    TooLong {
        /// The longest line that is read.
        limit: u64,
    },
    /// The line is not JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A field is missing or has a value that the format does not allow.
    #[error("{path}: expected {expected}, found {found}")]
    Field {
        /// Its path, such as `ops[3].expect.pa`.
        path: String,
        /// A description of the expected value.
        expected: String,
        /// The value that the line has.
        found: String,
    },
}

/// A value that is there, and its path.
pub(super) struct Field<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    /// The whole document.
    pub(super) fn document(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    /// The member `name` of an object, if it has one.
    pub(super) fn optional(&self, name: &str) -> Result<Option<Self>, Problem> {
        let Value::Object(members) = self.value else { return Err(self.refuse("an object")) };
        let path = self.path_of(name);
        Ok(members.get(name).map(|value| Self { path, value }))
    }

    /// The member `name` of an object, which must have one.
    pub(super) fn member(&self, name: &str) -> Result<Self, Problem> {
        self.optional(name)?.ok_or_else(|| Problem::Field {
            path: self.path_of(name),
            expected: "a value".to_owned(),
            found: "nothing".to_owned(),
        })
    }

    /// The items of an array.
    pub(super) fn items(&self) -> Result<Vec<Self>, Problem> {
        let Value::Array(items) = self.value else { return Err(self.refuse("an array")) };
        let item = |(number, value)| Self { path: format!("{}[{number}]", self.path), value };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The items of an array, each as `parse` reads it.
    pub(super) fn list<T>(
        &self,
        parse: impl Fn(&Self) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        self.items()?.iter().map(parse).collect()
    }

    /// A string.
    pub(super) fn text(&self) -> Result<&'a str, Problem> {
        self.value.as_str().ok_or_else(|| self.refuse("a string"))
    }

    /// A number written as a lower-case hexadecimal string.
    pub(super) fn hex(&self) -> Result<u64, Problem> {
        let expected = "a lower-case hexadecimal string of at most 64 bits";
        let digits = self.value.as_str().and_then(|text| text.strip_prefix("0x"));
        let is_hex =
            |digits: &&str| digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        digits
            .filter(is_hex)
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.refuse(expected))
    }

    /// A plain integer from `low` to `high`.
    pub(super) fn integer(&self, low: u32, high: u32) -> Result<u32, Problem> {
        let number = self.number(low.into(), high.into())?;
        // It is in range, and so is 32 bits wide.
        Ok(u32::try_from(number).unwrap_or(high))
    }

    /// A plain integer from `low` to `high`, which may be wide.
    pub(super) fn number(&self, low: u64, high: u64) -> Result<u64, Problem> {
        let number = self.value.as_u64().filter(|number| (low..=high).contains(number));
        number.ok_or_else(|| self.refuse(&format!("an integer from {low} to {high}")))
    }

    /// A plain integer, which may be negative.
    pub(super) fn signed(&self) -> Result<i64, Problem> {
        self.value.as_i64().ok_or_else(|| self.refuse("an integer"))
    }

    /// A truth value.
    pub(super) fn flag(&self) -> Result<bool, Problem> {
        self.value.as_bool().ok_or_else(|| self.refuse("true or false"))
    }

    /// Returns true if the field is `null`.
    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// The problem that something else was expected here.
    pub(super) fn refuse(&self, expected: &str) -> Problem {
        let path = if self.path.is_empty() { "the line" } else { &self.path };
        Problem::Field {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: shorten(&self.value.to_string()),
        }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// As much of a value as fits in a message.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
