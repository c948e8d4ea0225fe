//! `ploopconv serve` while it runs.

use super::{Outcome, Scratch, SourceGuard, program, running};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A server at a Unix socket in a scratch folder; killed when it goes out of scope.
#[derive(Debug)]
pub struct Served {
    child: Option<Child>,
    stdout: BufReader<ChildStdout>,
    pub socket: PathBuf,
    /// What it printed for clients.
    pub uri: String,
    /// Looks at the image once the server has ended, where it is known.
    guard: Option<SourceGuard>,
}

impl Served {
    /// Serves an image, and returns once clients can connect.
    #[track_caller]
    pub fn new(image: &Path, scratch: &Scratch) -> Self {
        Self::with(image, scratch, &[] as &[&str])
    }

    /// The same with more arguments.
    #[track_caller]
    pub fn with(image: &Path, scratch: &Scratch, args: &[impl AsRef<OsStr>]) -> Self {
        let socket = scratch.path().join("socket");
        let mut command = Command::new(program::path());
        command.arg("serve").arg(image).args(args);
        let guard = SourceGuard::quick(&scratch.source());
        let mut served = Self::start(command.arg("--socket").arg(&socket), socket);
        served.guard = Some(guard);
        served
    }

    /// For a test that changes the image itself.
    pub fn let_the_source_change(&mut self) {
        std::mem::forget(self.guard.take());
    }

    /// Starts a command line that says where it serves; the socket is none for TCP.
    #[track_caller]
    pub fn start(command: &mut Command, socket: PathBuf) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut uri = String::new();
        stdout.read_line(&mut uri).unwrap();
        if uri.is_empty() {
            let output = child.wait_with_output().unwrap();
            panic!("{command:?} did not serve: {output:?}");
        }
        Self {
            child: Some(child),
            stdout,
            socket,
            uri: uri.trim_end().to_owned(),
            guard: None,
        }
    }

    /// A number of its status in the kernel, in KiB: `VmHWM`, for example; or of threads.
    pub fn status(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child().id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.unwrap().trim_start_matches(':').split_whitespace();
        number.map(str::parse).next().unwrap().unwrap()
    }

    pub fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child().id());
        std::fs::read_dir(path).unwrap().count()
    }

    fn child(&self) -> &Child {
        self.child.as_ref().expect("it was not ended yet")
    }

    /// Sends a signal and waits for the end, which has to come soon.
    #[track_caller]
    pub fn end(self, signal: &str) -> Outcome {
        running::signal(self.child(), signal);
        self.ended()
    }

    /// Waits for an end that comes by itself.
    #[track_caller]
    pub fn ended(mut self) -> Outcome {
        let mut child = self.child.take().unwrap();
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                panic!("it does not end: {:?}", child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut output = child.wait_with_output().unwrap();
        std::io::Read::read_to_end(&mut self.stdout, &mut output.stdout).unwrap();
        Outcome::new(output, format!("serve at {}", self.uri))
    }

    /// Ends it as a user would, and asserts that it was well until then.
    #[track_caller]
    pub fn stop(self) -> Outcome {
        let socket = self.socket.clone();
        let outcome = self.end("TERM").status(143);
        assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
        assert!(!socket.exists(), "the socket was left behind");
        outcome
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
