//! What must never be written, whatever was typed.

use crate::support::{Scratch, SourceGuard, convert, info, names_in, program};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A copy of the container of the fixtures: a chain of three.
fn container(scratch: &Scratch) -> PathBuf {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101/root.hdd");
    let disk = scratch.source().join("root.hdd");
    std::fs::create_dir(&disk).unwrap();
    for name in names_in(&fixture) {
        std::fs::copy(fixture.join(&name), disk.join(&name)).unwrap();
    }
    disk
}

#[test]
fn no_file_of_the_disk_is_a_target_whether_it_is_read_or_not() {
    let scratch = Scratch::new();
    let disk = container(&scratch);
    std::fs::write(disk.join("DiskDescriptor.xml.tmp"), "unfinished").unwrap();
    std::fs::copy(disk.join("root.hds"), disk.join("root.hds.{leftover}")).unwrap();
    for name in names_in(&disk) {
        let target = disk.join(&name);
        let before = std::fs::read(&target).unwrap();
        let base = "10101012-5151-4222-8333-444444444444";
        convert(&disk, &target)
            .args(["-f", "--snapshot", base])
            .run()
            .refused(1, &["of the image"]);
        convert(&disk.join("root.hds"), &target)
            .args(["-f", "--single-layer"])
            .run()
            .refused(1, &["of the image"]);
        assert!(std::fs::read(&target).unwrap() == before, "{name}");
    }
}

#[test]
fn a_device_that_is_not_dev_null_needs_force() {
    let scratch = Scratch::new();
    let disk = container(&scratch);
    convert(&disk, Path::new("/dev/urandom"))
        .run()
        .refused(1, &["/dev/urandom", "-f"]);
    convert(&disk, Path::new("/dev/null")).run().done();
}

#[test]
fn a_terminal_is_no_target_under_any_name() {
    let scratch = Scratch::new();
    let disk = container(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let line = format!(
        "{} {} -o /dev/tty; echo status $?",
        program::path().display(),
        disk.display()
    );
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .output();
    let output = output.expect("script is in the Debian package bsdutils");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("terminal") && text.contains("status 2"),
        "{text}"
    );
}

#[test]
fn a_replaced_target_hands_on_no_rights_to_run_as_somebody_else() {
    let scratch = Scratch::new();
    let disk = container(&scratch);
    std::fs::write(scratch.target(), "old").unwrap();
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(scratch.target(), mode(0o4751)).unwrap();
    convert(&disk, &scratch.target()).arg("-f").run().done();
    let after = std::fs::metadata(scratch.target()).unwrap().permissions();
    assert_eq!(after.mode() & 0o7777, 0o751);
}

#[test]
fn a_file_name_cannot_speak_for_the_program() {
    let scratch = Scratch::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors/v2.hdd");
    let name = "x.hdd\nall verified, nothing to do\na";
    std::fs::copy(fixture, scratch.source().join(name)).unwrap();
    let outcome = info(&scratch.source()).run().status(1);
    let lines: Vec<_> = outcome.stderr.lines().collect();
    assert!(lines.len() >= 2, "{lines:?}");
    assert!(
        lines
            .iter()
            .all(|line| !line.starts_with("ploopconv: all verified")),
        "{lines:?}"
    );
}

#[test]
fn advice_repeats_the_options_that_were_typed() {
    let scratch = Scratch::new();
    let disk = container(&scratch);
    let outcome = convert(&disk.join("root.hds"), &scratch.target())
        .args(["--sparse", "--no-sync"])
        .run()
        .status(1);
    let advice = format!(
        "ploopconv {} -o {} --sparse --no-sync",
        disk.display(),
        scratch.target().display()
    );
    assert!(outcome.stderr.contains(&advice), "{}", outcome.stderr);
}

#[test]
fn a_disk_sent_to_a_closed_stdout_is_no_success() {
    let scratch = Scratch::new();
    let disk = container(&scratch);
    let command = |redirection| {
        let line = format!("\"$0\" \"$1\" -o - {redirection}");
        let mut command = Command::new("sh");
        let _guard = SourceGuard::new(&scratch.source());
        command.args(["-c", &line]).arg(program::path()).arg(&disk);
        command.output().unwrap()
    };
    let closed = command(">&-");
    assert_eq!(closed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&closed.stderr).contains("stdout is closed"));
    assert!(command(">/dev/null").status.success());
}

/// What starts the program by itself and does not look after its source, and why.
const UNGUARDED: [(&str, &str); 10] = [
    ("status_after", "lets the source change"),
    ("stopped_in_its_middle", "so do its callers"),
    ("start", "the callers hold a guard for many runs"),
    ("strace", "takes the guards of Program"),
    ("a_stream", "the source is that of Job, which strace guards"),
    ("every_option_in_readme_exists", "reads no image"),
    (
        "help_fits_eighty_columns_and_says_what_can_be_typed",
        "reads no image",
    ),
    ("as_nobody", "the callers hold the guard"),
    (
        "a_layer_that_is_swapped_for_a_link_again_and_again_never_gives_out_what_lies_outside",
        "lets the source change",
    ),
    ("run", "its callers know the source"),
];

/// Each function from its name up to the next one.
fn functions(text: &str) -> Vec<String> {
    let mut functions: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let signature = ["pub(crate) ", "pub(super) ", "pub "]
            .iter()
            .find_map(|visible| line.strip_prefix(visible))
            .unwrap_or(line);
        match (signature.strip_prefix("fn "), functions.last_mut()) {
            (Some(named), _) => functions.push(format!("{named}\n")),
            (None, Some(function)) => function.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    functions
}

#[test]
fn whatever_starts_the_program_looks_after_the_source() {
    let mut unguarded = Vec::new();
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let entries = [dir.clone(), dir.join("support")].map(|dir| std::fs::read_dir(dir).unwrap());
    for path in entries
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
    {
        if path.is_dir() || path.ends_with("program.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for function in functions(&text) {
            let name: String = function
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let starts = ["program::path()", "as_nobody()"]
                .iter()
                .any(|start| function.contains(start));
            let guarded = function.contains("SourceGuard::") || function.contains("guards(");
            let known = UNGUARDED.iter().any(|(known, _)| *known == name);
            if starts && !guarded && !known {
                unguarded.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert_eq!(
        unguarded,
        Vec::<String>::new(),
        "they start the program, and nobody looks after its source"
    );
}
