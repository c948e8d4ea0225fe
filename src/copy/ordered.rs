//! Reads in parallel and lets one consumer see everything in the order of the disk: a sink that
//! needs it, or an observer.
//!
//! A fixed number of buffers bounds the memory: a worker takes a buffer *before* it takes the
//! number of a unit, so the lowest unit on the way always has one, and nothing waits for ever.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::plan::{UNIT, Unit};
use super::{Beforehand, Job, Observer, OnDrop};
use crate::error::Result;
use crate::workers::Workers;

/// Buffers for each worker: one being filled, and some waiting for their turn.
const BUFFERS_PER_WORKER: usize = 4;
/// The most bytes in all buffers.
const MAX_BYTES: usize = 32 << 20;

/// What a worker sends to the consumer.
enum Message {
    /// A unit is ready, and its number.
    Ready(u64, Ready),
    /// A worker ended, with an error or (`None`) by a panic.
    Failed(Option<crate::Error>),
}

/// A unit that was read.
struct Ready {
    unit: Unit,
    /// Its bytes, where it is data.
    buffer: Vec<u8>,
    /// What the observer's part that needs no order made of them.
    beforehand: Vec<u8>,
}

/// `grain` is that of the plan: a unit has at most so many bytes, or [`UNIT`].
pub(super) fn run(
    job: &Job<'_>,
    workers: &Workers,
    observer: Option<&mut dyn Observer>,
    grain: u64,
) -> Result<()> {
    let (give_back, free) = channel();
    let unit = usize::try_from(grain).unwrap_or(MAX_BYTES).max(UNIT);
    let most = (MAX_BYTES / unit).max(1);
    // Every worker that takes part needs a buffer of its own, or nobody would move.
    let active = workers
        .threads()
        .min(job.sink.max_writers())
        .min(most)
        .max(1);
    let buffers = (active * BUFFERS_PER_WORKER).min(most).max(active);
    let beforehand = observer.as_ref().and_then(|observer| observer.beforehand());
    for _ in 0..buffers {
        // The receiver lives as long as this function.
        let _ = give_back.send(Vec::new());
    }
    let free = Mutex::new(free);
    let (sender, receiver) = channel();
    // Workers clone it when they start, and the consumer has to see when the last one is gone.
    let sender = Mutex::new(Some(sender));
    let left = AtomicUsize::new(workers.threads());
    let work = || {
        let (sender, left) = {
            let mut shared = sender.lock().unwrap_or_else(PoisonError::into_inner);
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
        let panicked = OnDrop(|| {
            let _ = sender.send(Message::Failed(None));
        });
        let result = read_units(job, &free, &sender, beforehand);
        std::mem::forget(panicked);
        if let Err(error) = result {
            let _ = sender.send(Message::Failed(Some(error)));
        }
    };
    workers.beside(work, || consume(job, receiver, give_back, observer))
}

fn read_units(
    job: &Job<'_>,
    free: &Mutex<Receiver<Vec<u8>>>,
    ready: &Sender<Message>,
    beforehand: Option<Beforehand>,
) -> Result<()> {
    loop {
        let buffer = free.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut buffer) = buffer else {
            return Ok(()); // the consumer gave up
        };
        let Some((number, task)) = job.next_task()? else {
            return Ok(());
        };
        let unit = task.unit;
        let mut done = Vec::new();
        match unit {
            Unit::Data {
                offset, len, mixed, ..
            } => {
                job.read(&mut buffer, offset, len)?;
                if let Some(beforehand) = beforehand {
                    done = beforehand(&buffer);
                }
                if !job.sink.needs_order() {
                    job.write(&buffer, offset, mixed, unit.place())?;
                }
                job.was_read(&task);
            }
            Unit::Zeros { offset, len } if !job.sink.needs_order() => job.zero(offset, len)?,
            Unit::Zeros { .. } => {}
        }
        let unit = Ready {
            unit,
            buffer,
            beforehand: done,
        };
        if ready.send(Message::Ready(number, unit)).is_err() {
            return Ok(());
        }
    }
}

/// Ends when every worker has ended, or at the first error; then its end of the buffers is
/// dropped, which wakes every worker that waits for one.
fn consume(
    job: &Job<'_>,
    ready: Receiver<Message>,
    give_back: Sender<Vec<u8>>,
    mut observer: Option<&mut dyn Observer>,
) -> Result<()> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for message in ready {
        match message {
            Message::Ready(number, unit) => waiting.insert(number, unit),
            Message::Failed(Some(error)) => return Err(error),
            // The panic itself goes on when the pool's scope ends.
            Message::Failed(None) => return Ok(()),
        };
        while let Some(ready) = waiting.remove(&next) {
            let Ready {
                unit,
                buffer,
                beforehand,
            } = ready;
            if job.sink.needs_order() {
                match unit {
                    Unit::Zeros { offset, len } => job.zero(offset, len)?,
                    Unit::Data { offset, .. } => job.write_run(&buffer, offset, false, None)?,
                }
            }
            if let Some(observer) = &mut observer {
                match unit {
                    Unit::Zeros { len, .. } => observer.zeros(len),
                    Unit::Data { .. } => observer.data(&buffer, &beforehand),
                }
            }
            job.progress.advance(unit.len());
            let _ = give_back.send(buffer);
            next += 1;
        }
    }
    Ok(())
}
