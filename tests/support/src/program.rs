//! Running the built program as a stranger would, and saying what it should have done.

use super::guard::SourceGuard;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

/// Where the built program is. The runner of the tests says it, and where it does not (older
/// cargo, a binary of tests that is started by hand) cargo's layout does: the binaries of tests are
/// in a folder beside the program.
pub fn path() -> PathBuf {
    if let Some(path) = std::env::var_os("CARGO_BIN_EXE_ploopconv") {
        return PathBuf::from(path);
    }
    let tests = std::env::current_exe().unwrap();
    let path = tests.ancestors().nth(2).unwrap().join("ploopconv");
    assert!(path.is_file(), "cargo did not build {}", path.display());
    path
}

/// One command line of the program.
#[derive(Clone, Debug)]
pub struct Program {
    args: Vec<OsString>,
    directory: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    input: Vec<u8>,
    timeout: Duration,
}

impl Program {
    pub fn new<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(args: I) -> Self {
        Self {
            args: Vec::new(),
            directory: None,
            environment: Vec::new(),
            input: Vec::new(),
            timeout: Duration::from_secs(120),
        }
        .args(args)
    }

    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    pub fn args<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// The program starts in this directory, and relative arguments start there.
    pub fn directory(mut self, path: impl AsRef<Path>) -> Self {
        self.directory = Some(path.as_ref().to_owned());
        self
    }

    /// The program finds this variable in its environment.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let variable = (key.as_ref().to_owned(), value.as_ref().to_owned());
        self.environment.push(variable);
        self
    }

    /// The program reads these bytes from stdin, which is empty otherwise.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// The run fails when it takes longer: for input that could make a careless reader hang.
    pub fn within(mut self, seconds: u64) -> Self {
        self.timeout = Duration::from_secs(seconds);
        self
    }

    /// Runs it. Every source of the suite that the command line names, or that the program starts
    /// in, is left alone, or the test fails: those in the `source` folder of a
    /// [`Scratch`](super::Scratch), and the fixtures.
    pub fn run(&self) -> Outcome {
        let mut command = assert_cmd::Command::new(path());
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let here = self.directory.as_deref().unwrap_or(Path::new("."));
        let _guards = guards(here, &self.args);
        let output = command
            .args(&self.args)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .write_stdin(self.input.clone())
            .timeout(self.timeout)
            .output()
            .unwrap();
        Outcome::new(output, format!("{:?}", self.args))
    }
}

/// A guard for every folder of sources that a command line names, or that it runs in.
pub fn guards(directory: &Path, args: &[OsString]) -> Vec<SourceGuard> {
    let named = args.iter().map(|arg| directory.join(arg));
    let mut folders: Vec<PathBuf> = named
        .chain([directory.to_owned()])
        .filter_map(|path| sources_around(&path.canonicalize().ok()?))
        .collect();
    folders.sort();
    folders.dedup();
    folders.iter().map(|dir| SourceGuard::quick(dir)).collect()
}

fn sources_around(path: &Path) -> Option<PathBuf> {
    let fixtures = super::repository("fixtures");
    if let Ok(rest) = path.strip_prefix(&fixtures) {
        return Some(fixtures.join(rest.iter().next()?));
    }
    let is_source = |dir: &&Path| {
        let scratch = dir.parent().and_then(|dir| dir.file_name());
        dir.file_name() == Some(OsStr::new("source"))
            && scratch.is_some_and(|name| name.to_string_lossy().starts_with("ploopconv-it-"))
    };
    path.ancestors().find(is_source).map(Path::to_owned)
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub status: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
    what: String,
}

impl Outcome {
    pub fn new(output: Output, what: String) -> Self {
        Self {
            status: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            what,
        }
    }

    /// Asserts the exit status; a run that a signal or the time limit ended has none.
    #[track_caller]
    pub fn status(self, expected: i32) -> Self {
        assert_eq!(
            self.status,
            Some(expected),
            "exit status of {}\nstderr: {}\nstdout: {}",
            self.what,
            self.stderr,
            String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(2000)])
        );
        self
    }

    /// Asserts that a complaint holds all of these texts, in any case.
    #[track_caller]
    pub fn says<I: IntoIterator<Item = A>, A: AsRef<str>>(self, parts: I) -> Self {
        let found = self.stderr.to_lowercase();
        for part in parts {
            let part = part.as_ref();
            assert!(
                found.contains(&part.to_lowercase()),
                "{part:?} is missing in: {}",
                self.stderr
            );
        }
        self
    }

    /// Asserts that stdout has a text.
    #[track_caller]
    pub fn prints(self, part: &str) -> Self {
        let out = String::from_utf8_lossy(&self.stdout);
        assert!(out.contains(part), "{part:?} is missing in: {out}");
        self
    }

    /// Asserts success without a word on stderr that a person would have to read.
    #[track_caller]
    pub fn done(self) -> Self {
        let this = self.status(0);
        assert!(
            !this.stderr.contains("warning"),
            "unexpected warning: {}",
            this.stderr
        );
        this
    }

    /// Asserts a refusal: the status, every one of the texts, the program's name in front, and
    /// nothing on stdout but, with `--json`, the report of the failure.
    #[track_caller]
    pub fn refused(self, status: i32, parts: &[&str]) -> Self {
        let this = self.status(status).says(parts);
        assert!(
            this.stderr.contains("ploopconv:"),
            "no name in front of: {}",
            this.stderr
        );
        assert!(!this.stderr.contains("panicked"), "{}", this.stderr);
        let to_stdout = this.what.contains("\"-o\", \"-\"");
        // After two dashes it is a name.
        let options = this.what.split("\"--\"").next().unwrap();
        if options.contains("\"--json\"") && !to_stdout {
            this.assert_failure_report(status);
        } else {
            assert_eq!(this.stdout, b"", "a refusal wrote to stdout");
        }
        this
    }

    /// Asserts that stdout has one report of a failure, which says what stderr says.
    #[track_caller]
    pub fn assert_failure_report(&self, status: i32) {
        let report = self.json();
        assert_eq!(report["status"], status, "{report}");
        let code = report["code"].as_str().unwrap();
        assert!(!code.is_empty() && !code.contains(' '), "{report}");
        assert_eq!(report.as_object().unwrap().len(), 4, "{report}");
        let hints = report["hints"].as_array().unwrap().iter();
        let hints = hints.map(|hint| &hint["text"]);
        for line in std::iter::once(&report["message"]).chain(hints) {
            let line = line.as_str().unwrap();
            assert!(!line.is_empty(), "{report}");
            assert!(
                self.stderr.contains(line),
                "{line:?} is not in: {}",
                self.stderr
            );
        }
    }

    /// The report on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "{} printed no JSON ({error}): {:?}\nstderr: {}",
                self.what,
                String::from_utf8_lossy(&self.stdout),
                self.stderr
            )
        })
    }

    /// The codes of the findings of a `check --json` or `info --json` report, each once, sorted.
    #[track_caller]
    pub fn codes(&self) -> Vec<String> {
        let mut codes: Vec<String> = self.json()["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect();
        codes.sort();
        codes.dedup();
        codes
    }

    /// Asserts that a report has a finding of this code and class.
    #[track_caller]
    pub fn finds(self, code: &str, class: &str) -> Self {
        let report = self.json();
        let found = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|finding| finding["code"] == code && finding["class"] == class);
        assert!(found, "no finding {code} of class {class} in {report}");
        self
    }
}

/// `convert IMAGE -o TARGET`.
pub fn convert(image: &Path, target: &Path) -> Program {
    Program::new([image.as_os_str(), "-o".as_ref(), target.as_os_str()])
}

/// `convert IMAGE -o TARGET`, run and expected to do it.
#[track_caller]
pub fn convert_to(image: &Path, target: &Path) -> Outcome {
    convert(image, target).run().done()
}

/// `map IMAGE --json`.
pub fn map(image: &Path) -> Program {
    Program::new(["map".as_ref(), image.as_os_str(), "--json".as_ref()])
}

/// `check IMAGE --json`.
pub fn check(image: &Path) -> Program {
    Program::new(["check".as_ref(), image.as_os_str(), "--json".as_ref()])
}

/// `info IMAGE --json`.
pub fn info(image: &Path) -> Program {
    Program::new(["info".as_ref(), image.as_os_str(), "--json".as_ref()])
}
