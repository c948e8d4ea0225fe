//! How far a conversion has come: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ploopconv::copy::Progress;

use super::output::complain;
use super::size::short;

/// When to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum When {
    /// A bar on a terminal, a line now and then elsewhere
    Auto,
    /// Also for short conversions
    Always,
    /// Never
    Never,
}

/// Shows progress in one of its ways.
pub(crate) enum Display {
    Bar(ProgressBar),
    Lines(Lines),
    Nothing,
}

/// Progress for logs and pipes.
pub(crate) struct Lines {
    total: u64,
    done: AtomicU64,
    started: Instant,
    /// Time between two lines.
    every: Duration,
    next: Mutex<Instant>,
}

impl Display {
    /// Progress towards `total` bytes, shown on stderr.
    pub(crate) fn new(when: When, quiet: bool, total: u64) -> Self {
        if quiet || when == When::Never {
            return Self::Nothing;
        }
        if stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let (_, columns) = Term::stderr().size();
            let template = if columns < WIDE {
                NARROW_TEMPLATE
            } else {
                TEMPLATE
            };
            // The templates are checked by a test; a bar without one is still a bar.
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            return Self::Bar(bar);
        }
        let every = match when {
            When::Always => Duration::ZERO,
            _ => Duration::from_secs(10),
        };
        let started = Instant::now();
        Self::Lines(Lines {
            total,
            done: AtomicU64::new(0),
            started,
            every: every.max(Duration::from_secs(1)),
            next: Mutex::new(started + every),
        })
    }

    /// Takes the bar away, so that what is said next stands on a line of its own.
    pub(crate) fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

const TEMPLATE: &str =
    "{percent:>3}% [{wide_bar}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
/// What is left where a line has fewer than [`WIDE`] columns: a bar that needs two lines is none.
const NARROW_TEMPLATE: &str = "{percent:>3}% [{wide_bar}] {binary_bytes_per_sec} {eta}";
/// Room for the longest numbers and a bar of a dozen columns.
const WIDE: u16 = 70;

impl Progress for Display {
    fn advance(&self, bytes: u64) {
        match self {
            Self::Bar(bar) => bar.inc(bytes),
            Self::Lines(lines) => lines.advance(bytes),
            Self::Nothing => {}
        }
    }
}

impl Lines {
    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Whoever holds the lock is about to say it.
        let Ok(mut next) = self.next.try_lock() else {
            return;
        };
        let now = Instant::now();
        if now < *next {
            return;
        }
        *next = now + self.every;
        let seconds = now.duration_since(self.started).as_secs_f64();
        complain(&self.line(done, seconds));
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate for people"
    )]
    fn line(&self, done: u64, seconds: f64) -> String {
        let percent = u128::from(done) * 100 / u128::from(self.total.max(1));
        let rate = done as f64 / seconds.max(0.001);
        let left = self.total.saturating_sub(done) as f64 / rate.max(1.0);
        format!(
            "{percent}% ({} of {}), {}/s, {} s left",
            short(done),
            short(self.total),
            short(rate as u64),
            left as u64
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_of_the_bar_are_valid() {
        for template in [TEMPLATE, NARROW_TEMPLATE] {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let lines = Lines {
            total: 100 << 20,
            done: AtomicU64::new(0),
            started: Instant::now(),
            every: Duration::ZERO,
            next: Mutex::new(Instant::now()),
        };
        assert_eq!(
            lines.line(25 << 20, 1.0),
            "25% (25 MiB of 100 MiB), 25 MiB/s, 3 s left"
        );
    }
}
