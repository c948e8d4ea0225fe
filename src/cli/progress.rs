//! How far a conversion has come: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use console::Term;
use indicatif::style::TemplateError;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use ploopconv::observe::Progress;

use super::output::{write_message, write_to_stderr};
use ploopconv::util::size::short;

/// When to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum When {
    /// A bar on a terminal, a line now and then elsewhere
    Auto,
    /// Also for short conversions
    Always,
    /// Never
    Never,
    /// Numbers of bytes, a line each, for the process that runs a batch
    #[value(hide = true)]
    Numbers,
}

/// What stands before the bytes that are done and the bytes in all, with [`When::Numbers`].
pub(crate) const PROGRESS: &str = "progress ";

/// Shows progress in one of its ways.
pub(crate) enum Display {
    Bar(ProgressBar),
    Lines(Lines),
    Numbers(Numbers),
    Nothing,
}

/// Progress for a program.
pub(crate) struct Numbers {
    total: u64,
    done: AtomicU64,
    next: Mutex<Instant>,
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
        if stderr().is_terminal() && when != When::Numbers {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let (_, columns) = Term::stderr().size();
            let template = if columns < WIDE {
                NARROW_TEMPLATE
            } else {
                TEMPLATE
            };
            // The templates are checked by a test; a bar without one is still a bar.
            if let Ok(style) = style(template) {
                bar.set_style(style);
            }
            return Self::Bar(bar);
        }
        if when == When::Numbers {
            return Self::Numbers(Numbers {
                total,
                done: AtomicU64::new(0),
                next: Mutex::new(Instant::now()),
            });
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

const TEMPLATE: &str = "{percent:>3}% [{wide_bar}] {binary_bytes}/{binary_total_bytes} {rate}";
/// What is left where a line has fewer than [`WIDE`] columns: a bar that needs two lines is none.
const NARROW_TEMPLATE: &str = "{percent:>3}% [{wide_bar}] {rate}";
/// Room for the longest numbers and a bar of a dozen columns.
const WIDE: u16 = 70;

/// How long bytes have to be counted before a rate says something: a disk that begins with a hole
/// is many GiB "fast" at first.
const SETTLED: Duration = Duration::from_secs(2);

fn style(template: &str) -> Result<ProgressStyle, TemplateError> {
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = out.write_str(&rate(
            state.pos(),
            state.len().unwrap_or(0),
            state.elapsed(),
        ));
    };
    let style = ProgressStyle::with_template(template)?;
    Ok(style.with_key("rate", rate).progress_chars("=> "))
}

/// What stands for a rate where it is too early to say.
const NO_RATE: &str = "--.- MiB/s";

/// How fast it goes and how long it will take.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate for people"
)]
fn rate(done: u64, total: u64, elapsed: Duration) -> String {
    if elapsed < SETTLED {
        return NO_RATE.to_owned();
    }
    let rate = done as f64 / elapsed.as_secs_f64();
    let left = total.saturating_sub(done) as f64 / rate.max(1.0);
    format!("{}/s, {} s left", short(rate as u64), left as u64)
}

impl Progress for Display {
    fn advance(&self, bytes: u64) {
        match self {
            Self::Bar(bar) => bar.inc(bytes),
            Self::Lines(lines) => lines.advance(bytes),
            Self::Numbers(numbers) => numbers.advance(bytes),
            Self::Nothing => {}
        }
    }
}

impl Numbers {
    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let Ok(mut next) = self.next.try_lock() else {
            return;
        };
        if Instant::now() >= *next {
            *next = Instant::now() + Duration::from_millis(100);
            write_to_stderr(&format!("{PROGRESS}{done} {}\n", self.total));
        }
    }
}

impl Lines {
    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // The thread that holds the lock is about to print it.
        let Ok(mut next) = self.next.try_lock() else {
            return;
        };
        let now = Instant::now();
        if now < *next {
            return;
        }
        *next = now + self.every;
        write_message(&self.line(done, now.duration_since(self.started)));
    }

    fn line(&self, done: u64, elapsed: Duration) -> String {
        let percent = u128::from(done) * 100 / u128::from(self.total.max(1));
        let far = format!("{percent}% ({} of {})", short(done), short(self.total));
        match rate(done, self.total, elapsed) {
            rate if rate == NO_RATE => far,
            rate => format!("{far}, {rate}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_of_the_bar_are_valid() {
        for template in [TEMPLATE, NARROW_TEMPLATE] {
            style(template).unwrap();
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
            lines.line(50 << 20, SETTLED),
            "50% (50 MiB of 100 MiB), 25 MiB/s, 2 s left"
        );
    }

    #[test]
    fn a_short_run_has_no_rate() {
        let total = 616 << 30;
        assert_eq!(rate(total, total, Duration::from_millis(900)), NO_RATE);
        assert_eq!(rate(20, 30, SETTLED), "10 B/s, 1 s left");
    }
}
