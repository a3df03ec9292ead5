//! A graph as SVG. The background is opaque, so that the picture can be read on light and on dark pages.

use super::graph::{Arrow, Box, Graph};
use super::layout::{Item, Layout};
use std::fmt::Write as _;

/// The height of a box.
const HEIGHT: f64 = 40.0;
/// The distance from the top of a row to that of the next.
const PITCH: f64 = 84.0;
/// The space around everything.
const MARGIN: f64 = 16.0;
/// The space above the first row, for the title.
const TOP: f64 = 52.0;

const STYLE: &str = "\
text { font-family: system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1c2733; text-anchor: middle }\n\
.title { font-size: 16px; font-weight: 600; text-anchor: start }\n\
.row { font-size: 12px; fill: #5b6875; text-anchor: start }\n\
.box { font-size: 13px; font-weight: 600 }\n\
.note, .label { font-size: 11px; fill: #33414e }\n\
.label { paint-order: stroke; stroke: #fbfcfd; stroke-width: 4px }\n\
rect.page { fill: #fbfcfd; stroke: #c9d2da }\n\
rect.band { fill: #eef2f6 }\n\
rect.box { fill: #ffffff; stroke: #3b6ea5; stroke-width: 1.4 }\n\
path.arrow { fill: none; stroke: #7a8a99; stroke-width: 1.3; marker-end: url(#head) }\n\
#head path { fill: #7a8a99 }\n";

/// Draws the graph.
pub(crate) fn draw(graph: &Graph) -> String {
    let layout = Layout::new(graph, width, |label| text_width(label, 5.8));
    let has_labels = graph.rows.iter().any(|row| !row.label.is_empty());
    let labels = graph.rows.iter().map(|row| text_width(&row.label, 6.2)).fold(0.0, f64::max);
    let (left, right) = layout.extent();
    let shift = MARGIN * 2.0 + labels - left;
    let page = Page { shift, width: (right + shift + MARGIN * 2.0).max(320.0), has_labels };
    page.draw(graph, &layout)
}

/// The frame of a picture.
struct Page {
    /// The distance by which everything moves to the right.
    shift: f64,
    width: f64,
    has_labels: bool,
}

impl Page {
    fn draw(&self, graph: &Graph, layout: &Layout) -> String {
        let height =
            TOP + PITCH * graph.rows.iter().map(|_| 1.0).sum::<f64>() - HEIGHT + MARGIN * 2.0;
        let (width, title) = (self.width, escape(&graph.title));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n<defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
             markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M 0 0 L 8 4 L 0 8 z\"/></marker></defs>\n\
             <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"8\"/>\n\
             <text class=\"title\" x=\"{MARGIN:.0}\" y=\"28\">{title}</text>\n",
            width - 1.0,
            height - 1.0,
        );
        if self.has_labels {
            svg.extend((0..).zip(&graph.rows).map(|(row, found)| self.band(row, &found.label)));
        }
        svg.extend(
            graph
                .arrows
                .iter()
                .zip(&layout.paths)
                .map(|(arrow, path)| self.arrow(arrow, path, layout)),
        );
        for found in graph.rows.iter().flat_map(|row| &row.boxes) {
            svg += &self.place(found, &layout.items[layout.boxes[&found.name]]);
        }
        svg.extend(
            graph
                .arrows
                .iter()
                .zip(&layout.paths)
                .map(|(arrow, path)| self.label(arrow, path, layout)),
        );
        svg + "</svg>\n"
    }

    fn band(&self, row: u32, label: &str) -> String {
        let y = TOP + PITCH * f64::from(row);
        format!(
            "<rect class=\"band\" x=\"{:.0}\" y=\"{:.0}\" width=\"{:.0}\" height=\"{:.0}\" rx=\"6\"/>\n\
             <text class=\"row\" x=\"{:.0}\" y=\"{:.0}\">{}</text>\n",
            MARGIN / 2.0,
            y - 8.0,
            self.width - MARGIN,
            HEIGHT + 16.0,
            MARGIN,
            y + HEIGHT / 2.0 + 4.0,
            escape(label)
        )
    }

    fn place(&self, found: &Box, item: &Item) -> String {
        let (x, y) = (item.x + self.shift, top(item));
        let middle = if found.note.is_empty() { y + 24.5 } else { y + 17.0 };
        let mut svg = format!(
            "<rect class=\"box\" x=\"{:.0}\" y=\"{y:.0}\" width=\"{:.0}\" height=\"{HEIGHT:.0}\" rx=\"5\"/>\n\
             <text class=\"box\" x=\"{x:.0}\" y=\"{middle:.0}\">{}</text>\n",
            x - item.width / 2.0,
            item.width,
            escape(&found.title)
        );
        if !found.note.is_empty() {
            let note = escape(&found.note);
            let _ = writeln!(
                svg,
                "<text class=\"note\" x=\"{x:.0}\" y=\"{:.0}\">{note}</text>",
                y + 32.0
            );
        }
        svg
    }

    fn arrow(&self, _: &Arrow, path: &[usize], layout: &Layout) -> String {
        format!("<path class=\"arrow\" d=\"{}\"/>\n", self.curve(path, layout))
    }

    /// A curve through the items of the path; a loop at the right side if it ends in the box where it began.
    fn curve(&self, path: &[usize], layout: &Layout) -> String {
        let items: Vec<_> = path.iter().map(|&item| &layout.items[item]).collect();
        let (first, last) = (items[0], items[items.len() - 1]);
        if first.row == last.row {
            return self.sideways(first, last);
        }
        let mut curve = format!("M {:.0} {:.0}", first.x + self.shift, top(first) + HEIGHT);
        for pair in items.windows(2) {
            let (from, to) = (pair[0].x + self.shift, pair[1].x + self.shift);
            let (start, end) = (top(pair[0]) + HEIGHT, top(pair[1]));
            let (one, two) = (start + (end - start) * 0.5, end - (end - start) * 0.5);
            let _ = write!(curve, " C {from:.0} {one:.0} {to:.0} {two:.0} {to:.0} {end:.0}");
            if pair[1].row < last.row {
                let _ = write!(curve, " L {to:.0} {:.0}", end + HEIGHT);
            }
        }
        curve
    }

    fn sideways(&self, first: &Item, last: &Item) -> String {
        let y = top(first) + HEIGHT / 2.0;
        if (first.x - last.x).abs() < 1.0 {
            let x = first.x + self.shift + first.width / 2.0;
            let (up, down, out) = (y - 9.0, y + 9.0, x + 42.0);
            return format!(
                "M {x:.0} {up:.0} C {out:.0} {up:.0} {out:.0} {down:.0} {x:.0} {down:.0}"
            );
        }
        let side = if first.x < last.x { 1.0 } else { -1.0 };
        let start = first.x + self.shift + side * first.width / 2.0;
        let end = last.x + self.shift - side * last.width / 2.0;
        format!("M {start:.0} {y:.0} L {end:.0} {y:.0}")
    }

    /// The label, beside the beginning of the arrow.
    fn label(&self, arrow: &Arrow, path: &[usize], layout: &Layout) -> String {
        if arrow.label.is_empty() {
            return String::new();
        }
        let (first, second) = (&layout.items[path[0]], &layout.items[path[1]]);
        let (x, y) = if path[0] == path[1] {
            let x = first.x + first.width / 2.0 + 40.0 + text_width(&arrow.label, 5.6) / 2.0;
            (x, top(first) + HEIGHT / 2.0 + 4.0)
        } else if second.passes() {
            (second.x, top(second) + HEIGHT / 2.0 + 4.0)
        } else if first.row == second.row {
            (f64::midpoint(first.x, second.x), top(first) + HEIGHT / 2.0 - 5.0)
        } else {
            (
                f64::midpoint(first.x, second.x),
                f64::midpoint(top(first) + HEIGHT, top(second)) + 4.0,
            )
        };
        let label = escape(&arrow.label);
        format!("<text class=\"label\" x=\"{:.0}\" y=\"{y:.0}\">{label}</text>\n", x + self.shift)
    }
}

fn top(item: &Item) -> f64 {
    let row = u32::try_from(item.row).unwrap_or(u32::MAX);
    TOP + PITCH * f64::from(row)
}

/// The width of a box: that of its longer line.
fn width(found: &Box) -> f64 {
    text_width(&found.title, 8.4).max(text_width(&found.note, 5.9)) + 22.0
}

/// About the width of a text whose letters are so wide on average.
fn text_width(text: &str, letter: f64) -> f64 {
    text.chars().map(|_| letter).sum()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "title: A & B\nrow: top\na | A | n\nrow:\nb | B\na -> b: l\nb -> b: again\n";

    #[test]
    fn boxes_arrows_and_texts_are_drawn() {
        let svg = draw(&Graph::parse(TEXT).unwrap());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<rect class=\"box\"").count(), 2);
        assert_eq!(svg.matches("<path class=\"arrow\"").count(), 2);
        for text in ["A &amp; B", ">top<", ">n<", ">l<", ">again<"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_graph_is_drawn_the_same_each_time() {
        let graph = Graph::parse(TEXT).unwrap();
        assert_eq!(draw(&graph), draw(&graph));
    }
}
