//! Markers in source files, and the functions that they are about.
//!
//! A marker is a line `// spec: id, id…`. In the body of a function it is about that function, elsewhere about the
//! next function, constant or type below it. The scan goes by lines and indentation, as rustfmt leaves them.

use std::mem;

/// Steps that a line names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// From 1.
    pub(super) line: usize,
    pub(super) ids: Vec<String>,
    /// The item that follows the steps.
    pub(super) item: Item,
}

/// A function, constant or type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// With the type that it belongs to: `RiscV::decode`.
    pub(super) name: String,
    /// It has the attribute `#[test]`.
    pub(super) is_test: bool,
}

/// The markers of a file, and the lines of those that are about nothing.
pub(super) fn markers(source: &str) -> (Vec<Marker>, Vec<usize>) {
    let mut scan = Scan::default();
    for (number, line) in source.lines().enumerate() {
        scan.take(number + 1, line);
    }
    (scan.markers, scan.waiting.into_iter().map(|(line, _)| line).collect())
}

#[derive(Default)]
struct Scan {
    markers: Vec<Marker>,
    /// Markers that have not met their item yet.
    waiting: Vec<(usize, Vec<String>)>,
    /// The blocks that the line is in, outermost first.
    open: Vec<Block>,
    /// The line before was `#[test]`, or an attribute or comment below it.
    test: bool,
}

/// A block with a name: its indentation, and what it is.
struct Block {
    indent: usize,
    kind: Kind,
}

enum Kind {
    /// `impl`, `trait`, `struct` or `enum`: names within are its own.
    Type(String),
    Function(Item),
}

impl Scan {
    fn take(&mut self, number: usize, line: &str) {
        let text = line.trim();
        let indent = line.len() - line.trim_start().len();
        if let Some(ids) = text.strip_prefix("// spec:") {
            self.mark(number, ids.split(',').map(|id| id.trim().to_owned()).collect());
        } else if text == "#[test]" {
            self.test = true;
        } else if let Some(name) = type_block(text) {
            self.meet(&name);
            self.enter(indent, text, Kind::Type(name));
        } else if let Some(name) = value_name(text) {
            self.meet(name);
        } else if let Some(name) = function_name(text) {
            let item = self.item(name);
            self.meet_item(&item);
            self.enter(indent, text, Kind::Function(item));
        } else {
            self.close(indent, text);
        }
    }

    fn mark(&mut self, line: usize, ids: Vec<String>) {
        match self.function() {
            Some(item) => self.markers.push(Marker { line, ids, item: item.clone() }),
            None => self.waiting.push((line, ids)),
        }
    }

    /// The innermost function that the line is in.
    fn function(&self) -> Option<&Item> {
        self.open.iter().rev().find_map(|block| match &block.kind {
            Kind::Function(item) => Some(item),
            Kind::Type(_) => None,
        })
    }

    fn item(&mut self, name: &str) -> Item {
        let owner = self.open.iter().rev().find_map(|block| match &block.kind {
            Kind::Type(name) => Some(name),
            Kind::Function(_) => None,
        });
        let name = owner.map_or_else(|| name.to_owned(), |owner| format!("{owner}::{name}"));
        Item { name, is_test: mem::take(&mut self.test) }
    }

    /// A constant, or the header of a type. Within a function neither is what a marker is about.
    fn meet(&mut self, name: &str) {
        if self.function().is_none() && !self.waiting.is_empty() {
            let item = self.item(name);
            self.meet_item(&item);
        }
    }

    fn meet_item(&mut self, item: &Item) {
        let found = mem::take(&mut self.waiting).into_iter();
        self.markers.extend(found.map(|(line, ids)| Marker { line, ids, item: item.clone() }));
    }

    fn enter(&mut self, indent: usize, text: &str, kind: Kind) {
        if !text.ends_with('}') && !text.ends_with(';') {
            self.open.push(Block { indent, kind });
        }
    }

    /// A block ends on a brace, a declaration over several lines on a semicolon, below its first column.
    fn close(&mut self, indent: usize, text: &str) {
        if text.starts_with('}') || text.starts_with(')') && text.ends_with(';') {
            self.open.retain(|block| block.indent < indent);
        }
    }
}

/// Returns the text after visibility and the like: `fn x`, `struct X`.
fn declaration(text: &str) -> &str {
    let mut rest = text;
    for modifier in ["pub(crate) ", "pub(super) ", "pub ", "async ", "unsafe "] {
        rest = rest.strip_prefix(modifier).unwrap_or(rest);
    }
    rest.strip_prefix("const ").filter(|rest| rest.starts_with("fn ")).unwrap_or(rest)
}

fn function_name(text: &str) -> Option<&str> {
    identifier(declaration(text).strip_prefix("fn ")?)
}

fn value_name(text: &str) -> Option<&str> {
    let declared = declaration(text);
    let name = declared.strip_prefix("const ").or_else(|| declared.strip_prefix("static "));
    identifier(name?)
}

/// The type that the names in a block belong to.
fn type_block(text: &str) -> Option<String> {
    let declared = declaration(text);
    if let Some(header) = declared.strip_prefix("impl") {
        let header = after_generics(header);
        let subject = header.split_once(" for ").map_or(header, |(_, subject)| subject);
        return last_segment(subject.trim_start());
    }
    let keyword = ["struct ", "enum ", "trait ", "union "];
    let name = keyword.iter().find_map(|keyword| declared.strip_prefix(keyword))?;
    identifier(name).map(str::to_owned)
}

/// Returns the text after `<…>`, if that comes first.
fn after_generics(text: &str) -> &str {
    if !text.starts_with('<') {
        return text;
    }
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
    }
    ""
}

/// `Walk` of `crate::walk::Walk<F> {`.
fn last_segment(path: &str) -> Option<String> {
    let path = path.split(['<', ' ', '{']).next()?;
    identifier(path.rsplit("::").next()?).map(str::to_owned)
}

fn identifier(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then_some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each marker as `ids > item`, with `test` behind the names of tests.
    fn found(source: &str) -> Vec<String> {
        let (markers, _) = markers(source);
        let show = |Marker { ids, item: Item { name, is_test }, .. }: &Marker| {
            format!("{} > {name}{}", ids.join(" "), if *is_test { " test" } else { "" })
        };
        markers.iter().map(show).collect()
    }

    #[test]
    fn a_marker_in_a_body_is_about_the_function_around_it() {
        let source = "impl<F: Format> Format for crate::RiscV<F> {\n    fn decode(\n        &self,\n    ) -> u8 {\n        \
                      // spec: a, b\n        if x {\n            // spec: c\n        }\n    }\n}\n\
                      fn next() {}\n";
        assert_eq!(found(source), ["a b > RiscV::decode", "c > RiscV::decode"]);
    }

    #[test]
    fn a_marker_before_a_function_is_about_it() {
        let source = "impl Walk {\n    /// Text.\n    // spec: a\n    #[inline]\n    pub const fn start(&self) {}\n}\n\
                      // spec: b\npub(crate) fn free() -> u8 {\n    0\n}\n";
        assert_eq!(found(source), ["a > Walk::start", "b > free"]);
    }

    #[test]
    fn constants_and_types_can_be_marked_too() {
        let source = "// spec: a\nconst X: u8 = 1;\n// spec: b\npub struct Y {\n    // spec: c\n    const Z = 1;\n}\n";
        assert_eq!(found(source), ["a > X", "b > Y", "c > Y::Z"]);
    }

    #[test]
    fn a_test_is_told_by_its_attribute() {
        let source = "mod tests {\n    // spec: a\n    #[test]\n    fn it_holds() {}\n\n    // spec: b\n    fn helper() {}\n}\n";
        assert_eq!(found(source), ["a > it_holds test", "b > helper"]);
    }

    #[test]
    fn declarations_without_a_body_hold_no_markers() {
        let source = "trait T {\n    fn f(\n        a: u8,\n    ) -> u8;\n    fn g();\n}\n// spec: a\nfn h() {}\n";
        assert_eq!(found(source), ["a > h"]);
    }

    #[test]
    fn a_marker_about_nothing_is_told() {
        assert_eq!(markers("fn f() {}\n\n// spec: a\n").1, [3]);
    }
}
