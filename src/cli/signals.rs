//! SIGINT, SIGTERM and SIGHUP end a conversion and leave nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use anyhow::Context;
use ploopconv::sink::Partials;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

/// How long the orderly way out may take (a system call that does not return, a target that
/// hangs) before the partial file is removed and the program ends at once.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the signal thread and the command share.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    signal: AtomicI32,
    partials: Arc<Partials>,
}

/// Listens for signals as long as the program runs.
#[derive(Debug)]
pub(crate) struct Guard {
    shared: Arc<Shared>,
}

/// The program was told to end.
#[derive(Debug, thiserror::Error)]
#[error("stopped by {}, {fate}", name(*.signal))]
pub(crate) struct Interrupted {
    signal: i32,
    /// What became of what was being made.
    fate: &'static str,
}

impl Interrupted {
    /// The exit status for it: 128 and the number of the signal, as a shell would say.
    pub(crate) fn status(&self) -> u8 {
        status(self.signal)
    }

    /// The end of something that leaves nothing behind.
    pub(crate) fn by(signal: i32) -> Self {
        let fate = "nothing was left behind";
        Self { signal, fate }
    }

    /// The same, where something other than nothing is left.
    pub(crate) fn leaving(self, fate: &'static str) -> Self {
        Self { fate, ..self }
    }
}

impl Guard {
    /// Starts to listen. The first signal asks the command to stop; a second one, or a command
    /// that does not stop in time, ends the program on the spot.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::start_with(|| {})
    }

    /// As [`Guard::start`], and calls `on_first` when the first signal has come: for a command
    /// that waits for something else.
    pub(crate) fn start_with(on_first: impl Fn() + Send + 'static) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        // Without a handler a limit on file sizes kills the program; with one, writing fails.
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))
            .context("listening for signals")?;
        let wanted = [SIGINT, SIGTERM, SIGHUP];
        let mut signals = Signals::new(wanted.into_iter().filter(|&signal| !is_ignored(signal)))
            .context("listening for signals")?;
        let seen = Arc::clone(&shared);
        let listen = move || {
            for signal in signals.forever() {
                if seen.signal.swap(signal, Ordering::SeqCst) != 0 {
                    seen.leave_now();
                }
                seen.stop.store(true, Ordering::SeqCst);
                on_first();
                let waits = Arc::clone(&seen);
                let wait = move || {
                    std::thread::sleep(PATIENCE);
                    waits.leave_now();
                };
                // Without a thread to wait, a second signal is still heard.
                let _ = std::thread::Builder::new().spawn(wait);
                // Last, because it waits for a file that is just being made or named.
                seen.partials.stop();
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(listen)
            .context("starting a thread")?;
        Ok(Self { shared })
    }

    /// Set once a signal has come.
    pub(crate) fn stop(&self) -> &AtomicBool {
        &self.shared.stop
    }

    /// Knows the files that have to go if the program ends on the spot.
    pub(crate) fn partials(&self) -> &Arc<Partials> {
        &self.shared.partials
    }

    /// The signal that came, as an error.
    pub(crate) fn interrupted(&self) -> Option<Interrupted> {
        let signal = self.shared.signal.load(Ordering::SeqCst);
        (signal != 0).then(|| Interrupted::by(signal))
    }
}

impl Shared {
    /// For a command that hangs in a system call that does not return.
    fn leave_now(&self) {
        // A target that has its name is not taken back: the little that is left is waited for.
        if self.partials.abandon() {
            std::process::exit(i32::from(status(self.signal.load(Ordering::SeqCst))));
        }
    }
}

/// Has this process told to end when the one that started it does, however that ends.
pub(crate) fn end_with_parent() -> anyhow::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::SIGTERM).context("asking for a signal")
}

/// Whether the caller of the program (nohup, a shell's background job) wants a signal ignored.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

fn status(signal: i32) -> u8 {
    u8::try_from(128 + signal).expect("signals are numbered up to 64")
}

fn name(signal: i32) -> &'static str {
    signal_hook::low_level::signal_name(signal).unwrap_or("a signal")
}
