//! Programs that hold an image while a test looks.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program that holds something until it is dropped.
#[derive(Debug)]
pub struct Holder(Child);

impl Holder {
    /// Runs a line of shell with the path as `$1`; it says when it has what it is to hold, and
    /// then waits for its standard input to end.
    pub fn new(line: &str, path: &Path) -> Self {
        let mut child = Command::new("bash")
            .args(["-c", &format!("{line}; echo ready; read -r _"), "holder"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
