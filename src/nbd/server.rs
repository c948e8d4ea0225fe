//! Takes clients and gives each of them a thread, until it is told to stop.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::connection::serve_noticing;
use super::export::Export;
use super::listener::Listener;
use super::log::{Ended, Event, Log};
use super::service::Service;
use super::stop::Stop;
use super::stream::Stream;
use crate::error::{Error, Result};
use crate::util::sync::lock;

/// The most clients at a time; the next ones wait until one leaves.
pub const MAX_CONNECTIONS: usize = 200;

/// How long a client may take to choose the export.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long clients may take for the replies that are on their way when the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// How often the server looks whether the source is still what it was, while clients are there.
const LOOK: Duration = Duration::from_secs(1);

/// A server for one export.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    shared: Arc<Shared>,
}

/// What the threads of all connections have in common.
struct Shared {
    export: Arc<Export>,
    workers: usize,
    log: Arc<dyn Log>,
    stop: Arc<Stop>,
    connections: Mutex<HashMap<u64, Connection>>,
    /// Told when a connection has ended.
    left: Condvar,
}

struct Connection {
    stream: Arc<dyn Stream>,
    /// When the client must have chosen the export; `None` once it has.
    deadline: Option<Instant>,
    /// Whether it was hung up on because it had not.
    was_late: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("export", &self.export)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Will serve `export`, with `workers` requests at a time for each client.
    #[must_use]
    pub fn new(
        listener: Listener,
        export: Arc<Export>,
        workers: usize,
        log: Arc<dyn Log>,
        stop: Arc<Stop>,
    ) -> Self {
        Self {
            listener,
            shared: Arc::new(Shared {
                export,
                workers,
                log,
                stop,
                connections: Mutex::default(),
                left: Condvar::new(),
            }),
        }
    }

    /// Serves until it is told to stop, or until the source changes. Clients get the replies
    /// that are on their way, as far as they take them within a second.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`](crate::ErrorKind::Changed) where the source changed;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the system does not let it wait for clients.
    pub fn run(self) -> Result<()> {
        let Self { listener, shared } = self;
        let ended = shared.take_clients(&listener);
        // The socket goes first, so that no new client connects.
        drop(listener);
        shared.stop.stop();
        shared.dismiss_clients();
        ended?;
        shared.export.check(shared.log.as_ref())
    }
}

impl Shared {
    fn take_clients(self: &Arc<Self>, listener: &Listener) -> Result<()> {
        let mut number = 0;
        let mut was_full = false;
        while !self.stop.is_set() && !self.export.is_spoiled() {
            let now = Instant::now();
            let (count, next_deadline) = self.hang_up_late(now);
            // Also where no client asks for anything.
            if count > 0 && !self.export.is_fit(self.log.as_ref()) {
                break;
            }
            let is_full = count >= MAX_CONNECTIONS;
            if is_full && !was_full {
                let connections = MAX_CONNECTIONS;
                self.log.event(&Event::Full { connections });
            }
            was_full = is_full;
            let until_deadline = next_deadline.map(|at| at.saturating_duration_since(now));
            let timeout = match (count, until_deadline) {
                (0, _) => None,
                (_, None) => Some(LOOK),
                (_, Some(wait)) => Some(wait.min(LOOK)),
            };
            if self.wait((!is_full).then_some(listener), timeout)? {
                number += 1;
                self.take(listener, number);
            }
        }
        Ok(())
    }

    /// Waits until a client may be there, which it says, or something else is to be looked at.
    fn wait(&self, listener: Option<&Listener>, timeout: Option<Duration>) -> Result<bool> {
        let mut fds = vec![PollFd::new(self.stop.as_fd(), PollFlags::POLLIN)];
        fds.extend(listener.map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
        let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
            // Rounded up, so that the time is over when it wakes.
            let millis = timeout.as_millis().saturating_add(1);
            PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                let doing = "waiting for";
                return Err(Error::io(doing, Path::new("clients"), error.into()));
            }
        }
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        if fds.first().is_some_and(ready) {
            self.stop.silence();
        }
        Ok(fds.get(1).is_some_and(ready))
    }

    /// Hangs up on clients that take too long to choose; says how many there are, and when the
    /// next one will be late.
    fn hang_up_late(&self, now: Instant) -> (usize, Option<Instant>) {
        let mut connections = lock(&self.connections);
        for connection in connections.values_mut() {
            if connection.deadline.is_some_and(|deadline| deadline <= now) {
                connection.deadline = None;
                connection.was_late = true;
                connection.stream.hang_up();
            }
        }
        let next = connections.values().filter_map(|it| it.deadline).min();
        (connections.len(), next)
    }

    /// Takes a client, if one is there.
    fn take(self: &Arc<Self>, listener: &Listener, number: u64) {
        let (stream, peer) = match listener.accept() {
            Ok(client) => client,
            Err(error) if is_passing(&error) => return,
            Err(error) => {
                self.log.event(&Event::NotTaken { error: &error });
                // No file descriptors, for example: that takes a moment to get better.
                std::thread::sleep(Duration::from_millis(100));
                return;
            }
        };
        self.log.event(&Event::Connected {
            connection: number,
            peer: &peer,
        });
        let connection = Connection {
            stream: Arc::clone(&stream),
            deadline: Some(Instant::now() + HANDSHAKE),
            was_late: false,
        };
        lock(&self.connections).insert(number, connection);
        let shared = Arc::clone(self);
        let started = std::thread::Builder::new()
            .name(format!("nbd {number}"))
            .spawn(move || shared.serve(stream.as_ref(), number));
        if let Err(error) = started {
            lock(&self.connections).remove(&number);
            self.log.event(&Event::NotTaken { error: &error });
        }
    }

    /// The thread of a connection.
    fn serve(&self, stream: &dyn Stream, number: u64) {
        let _gone = Gone {
            shared: self,
            number,
        };
        let service = Service {
            workers: self.workers,
            connection: number,
            ..Service::new(&self.export, self.stop.flag(), self.log.as_ref())
        };
        let negotiated = || {
            if let Some(connection) = lock(&self.connections).get_mut(&number) {
                connection.deadline = None;
            }
        };
        let ended = serve_noticing(stream, &service, &negotiated);
        stream.hang_up();
        let was_late = lock(&self.connections)
            .get(&number)
            .is_some_and(|connection| connection.was_late);
        let ended = if was_late {
            Ended::HungUp("it did not choose the export within 10 seconds")
        } else {
            ended
        };
        self.log.event(&Event::Ended {
            connection: number,
            how: &ended,
        });
    }

    /// Ends all connections: gently first, then at once.
    fn dismiss_clients(&self) {
        for connection in lock(&self.connections).values() {
            connection.stream.stop_reading();
        }
        self.wait_for_leavers();
        for connection in lock(&self.connections).values() {
            connection.stream.hang_up();
        }
        // Who is still there waits for a disk that does not answer.
        self.wait_for_leavers();
    }

    fn wait_for_leavers(&self) {
        let connections = lock(&self.connections);
        let any = |connections: &mut HashMap<_, _>| !connections.is_empty();
        // Poisoned or not: the time is over, or the last one has left.
        let _ = self.left.wait_timeout_while(connections, GRACE, any);
    }
}

/// Takes a connection off the list when its thread ends, in whatever way.
struct Gone<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        lock(&self.shared.connections).remove(&self.number);
        self.shared.left.notify_all();
        self.shared.stop.ring();
    }
}

/// Whether the error is that of one client, or of none.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::ConnectionAborted | ErrorKind::Interrupted
    )
}
