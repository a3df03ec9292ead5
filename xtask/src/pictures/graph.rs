//! A picture as rows of boxes with arrows between them, and the text that describes one.

/// Boxes in rows, and arrows from a row to the same row or to one further down.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) arrows: Vec<Arrow>,
}

/// A row of boxes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// The text at the left end of the row; may be empty.
    pub(crate) label: String,
    pub(crate) boxes: Vec<Box>,
}

/// A box with two lines of text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Box {
    /// The name by which arrows mean the box.
    pub(crate) name: String,
    pub(crate) title: String,
    /// The second line; may be empty.
    pub(crate) note: String,
}

/// An arrow from one box to another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
    /// The text beside the arrow; may be empty.
    pub(crate) label: String,
}

impl Graph {
    /// Reads a text of these lines:
    ///
    /// | line | meaning |
    /// |---|---|
    /// | `title: TEXT` | the title |
    /// | `row: LABEL` | begins a row; the label may be empty |
    /// | `NAME \| TITLE \| NOTE` | a box of the row |
    /// | `NAME -> NAME: LABEL` | an arrow; the label may be left out |
    /// | `# …` | a comment |
    ///
    /// An error is a line number and a problem.
    pub(crate) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut graph = Self::default();
        for (line, text) in (1..).zip(text.lines()) {
            graph.add(text.trim()).map_err(|problem| (line, problem))?;
        }
        Ok(graph)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            Ok(())
        } else if let Some(title) = line.strip_prefix("title:") {
            self.title = title.trim().to_owned();
            Ok(())
        } else if let Some(label) = line.strip_prefix("row:") {
            self.rows.push(Row { label: label.trim().to_owned(), boxes: Vec::new() });
            Ok(())
        } else if let Some((from, to)) = line.split_once("->") {
            self.add_arrow(from.trim(), to)
        } else {
            self.add_box(line)
        }
    }

    fn add_arrow(&mut self, from: &str, to: &str) -> Result<(), String> {
        let (to, label) = to.split_once(':').unwrap_or((to, ""));
        let (to, label) = (to.trim(), label.trim().to_owned());
        let row = |name: &str| {
            self.row_of(name).ok_or_else(|| format!("no box is called {name:?} above this line"))
        };
        if row(from)? > row(to)? {
            return Err(format!("{to:?} is above {from:?} (expected an arrow down or sideways)"));
        }
        self.arrows.push(Arrow { from: from.to_owned(), to: to.to_owned(), label });
        Ok(())
    }

    fn add_box(&mut self, line: &str) -> Result<(), String> {
        let mut parts = line.split('|').map(|part| part.trim().to_owned());
        let (Some(name), Some(title)) = (parts.next(), parts.next()) else {
            return Err("expected NAME | TITLE | NOTE".to_owned());
        };
        if self.row_of(&name).is_some() {
            return Err(format!("two boxes are called {name:?}"));
        }
        let row = self.rows.last_mut().ok_or("expected `row:` before the first box")?;
        row.boxes.push(Box { name, title, note: parts.next().unwrap_or_default() });
        Ok(())
    }

    /// Returns the number of the row that holds the box.
    pub(crate) fn row_of(&self, name: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.boxes.iter().any(|found| found.name == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_line_by_line() {
        let graph = Graph::parse("title: T\n# x\nrow: R\na | A | n\nrow:\nb | B\na -> b: l\n");
        let graph = graph.unwrap();
        assert_eq!((graph.title.as_str(), graph.rows.len()), ("T", 2));
        assert_eq!(
            (graph.row_of("a"), graph.row_of("b"), graph.row_of("c")),
            (Some(0), Some(1), None)
        );
        assert_eq!(graph.arrows[0].label, "l");
    }

    #[test]
    fn a_wrong_line_is_named() {
        let wrong = |text| Graph::parse(text).unwrap_err();
        assert_eq!(wrong("row:\nx"), (2, "expected NAME | TITLE | NOTE".to_owned()));
        assert_eq!(wrong("a | A").1, "expected `row:` before the first box");
        assert_eq!(wrong("row:\na | A\na | B").1, "two boxes are called \"a\"");
        assert_eq!(wrong("row:\na | A\na -> b").1, "no box is called \"b\" above this line");
        let up = wrong("row:\na | A\nrow:\nb | B\nb -> a").1;
        assert_eq!(up, "\"a\" is above \"b\" (expected an arrow down or sideways)");
    }
}
