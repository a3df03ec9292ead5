//! A progress bar with the rate and the time left, on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::{
    fmt::Write,
    io::{IsTerminal, stderr},
};

/// Makes a bar over `total` records, or a spinner if their number is not known. It draws nothing unless standard error
/// is a terminal.
pub(crate) fn bar(total: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{wide_bar} {percent}%  {human_pos}/{human_len} records  {rate}  {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos} records  {rate}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
    bar.with_style(style.with_key("rate", write_rate))
}

fn write_rate(state: &ProgressState, out: &mut dyn Write) {
    // Writing to the bar's own string cannot fail.
    let _ = write!(out, "{:.1} million/s", state.per_sec() / 1e6);
}
