//! A progress bar with rate and time left, where somebody sees it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr};

/// A bar over `total` records, or a spinner if nobody knows how many there are. Nothing is drawn where
/// standard error is no terminal.
pub(crate) fn bar(total: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:40} {percent}%  {human_pos}/{human_len} records  {per_sec}  {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos} records  {per_sec}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.with_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()))
}
