//! Reads in parallel and gives everything to the sink in the order of the disk.
//!
//! A fixed number of buffers bounds the memory: a worker takes a buffer *before* it takes the
//! number of a unit, so the lowest unit on the way always has one, and nothing waits for ever.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::plan::Unit;
use super::{Job, OnDrop};
use crate::error::Result;
use crate::workers::Workers;

/// Buffers for each worker: one being filled, and some waiting for their turn.
const BUFFERS_PER_WORKER: usize = 4;
/// The most buffers of all: 32 MiB.
const MAX_BUFFERS: usize = 128;

/// What a worker sends to the consumer.
enum Message {
    /// A unit is ready; the buffer holds its bytes where it is data.
    Ready(u64, Unit, Vec<u8>),
    /// A worker ended, with an error or (`None`) by a panic.
    Failed(Option<crate::Error>),
}

pub(super) fn run(job: &Job<'_>, workers: &Workers) -> Result<()> {
    let (give_back, free) = channel();
    let wanted = workers.threads() * BUFFERS_PER_WORKER;
    let buffers = wanted.min(MAX_BUFFERS).max(workers.threads());
    for _ in 0..buffers {
        // The receiver lives as long as this function.
        let _ = give_back.send(Vec::new());
    }
    let free = Mutex::new(free);
    let (sender, receiver) = channel();
    // Workers clone it when they start, and the consumer has to see when the last one is gone.
    let sender = Mutex::new(Some(sender));
    let threads_left = std::sync::atomic::AtomicUsize::new(workers.threads());
    let work = || {
        let sender = {
            let mut shared = sender.lock().unwrap_or_else(PoisonError::into_inner);
            let last = threads_left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1;
            if last { shared.take() } else { shared.clone() }
        };
        let Some(sender) = sender else { return };
        let panicked = OnDrop(|| {
            let _ = sender.send(Message::Failed(None));
        });
        let result = read_units(job, &free, &sender);
        std::mem::forget(panicked);
        if let Err(error) = result {
            let _ = sender.send(Message::Failed(Some(error)));
        }
    };
    workers.beside(work, || consume(job, receiver, give_back))
}

fn read_units(
    job: &Job<'_>,
    free: &Mutex<Receiver<Vec<u8>>>,
    ready: &Sender<Message>,
) -> Result<()> {
    loop {
        let buffer = free.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut buffer) = buffer else {
            return Ok(()); // the consumer gave up
        };
        let Some((number, unit)) = job.next_unit()? else {
            return Ok(());
        };
        if let Unit::Data { offset, len } = unit {
            job.read(&mut buffer, offset, len)?;
        }
        if ready.send(Message::Ready(number, unit, buffer)).is_err() {
            return Ok(());
        }
    }
}

/// Ends when every worker has ended, or at the first error; then its end of the buffers is
/// dropped, which wakes every worker that waits for one.
fn consume(job: &Job<'_>, ready: Receiver<Message>, give_back: Sender<Vec<u8>>) -> Result<()> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for message in ready {
        match message {
            Message::Ready(number, unit, buffer) => waiting.insert(number, (unit, buffer)),
            Message::Failed(Some(error)) => return Err(error),
            // The panic itself goes on when the pool's scope ends.
            Message::Failed(None) => return Ok(()),
        };
        while let Some((unit, buffer)) = waiting.remove(&next) {
            match unit {
                Unit::Zeros { offset, len } => job.zero(offset, len)?,
                Unit::Data { offset, .. } => job.write_run(&buffer, offset, false)?,
            }
            job.progress.advance(unit.len());
            let _ = give_back.send(buffer);
            next += 1;
        }
    }
    Ok(())
}
