//! The second phase of a connection: requests are read by one thread at a time, and answered by
//! several, in whatever order they come to an end.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::Instant;

use super::answer::Answerer;
use super::buffer::Buffer;
use super::log::{Ended, Event};
use super::negotiation::Agreed;
use super::output::Output;
use super::service::Service;
use super::stream::{Input, Stream};
use super::wire::{Command, MAX_PAYLOAD, Request};
use crate::util::sync::{into_inner, lock};

/// A connection in its second phase.
pub(super) struct Transmission<'a> {
    service: &'a Service<'a>,
    stream: &'a dyn Stream,
    /// Held by the worker that waits for a request, and reads what a write sends.
    input: Mutex<Incoming<'a>>,
    answerer: Answerer<'a>,
    /// How many workers there are.
    workers: AtomicUsize,
    /// How many of them wait for their turn to read a request.
    waiting: AtomicUsize,
}

struct Incoming<'a> {
    input: Input<'a>,
    /// Set once no more requests are read.
    ended: Option<Ended>,
}

/// A request that was read, and what to do with it.
enum Next {
    Answer(Request),
    /// A write whose bytes are in the worker's buffer.
    Write(Request),
}

impl<'a> Transmission<'a> {
    pub(super) fn new(input: Input<'a>, service: &'a Service<'a>, agreed: Agreed) -> Self {
        let stream = input.stream();
        Self {
            service,
            stream,
            input: Mutex::new(Incoming { input, ended: None }),
            answerer: Answerer::new(service, Output::new(stream), agreed),
            workers: AtomicUsize::new(1),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Answers requests until the client leaves, and those that are still open then.
    pub(super) fn run(self) -> Ended {
        std::thread::scope(|scope| self.guarded_work(scope));
        let ended = into_inner(self.input).ended;
        ended.unwrap_or(Ended::HungUp("a mistake in ploopconv: it panicked"))
    }

    /// A worker. Whatever happens to it, the others do not wait for ever.
    fn guarded_work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        // What the disk does is caught closer to it. A panic of this code leaves the connection
        // in an unknown state: it ends.
        if catch_unwind(AssertUnwindSafe(|| self.work(scope))).is_err() {
            self.stream.hang_up();
        }
    }

    fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let mut buffer = self.answerer.buffer();
        loop {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let mut incoming = lock(&self.input);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            if incoming.ended.is_some() {
                return;
            }
            let next = self.next(&mut incoming, &mut buffer);
            match next {
                Ok(next) => {
                    drop(incoming);
                    self.call_another(scope);
                    if let Err(error) = self.answer(&next, &mut buffer) {
                        // Nothing more can be said to this client. The thread that waits for
                        // its next request is woken.
                        let mut incoming = match self.input.try_lock() {
                            Ok(incoming) => incoming,
                            Err(_) => {
                                self.stream.hang_up();
                                lock(&self.input)
                            }
                        };
                        incoming.ended.get_or_insert(Ended::from_io(error));
                        self.stream.hang_up();
                        return;
                    }
                }
                Err(ended) => {
                    incoming.ended = Some(ended);
                    return;
                }
            }
        }
    }

    /// Starts another worker, where all are busy and there may be more.
    fn call_another<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        // Only the one that has just read a request comes here: the input is its alone until the
        // next one takes it, so two at the same time are rare, and then one more is started.
        let most = self.service.workers.max(1);
        if self.waiting.load(Ordering::Relaxed) > 0 || self.workers.load(Ordering::Relaxed) >= most
        {
            return;
        }
        if self.workers.fetch_add(1, Ordering::Relaxed) >= most {
            self.workers.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let started = std::thread::Builder::new()
            .name("nbd worker".to_owned())
            .spawn_scoped(scope, move || self.guarded_work(scope));
        if started.is_err() {
            // Fewer do it too.
            self.workers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Waits for the next request. What a write sends is read here, while no other thread can.
    fn next(&self, incoming: &mut Incoming<'_>, buffer: &mut Buffer<'_>) -> Result<Next, Ended> {
        let input = &mut incoming.input;
        let mut bytes = [0; Request::SIZE];
        if !input.read_or_end(&mut bytes).map_err(Ended::from_io)? {
            return Err(if self.service.stop.load(Ordering::Relaxed) {
                Ended::Stopped
            } else {
                Ended::Closed
            });
        }
        let Some(request) = Request::parse(&bytes) else {
            return Err(Ended::HungUp("it sent something that is no request"));
        };
        match request.command {
            Command::Disconnect => Err(Ended::Disconnected),
            Command::Write if request.len > MAX_PAYLOAD => {
                // Draining 4 GiB only to refuse makes no sense.
                Err(Ended::HungUp("it announced a write of more than 32 MiB"))
            }
            Command::Write if self.answerer.takes_write(&request) => {
                let payload = buffer.prepare(request.len);
                input.read_exact(payload).map_err(Ended::from_io)?;
                Ok(Next::Write(request))
            }
            Command::Write => {
                let len = u64::from(request.len);
                input.skip(len).map_err(Ended::from_io)?;
                Ok(Next::Answer(request))
            }
            _ => Ok(Next::Answer(request)),
        }
    }

    fn answer(&self, next: &Next, buffer: &mut Buffer<'_>) -> io::Result<()> {
        let log = self.service.log;
        let started = log.wants_requests().then(Instant::now);
        let (request, error) = match next {
            Next::Answer(request) => (request, self.answerer.answer(request, buffer)?),
            Next::Write(request) => (request, self.answerer.answer_write(request, buffer)?),
        };
        buffer.tidy();
        if let Some(started) = started {
            log.event(&Event::Answered {
                connection: self.service.connection,
                request,
                error,
                took: started.elapsed(),
            });
        }
        Ok(())
    }
}
