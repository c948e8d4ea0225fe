//! A virtual machine with a kernel that has what this machine's may not have; see `tests/vm`.

use super::guide::Guide;
use super::{program, repository};
use std::path::Path;
use std::process::{Command, Output};

/// One run of a script in a guest.
#[derive(Debug)]
pub struct Vm {
    command: Command,
}

impl Vm {
    /// A guest with the built program, and the kernel of a Debian release: this machine's, where
    /// none is named. What it is made of is kept below `temporary`, cargo's folder for tests.
    pub fn new(temporary: &str, suite: Option<&str>) -> Self {
        let mut command = Command::new(repository("tests/vm"));
        command.arg("--cache").arg(Path::new(temporary).join("vm"));
        if let Some(suite) = suite {
            command.args(["--suite", suite]);
        }
        Self { command }.with_the_program()
    }

    fn with_the_program(mut self) -> Self {
        self.command.arg("--binary").arg(program::path());
        self
    }

    /// Gives the guest what an option of `tests/vm` says, several times.
    pub fn with(mut self, option: &str, values: &[&str]) -> Self {
        for value in values {
            self.command.args([option, value]);
        }
        self
    }

    /// Puts a file or folder into the guest's memory.
    pub fn file(self, host: &Path, guest: &str) -> Self {
        let file = format!("{}:{guest}", host.display());
        self.with("--file", &[&file])
    }

    /// Runs a script of `tests/` in the guest, and fails with everything that was said where it
    /// does.
    #[track_caller]
    pub fn run(self, script: &str, args: &[&str]) -> String {
        let output = self.output(&repository("tests").join(script), args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "in the guest: {}\n{text}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Runs a page of the documentation in the guest, after other commands, and compares what it
    /// prints.
    #[track_caller]
    pub fn run_guide(self, guide: &Guide, before: &str) {
        let script = tempfile::NamedTempFile::new().unwrap();
        // Programs print otherwise on a terminal, which the serial line is.
        let text = format!(
            "#!/bin/sh\nexec 3>&1 >/tmp/printed; trap 'cat /tmp/printed >&3' EXIT\n{}",
            guide.script(before)
        );
        std::fs::write(script.path(), text).unwrap();
        let output = self.output(script.path(), &[]);
        let status = output.status.code().unwrap_or(125);
        assert!(status < 124, "{}", String::from_utf8_lossy(&output.stderr));
        guide.compare(&String::from_utf8_lossy(&output.stdout));
    }

    fn output(mut self, script: &Path, args: &[&str]) -> Output {
        self.command
            .arg("--")
            .arg(script)
            .args(args)
            .output()
            .unwrap()
    }
}
