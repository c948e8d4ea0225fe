//! What a server waits for.

use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::super::signals::{Interrupted, is_ignored};

/// Something that a server has to react to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Event {
    /// A signal asks for the end.
    Signal(i32),
    /// A connection to the kernel, or a mount, ended.
    Ended,
}

/// Signals and ends of connections and mounts, in the order of their coming.
#[derive(Debug)]
pub(in crate::cli) struct Events {
    heard: Receiver<Event>,
    say: Sender<Event>,
}

impl Events {
    /// Starts to listen for signals.
    pub(in crate::cli) fn listen() -> anyhow::Result<Self> {
        let wanted = [SIGINT, SIGTERM, SIGHUP];
        let mut signals = Signals::new(wanted.into_iter().filter(|&signal| !is_ignored(signal)))
            .context("listening for signals")?;
        let (say, heard) = channel();
        let to = say.clone();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    if to.send(Event::Signal(signal)).is_err() {
                        return;
                    }
                }
            })
            .context("starting a thread")?;
        Ok(Self { heard, say })
    }

    /// Where the threads that serve say that they have ended.
    pub(in crate::cli) fn sender(&self) -> Sender<Event> {
        self.say.clone()
    }

    /// Waits for the next one.
    pub(in crate::cli) fn next(&self) -> Option<Event> {
        self.heard.recv().ok()
    }

    /// Stops what is being prepared, where a signal has come.
    pub(in crate::cli) fn check(&self) -> Result<(), Interrupted> {
        match self.heard.try_recv() {
            Ok(Event::Signal(signal)) => Err(Interrupted::by(signal)),
            _ => Ok(()),
        }
    }
}
