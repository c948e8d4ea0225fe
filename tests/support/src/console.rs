//! Somebody at the serial console of a machine: waits for what it says, and types.

use super::guide::Guide;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A running machine whose console is its standard input and output.
#[derive(Debug)]
pub struct Console {
    machine: Child,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    /// All that was said, and how much of it somebody waited for.
    said: Vec<u8>,
    seen: usize,
}

impl Console {
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let mut machine = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keyboard = machine.stdin.take().unwrap();
        let mut output = machine.stdout.take().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buf = vec![0; 1 << 16];
            while let Ok(length @ 1..) = output.read(&mut buf) {
                if sender.send(buf[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            machine,
            keyboard,
            screen,
            said: Vec::new(),
            seen: 0,
        }
    }

    /// Waits until the machine says a text, and gives what it said up to there since the last time.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str, within: Duration) -> String {
        let end = Instant::now() + within;
        // What was looked through is not looked through again: a boot says much, piece by piece.
        let mut from = self.seen;
        loop {
            let new = &self.said[from..];
            let found = new.windows(text.len()).position(|w| w == text.as_bytes());
            if let Some(at) = found {
                let before = String::from_utf8_lossy(&self.said[self.seen..from + at]);
                let before = before.replace('\r', "");
                self.seen = from + at + text.len();
                return before;
            }
            from = from.max((self.said.len() + 1).saturating_sub(text.len()));
            let left = end.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.said.extend(bytes),
                Err(error) => panic!(
                    "{} {text:?} on the console; it says:\n{}",
                    match error {
                        RecvTimeoutError::Timeout => format!("after {within:?} there is no"),
                        RecvTimeoutError::Disconnected => "the machine ended without".to_owned(),
                    },
                    String::from_utf8_lossy(&self.said)
                ),
            }
        }
    }

    pub fn type_line(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").unwrap();
    }

    /// Logs in as soon as the machine asks for a name, makes the shell a quiet one, and gives what
    /// was said before.
    #[track_caller]
    pub fn log_in(&mut self, name: &str, password: &str, boots_within: Duration) -> String {
        let soon = Duration::from_secs(60);
        let boot = self.wait_for(" login: ", boots_within);
        self.type_line(name);
        self.wait_for("Password: ", soon);
        self.type_line(password);
        self.wait_for("# ", soon);
        // The words of the command are not yet its output.
        self.type_line("exec env PS1= PS2= sh -c 'stty -echo; echo quiet \"\"now; exec sh'");
        self.wait_for("quiet now", soon);
        boot
    }

    /// Runs the commands of a page in the shell, and compares what they print.
    #[track_caller]
    pub fn run(&mut self, guide: &Guide, within: Duration) {
        self.type_line("cat >/run/page <<'END OF THE PAGE'");
        let script = guide.script("");
        for line in script.lines() {
            self.type_line(line);
        }
        self.type_line("END OF THE PAGE");
        self.type_line("echo the \"\"page; bash /run/page </dev/null; echo the \"\"end");
        self.wait_for("the page\r\n", Duration::from_secs(60));
        let said = self.wait_for("the end", within);
        let lines = said
            .split_inclusive('\n')
            .filter(|line| !is_of_kernel(line));
        guide.compare(&lines.collect::<String>());
    }

    /// Ends the machine as a failing host does, and gives all that it said.
    pub fn kill(mut self) -> String {
        self.machine.kill().unwrap();
        self.machine.wait().unwrap();
        while let Ok(bytes) = self.screen.recv() {
            self.said.extend(bytes);
        }
        String::from_utf8_lossy(&self.said).replace('\r', "")
    }

    /// Waits until the machine is off, and fails where it did not go by itself.
    #[track_caller]
    pub fn power_off(mut self, within: Duration) {
        self.type_line("poweroff");
        let end = Instant::now() + within;
        let status = loop {
            if let Some(status) = self.machine.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "still on after {within:?}");
            std::thread::sleep(Duration::from_millis(100));
        };
        assert!(status.success(), "{status}");
    }
}

/// Whether the kernel says it, which a machine on a busy host does at any time: `[   36.506459] …`.
fn is_of_kernel(line: &str) -> bool {
    let time = line
        .strip_prefix('[')
        .and_then(|line| line.split_once("] "));
    time.is_some_and(|(time, _)| time.trim_start().parse::<f64>().is_ok())
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.machine.kill();
        let _ = self.machine.wait();
    }
}
