//! How a run ends early: signals, closed pipes, a terminal in the place of a file.

use crate::support::running::{big, ended, signal, stopped_in_its_middle, until_it_waits};
use crate::support::{
    ChainBuilder, Fill, ImageBuilder, Outcome, Scratch, SourceGuard, convert, info, map, names_in,
    program,
};
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn signals_remove_the_partial_file_and_have_a_status_each() {
    let scratch = Scratch::new();
    let image = big(&scratch, 192);
    for (name, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let child = stopped_in_its_middle(&image, &scratch.target(), &["-f"]);
        signal(&child, name);
        signal(&child, "CONT");
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(status),
            "after SIG{name}: {stderr}"
        );
        assert!(!stderr.contains("panicked"), "{stderr}");
        scratch.assert_nothing_left();
    }
}

#[test]
fn a_signal_leaves_the_target_that_was_to_be_replaced() {
    let scratch = Scratch::new();
    let image = big(&scratch, 192);
    std::fs::write(scratch.target(), "the only copy").unwrap();
    let child = stopped_in_its_middle(&image, &scratch.target(), &["-f"]);
    signal(&child, "TERM");
    signal(&child, "CONT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    assert_eq!(std::fs::read(scratch.target()).unwrap(), b"the only copy");
    assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
}

#[test]
fn a_target_that_appears_during_a_conversion_is_kept() {
    let scratch = Scratch::new();
    let image = big(&scratch, 192);
    let child = stopped_in_its_middle(&image, &scratch.target(), &[]);
    std::fs::write(scratch.target(), "another's disk").unwrap();
    signal(&child, "CONT");
    let output = child.wait_with_output().unwrap();
    let outcome = Outcome::new(output, "against another run".to_owned());
    outcome.refused(1, &["disk.raw"]);
    assert_eq!(std::fs::read(scratch.target()).unwrap(), b"another's disk");
    assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
}

#[test]
fn a_signal_that_was_to_be_ignored_is_ignored() {
    // As `nohup` asks for.
    let scratch = Scratch::new();
    let image = big(&scratch, 16);
    let _guard = SourceGuard::new(&scratch.source());
    let mut child = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$0\" \"$1\" -o -"])
        .arg(program::path())
        .arg(&image)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 1]).unwrap();
    signal(&child, "HUP");
    let rest = std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), rest),
        (Some(0), (16 << 20) - 1)
    );
}

#[test]
fn a_killed_run_leaves_no_target_that_looks_complete() {
    let scratch = Scratch::new();
    let image = big(&scratch, 192);
    let mut child = stopped_in_its_middle(&image, &scratch.target(), &["-f"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!scratch.target().exists());
}

#[test]
fn a_signal_ends_a_stream_with_its_status() {
    let scratch = Scratch::new();
    let image = big(&scratch, 16);
    for (name, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let _guard = SourceGuard::new(&scratch.source());
        let mut child = Command::new(program::path())
            .arg(&image)
            .args(["-o", "-"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 1]).unwrap();
        // The pipe gets full, and has no reader.
        until_it_waits(&child);
        signal(&child, name);
        assert_eq!(ended(&mut child).code(), Some(status), "after SIG{name}");
    }
}

/// Runs with a reader that goes away after `read`; the run has to end without a word.
#[track_caller]
fn assert_ends_quietly(args: &[&str], image: &Path, read: impl FnOnce(&mut dyn std::io::BufRead)) {
    let _guard = SourceGuard::new(image.parent().unwrap());
    let mut child = Command::new(program::path())
        .args(args)
        .arg(image)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    read(&mut BufReader::new(child.stdout.take().unwrap()));
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    assert!(
        !matches!(output.status.signal(), Some(signal) if signal != 13),
        "{:?}",
        output.status
    );
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let scratch = Scratch::new();
    // Enough extents for more than a pipe holds.
    let path = scratch.source().join("disk.hds");
    let image = ImageBuilder::v2().clusters(20_000);
    let image = (0..20_000)
        .rev()
        .fold(image, |image, k| image.fill(k, Fill::FileHole));
    image.write(&path);
    for args in [&["map"][..], &["map", "--json"]] {
        assert_ends_quietly(args, &path, |stdout| {
            stdout.read_line(&mut String::new()).unwrap();
        });
        assert_ends_quietly(args, &path, |_| {});
    }
    for args in [
        &["info"][..],
        &["check"],
        &["info", "--json"],
        &["check", "--json"],
    ] {
        assert_ends_quietly(args, &path, |_| {});
    }
}

/// A result that was read as far as somebody wanted is one thing. A disk that was cut is no disk,
/// and the status of `ploopconv … -o - | dd of=…` is that of dd.
#[test]
fn a_disk_that_is_cut_by_its_reader_is_told_in_one_line() {
    let scratch = Scratch::new();
    let image = big(&scratch, 16);
    for options in [&[][..], &["-q"]] {
        let _guard = SourceGuard::new(&scratch.source());
        let mut child = Command::new(program::path())
            .arg(&image)
            .args(["-o", "-"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 1]).unwrap();
        drop(stdout);
        let outcome = Outcome::new(child.wait_with_output().unwrap(), "head".to_owned());
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        outcome.refused(1, &["the reader of stdout has gone", "part of the disk"]);
    }
}

#[test]
fn a_stdout_that_cannot_be_written_is_an_error() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&ImageBuilder::v2().store_all([2, 0])).write(&scratch.source());
    for args in [
        &["-o", "-"][..],
        &["map"],
        &["map", "--json"],
        &["info"],
        &["check", "--json"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let _guard = SourceGuard::new(&scratch.source());
        let output = Command::new(program::path())
            .args(args)
            .arg(&chain.dir)
            .stdout(full)
            .output()
            .unwrap();
        Outcome::new(output, format!("{} to a full device", args.join(" ")))
            .refused(1, &["no space"]);
    }
}

#[test]
fn a_closed_stdout_is_no_target() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&ImageBuilder::v2().store_all([2, 0])).write(&scratch.source());
    let mut command = Command::new("sh");
    let _guard = SourceGuard::new(&scratch.source());
    command
        .args(["-c", "exec \"$0\" \"$1\" -o - >&-"])
        .arg(program::path())
        .arg(&chain.dir);
    let outcome = Outcome::new(command.output().unwrap(), ">&-".to_owned());
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
}

#[test]
fn a_stream_into_a_file_is_the_disk() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&ImageBuilder::v2().store_all([2, 0])).write(&scratch.source());
    let _guard = SourceGuard::new(&scratch.source());
    let stream_into = |file: File| {
        let mut command = Command::new(program::path());
        command.arg(&chain.dir).args(["-o", "-"]).stdout(file);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        std::fs::read(scratch.target()).unwrap()
    };
    let disk = chain.model().content();
    let created = File::create(scratch.target()).unwrap();
    assert_eq!(stream_into(created), disk);
    // After the bytes that a file holds already, as a shell's `>>` asks for.
    let appended = File::options().append(true).open(scratch.target()).unwrap();
    assert_eq!(stream_into(appended), disk.repeat(2));
}

#[test]
fn a_stream_and_a_report_do_not_share_stdout() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&ImageBuilder::v2().store_all([2, 0])).write(&scratch.source());
    convert(&chain.dir, Path::new("-"))
        .arg("--json")
        .run()
        .refused(2, &["--json"]);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_the_reader_of_a_fifo() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&ImageBuilder::v2().store(0)).write(&scratch.source());
    nix::unistd::mkfifo(&scratch.target(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _guard = SourceGuard::new(&scratch.source());
    let mut child = Command::new(program::path())
        .arg(&chain.dir)
        .arg("-o")
        .arg(scratch.target())
        .spawn()
        .unwrap();
    until_it_waits(&child);
    signal(&child, "INT");
    assert_eq!(ended(&mut child).code(), Some(130));
}

#[test]
fn results_go_to_stdout_and_talk_goes_to_stderr() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&ImageBuilder::v2().store_all([2, 0])).write(&scratch.source());
    map(&chain.dir).run().status(0).json();
    info(&chain.dir).run().status(0).json();
    let quiet = convert(&chain.dir, &scratch.target())
        .arg("-q")
        .run()
        .status(0);
    assert_eq!(
        (quiet.stdout.as_slice(), quiet.stderr.as_str()),
        (&b""[..], "")
    );
}
