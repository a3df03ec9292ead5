//! Places for the boxes and arrows of a graph: within each row an order in which few arrows cross, and then places
//! near those of the boxes that arrows lead to (after Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of
//! Hierarchical System Structures", 1981).

use super::graph::{Arrow, Graph};
use std::collections::BTreeMap;

/// The space between neighbours in a row.
const GAP: f64 = 22.0;
/// The width of an arrow that passes a row.
const PASSING: f64 = 10.0;
/// The number of times that all rows are put into a better order.
const SWEEPS: usize = 24;

/// A box, or the place where an arrow passes a row.
pub(crate) struct Item {
    pub(crate) row: usize,
    pub(crate) width: f64,
    /// The middle, horizontally.
    pub(crate) x: f64,
    is_box: bool,
    above: Vec<usize>,
    below: Vec<usize>,
}

impl Item {
    /// Returns true if an arrow passes a row here.
    pub(crate) fn passes(&self) -> bool {
        !self.is_box
    }
}

/// All places.
pub(crate) struct Layout {
    pub(crate) items: Vec<Item>,
    /// The items of the boxes, by name.
    pub(crate) boxes: BTreeMap<String, usize>,
    /// For each arrow of the graph, the items that it visits.
    pub(crate) paths: Vec<Vec<usize>>,
    rows: Vec<Vec<usize>>,
}

impl Layout {
    /// Finds places. `width` returns the width of a box, and `label_width` that of the text beside an arrow.
    pub(crate) fn new(
        graph: &Graph,
        width: impl Fn(&super::graph::Box) -> f64,
        label_width: impl Fn(&str) -> f64,
    ) -> Self {
        let rows = vec![Vec::new(); graph.rows.len()];
        let (items, boxes, paths) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut layout = Self { items, boxes, paths, rows };
        for (number, row) in graph.rows.iter().enumerate() {
            for found in &row.boxes {
                let item = layout.add(number, width(found), true);
                layout.boxes.insert(found.name.clone(), item);
            }
        }
        for arrow in &graph.arrows {
            let path = layout.path(arrow, label_width(&arrow.label));
            layout.paths.push(path);
        }
        layout.order();
        layout.place();
        layout
    }

    /// The left and the right end of everything.
    pub(crate) fn extent(&self) -> (f64, f64) {
        let left = self.items.iter().map(|item| item.x - item.width / 2.0);
        let right = self.items.iter().map(|item| item.x + item.width / 2.0);
        (left.fold(f64::INFINITY, f64::min), right.fold(f64::NEG_INFINITY, f64::max))
    }

    fn add(&mut self, row: usize, width: f64, is_box: bool) -> usize {
        let item = self.items.len();
        let (above, below) = (Vec::new(), Vec::new());
        self.items.push(Item { row, width, x: 0.0, is_box, above, below });
        self.rows[row].push(item);
        item
    }

    /// Adds an item for each row that the arrow passes. The first of them has room for the label.
    fn path(&mut self, arrow: &Arrow, label: f64) -> Vec<usize> {
        let (from, to) = (self.boxes[&arrow.from], self.boxes[&arrow.to]);
        let (first, last) = (self.items[from].row, self.items[to].row);
        let mut path = vec![from];
        let width = |row| if row == first + 1 { label.max(PASSING) } else { PASSING };
        path.extend((first + 1..last).map(|row| self.add(row, width(row), false)));
        path.push(to);
        if first != last {
            for pair in path.windows(2) {
                self.items[pair[0]].below.push(pair[1]);
                self.items[pair[1]].above.push(pair[0]);
            }
        }
        path
    }

    /// Orders each row by its neighbours above, then below, and so on; keeps the order with the fewest crossings.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.rows.clone());
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            let rows: Vec<_> = (0..self.rows.len()).collect();
            let rows: Vec<_> = if down { rows } else { rows.into_iter().rev().collect() };
            rows.into_iter().for_each(|row| self.order_row(row, down));
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.rows.clone());
            }
        }
        self.rows = best.1;
    }

    fn order_row(&mut self, row: usize, down: bool) {
        let ranks = self.ranks();
        let key = |item: usize| {
            let neighbours = if down { &self.items[item].above } else { &self.items[item].below };
            mean(neighbours.iter().map(|&next| ranks[next])).unwrap_or(ranks[item])
        };
        let mut ordered: Vec<_> = self.rows[row].iter().map(|&item| (key(item), item)).collect();
        ordered.sort_by(|one, other| one.0.total_cmp(&other.0));
        self.rows[row] = ordered.into_iter().map(|(_, item)| item).collect();
    }

    /// The place of each item in its row, from 0 to 1.
    fn ranks(&self) -> Vec<f64> {
        let mut ranks = vec![0.0; self.items.len()];
        for row in &self.rows {
            let step = 1.0 / row.iter().map(|_| 1.0).sum::<f64>();
            let mut rank = step / 2.0;
            for &item in row {
                ranks[item] = rank;
                rank += step;
            }
        }
        ranks
    }

    /// Counts the pairs of arrows that cross between two rows.
    fn crossings(&self) -> usize {
        let ranks = self.ranks();
        let mut crossings = 0;
        for row in &self.rows {
            let below = |&item: &usize| self.items[item].below.iter().map(move |&to| (item, to));
            let lines: Vec<_> = row.iter().flat_map(below).collect();
            for (at, one) in lines.iter().enumerate() {
                let crosses = |other: &&(usize, usize)| {
                    (ranks[one.0] - ranks[other.0]) * (ranks[one.1] - ranks[other.1]) < 0.0
                };
                crossings += lines[..at].iter().filter(crosses).count();
            }
        }
        crossings
    }

    /// Moves every item near its neighbours, and keeps neighbours in a row apart.
    fn place(&mut self) {
        for row in 0..self.rows.len() {
            self.place_row(row);
        }
        for _ in 0..SWEEPS {
            (0..self.rows.len()).for_each(|row| self.place_row(row));
            (0..self.rows.len()).rev().for_each(|row| self.place_row(row));
        }
    }

    fn place_row(&mut self, row: usize) {
        let row = self.rows[row].clone();
        let wanted: Vec<_> = row.iter().map(|&item| self.wanted(item)).collect();
        let apart: Vec<_> = row.windows(2).map(|pair| self.apart(pair[0], pair[1])).collect();
        let right = spread(&wanted, &apart);
        let mirrored: Vec<_> = wanted.iter().rev().map(|x| -x).collect();
        let left = spread(&mirrored, &apart.iter().rev().copied().collect::<Vec<_>>());
        for (at, &item) in row.iter().enumerate() {
            // Both keep items apart, so that the middle of the two does as well.
            self.items[item].x = f64::midpoint(right[at], -left[row.len() - 1 - at]);
        }
    }

    fn wanted(&self, item: usize) -> f64 {
        let Item { above, below, x, .. } = &self.items[item];
        // An arrow that passes several rows counts thrice, so that it is nearly straight.
        let neighbours = above.iter().chain(below).flat_map(|&next| {
            let passes = [item, next].iter().all(|&item| self.items[item].passes());
            std::iter::repeat_n(self.items[next].x, if passes { 3 } else { 1 })
        });
        mean(neighbours).unwrap_or(*x)
    }

    /// The distance between the middles of two neighbours.
    fn apart(&self, left: usize, right: usize) -> f64 {
        f64::midpoint(self.items[left].width, self.items[right].width) + GAP
    }
}

/// Moves each number up as far as it must be `apart` from the one before.
fn spread(wanted: &[f64], apart: &[f64]) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(wanted.len());
    for (at, &wanted) in wanted.iter().enumerate() {
        let least = at.checked_sub(1).map(|before| places[before] + apart[before]);
        places.push(least.map_or(wanted, |least| wanted.max(least)));
    }
    places
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0.0), |(sum, count), number| (sum + number, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> Layout {
        Layout::new(&Graph::parse(text).unwrap(), |_| 100.0, |_| 0.0)
    }

    #[test]
    fn arrows_that_need_not_cross_do_not() {
        let layout = layout("row:\na | A\nb | B\nrow:\nc | C\nd | D\na -> d\nb -> c\n");
        assert_eq!(layout.crossings(), 0);
    }

    #[test]
    fn boxes_of_one_row_do_not_overlap() {
        let layout = layout("row:\na | A\nrow:\nb | B\nc | C\nd | D\na -> b\na -> c\na -> d\n");
        let mut middles: Vec<_> =
            ["b", "c", "d"].map(|name| layout.items[layout.boxes[name]].x).into();
        middles.sort_by(f64::total_cmp);
        assert!(middles.windows(2).all(|pair| pair[1] - pair[0] > 121.0), "{middles:?}");
    }

    #[test]
    fn a_long_arrow_visits_each_row_that_it_passes() {
        let layout = layout("row:\na | A\nrow:\nb | B\nrow:\nc | C\na -> c\n");
        let rows: Vec<_> = layout.paths[0].iter().map(|&item| layout.items[item].row).collect();
        assert_eq!(rows, [0, 1, 2]);
    }
}
