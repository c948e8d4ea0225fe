//! What a server says while it runs: on stderr or, in the background, in a file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use ploopconv::fuse::FuseEvent;
use ploopconv::nbd::{Event, Log};
use ploopconv::util::sync::lock;
use ploopconv::util::text;
use ploopconv::util::time::UtcTime;

use super::super::output::write_message;

/// How large the file may become before it is put aside, and the one put aside before is removed.
const LIMIT: u64 = 1 << 20;

/// Where a server speaks.
#[derive(Debug)]
pub(in crate::cli) struct ServerLog {
    /// `None` for stderr.
    file: Mutex<Option<LogFile>>,
    trace: bool,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    /// Where it is put when it has become too long.
    old: PathBuf,
    file: File,
    len: u64,
}

impl ServerLog {
    /// Speaks on stderr.
    pub(in crate::cli) fn new(trace: bool) -> Self {
        Self {
            file: Mutex::new(None),
            trace,
        }
    }

    /// Makes an empty file to speak into later.
    pub(in crate::cli) fn create(path: &Path) -> anyhow::Result<File> {
        OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o644)
            .open(path)
            .with_context(|| format!("creating the log {}", path.display()))
    }

    /// Speaks into a file from now on.
    pub(in crate::cli) fn move_to(&self, path: &Path, file: File) {
        let mut to = lock(&self.file);
        *to = Some(LogFile {
            path: path.to_owned(),
            old: path.with_extension("log.old"),
            file,
            len: 0,
        });
    }

    /// Writes what happened to the files of a mount.
    pub(in crate::cli) fn files(&self, event: &FuseEvent<'_>) {
        self.say(&event.to_string());
    }

    /// Writes a message to the log of the server.
    pub(in crate::cli) fn say(&self, message: &str) {
        let mut file = lock(&self.file);
        match file.as_mut() {
            Some(file) => file.write(message),
            None => write_message(message),
        }
    }
}

impl LogFile {
    /// A full disk, or a file that is gone, is no reason to stop serving.
    fn write(&mut self, message: &str) {
        let line = format!("{} {}\n", utc_now(), text::safe(message));
        if self.len > LIMIT {
            let _ = std::fs::rename(&self.path, &self.old);
            if let Ok(file) = ServerLog::create(&self.path) {
                // A panic speaks there too.
                let _ = nix::unistd::dup2_stderr(&file);
                self.file = file;
                self.len = 0;
            }
        }
        if self.file.write_all(line.as_bytes()).is_ok() {
            self.len = self.len.saturating_add(line.len() as u64);
        }
    }
}

impl Log for ServerLog {
    fn event(&self, event: &Event<'_>) {
        match event {
            // The kernel comes and goes once.
            Event::Connected { .. } | Event::Ended { .. } => {}
            Event::Failed { .. } => self.say(&format!("{event}; answered as an I/O error")),
            _ => self.say(&event.to_string()),
        }
    }

    fn wants_requests(&self) -> bool {
        self.trace
    }
}

/// The time as ISO 8601 writes it, in UTC.
fn utc_now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    UtcTime::from_unix(now.map_or(0, |now| now.as_secs())).to_string()
}
