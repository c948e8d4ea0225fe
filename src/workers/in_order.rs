//! Work that many threads do and one consumer sees in order.
//!
//! A fixed number of buffers bounds the memory: a worker takes a buffer *before* it takes the
//! number of a piece, so the lowest piece on the way always has one, and nothing waits for ever.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::Workers;
use crate::error::{Error, Result};
use crate::util::sync::{StopOthers, lock};

/// How much is under way at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnderWay {
    /// The threads that take part, at least one.
    pub(crate) threads: usize,
    /// The buffers; at least one for each thread that takes part, or it would not move.
    pub(crate) buffers: usize,
}

/// What a worker sends to the consumer.
enum Message<T> {
    /// A piece is ready, and its number.
    Ready(u64, T),
    /// A worker ended, with an error or (`None`) by a panic.
    Failed(Option<Error>),
}

impl Workers {
    /// Lets threads make pieces that are numbered from 0 without a gap, and gives them to `consume`
    /// in that order, on the calling thread.
    ///
    /// Every thread that takes part calls `start` once, and then what that gave: with a buffer, for
    /// the next piece and its number, until there are no more pieces. `consume` gives the buffer
    /// back. Ends when every thread has ended, or at the first error.
    pub(crate) fn in_order<B, T, W>(
        &self,
        under_way: UnderWay,
        start: impl Fn() -> Result<W> + Sync,
        consume: impl FnMut(T) -> Result<B>,
    ) -> Result<()>
    where
        B: Default + Send,
        T: Send,
        W: FnMut(B) -> Result<Option<(u64, T)>>,
    {
        let (give_back, free) = channel();
        let active = under_way.threads.min(self.threads()).max(1);
        for _ in 0..under_way.buffers.max(active) {
            // The receiver lives as long as this function.
            let _ = give_back.send(B::default());
        }
        let free = Mutex::new(free);
        let (sender, receiver) = channel();
        // Workers clone it when they start, and the consumer has to see when the last one is gone.
        let sender = Mutex::new(Some(sender));
        let left = AtomicUsize::new(self.threads());
        let work = || {
            let (sender, left) = {
                let mut shared = lock(&sender);
                let left = left.fetch_sub(1, Ordering::Relaxed);
                let sender = if left == 1 {
                    shared.take()
                } else {
                    shared.clone()
                };
                (sender, left)
            };
            let Some(sender) = sender.filter(|_| left <= active) else {
                return;
            };
            let panicked = StopOthers::new(|| {
                let _ = sender.send(Message::Failed(None));
            });
            let result = start().and_then(|work| make(work, &free, &sender));
            panicked.ended_well();
            if let Err(error) = result {
                let _ = sender.send(Message::Failed(Some(error)));
            }
        };
        self.beside(work, || see(receiver, give_back, consume))
    }
}

fn make<B, T>(
    mut work: impl FnMut(B) -> Result<Option<(u64, T)>>,
    free: &Mutex<Receiver<B>>,
    ready: &Sender<Message<T>>,
) -> Result<()> {
    loop {
        let buffer = lock(free).recv();
        let Ok(buffer) = buffer else {
            return Ok(()); // the consumer gave up
        };
        let Some((number, piece)) = work(buffer)? else {
            return Ok(());
        };
        if ready.send(Message::Ready(number, piece)).is_err() {
            return Ok(());
        }
    }
}

/// Ends when every worker has ended, or at the first error; then its end of the buffers is
/// dropped, which wakes every worker that waits for one.
fn see<B, T>(
    ready: Receiver<Message<T>>,
    give_back: Sender<B>,
    mut consume: impl FnMut(T) -> Result<B>,
) -> Result<()> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for message in ready {
        match message {
            Message::Ready(number, piece) => waiting.insert(number, piece),
            Message::Failed(Some(error)) => return Err(error),
            // The panic itself goes on when the pool's scope ends.
            Message::Failed(None) => return Ok(()),
        };
        while let Some(piece) = waiting.remove(&next) {
            let _ = give_back.send(consume(piece)?);
            next += 1;
        }
    }
    Ok(())
}
