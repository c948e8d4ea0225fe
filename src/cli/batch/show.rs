//! How far a batch has come: a bar for all and one for each disk that is being converted, or a line
//! a disk where there is no terminal.

use std::io::{IsTerminal as _, stderr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::report::{Entry, Fate};
use crate::cli::output::write_message;
use crate::cli::progress::When;

pub(super) struct Show {
    is_quiet: bool,
    /// How many disks there are, and how many are through.
    count: usize,
    through: AtomicUsize,
    bars: Option<(MultiProgress, ProgressBar)>,
}

/// A disk that is being converted.
pub(super) struct Running<'a> {
    show: &'a Show,
    bar: Option<ProgressBar>,
    /// What it counts for in the bar of all, and how much of that it has added.
    weight: u64,
    added: AtomicU64,
}

const ALL: &str = "{percent:>3}% [{wide_bar}] {prefix}";
const ONE: &str = "{percent:>3}% [{wide_bar}] {binary_bytes}/{binary_total_bytes} {prefix}";

fn style(template: &str) -> ProgressStyle {
    // The templates are checked by a test; a bar without one is still a bar.
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

impl Show {
    pub(super) fn new(when: When, is_quiet: bool, weights: &[u64]) -> Self {
        let has_bars = !is_quiet && when != When::Never && stderr().is_terminal();
        let bars = has_bars.then(|| {
            let total = weights
                .iter()
                .fold(0, |sum: u64, one| sum.saturating_add(*one));
            let bars = MultiProgress::new();
            let all = bars.add(ProgressBar::new(total).with_style(style(ALL)));
            all.set_prefix(format!("0 of {}", weights.len()));
            (bars, all)
        });
        Self {
            is_quiet,
            count: weights.len(),
            through: AtomicUsize::new(0),
            bars,
        }
    }

    pub(super) fn begin(&self, name: &str, weight: u64) -> Running<'_> {
        let bar = self.bars.as_ref().map(|(bars, _)| {
            let bar = bars.add(ProgressBar::new(1).with_style(style(ONE)));
            bar.set_prefix(name.to_owned());
            bar
        });
        Running {
            show: self,
            bar,
            weight,
            added: AtomicU64::new(0),
        }
    }

    /// Takes the bars away.
    pub(super) fn clear(&self) {
        if let Some((_, all)) = &self.bars {
            all.finish_and_clear();
        }
    }
}

impl Running<'_> {
    pub(super) fn advance(&self, done: u64, total: u64) {
        let (Some(bar), Some((_, all))) = (&self.bar, &self.show.bars) else {
            return;
        };
        bar.set_length(total);
        bar.set_position(done);
        let part = u128::from(self.weight) * u128::from(done.min(total)) / u128::from(total.max(1));
        let Ok(part) = u64::try_from(part) else {
            return;
        };
        let before = self.added.fetch_max(part, Ordering::Relaxed);
        all.inc(part.saturating_sub(before));
    }

    /// The disk is through: its line, which is said in any case where it is of a failure.
    pub(super) fn end(self, entry: &Entry) {
        let line = entry.line();
        let is_said = !self.show.is_quiet || entry.state == Fate::Failed;
        let through = self.show.through.fetch_add(1, Ordering::Relaxed) + 1;
        let count = self.show.count;
        let say = || {
            if is_said {
                write_message(&format!("{line} ({through} of {count})"));
            }
        };
        match (&self.bar, &self.show.bars) {
            (Some(bar), Some((bars, all))) => {
                bar.finish_and_clear();
                bars.remove(bar);
                all.set_prefix(format!("{through} of {count}"));
                all.inc(
                    self.weight
                        .saturating_sub(self.added.load(Ordering::Relaxed)),
                );
                bars.suspend(say);
            }
            _ => say(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_of_the_bars_are_valid() {
        for template in [ALL, ONE] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
