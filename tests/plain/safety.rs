//! What must never be written, whatever was typed.

use crate::support::imports::rust_files;
use crate::support::samples::container;
use crate::support::{
    ImageBuilder, Scratch, SourceGuard, convert, files_of_support, files_of_tests, info, names_in,
    program, repository,
};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

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

#[test]
fn a_source_is_guarded_wherever_the_program_starts() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    ImageBuilder::v2().store(0).write(&image);
    let guarded = |directory: &Path, arg: &str| program::guards(directory, &[arg.into()]).len();
    assert_eq!(guarded(&scratch.source(), "disk.hds"), 1);
    assert_eq!(guarded(&scratch.source(), "--version"), 1);
    assert_eq!(guarded(&scratch.out(), "../source/disk.hds"), 1);
    assert_eq!(guarded(&scratch.out(), image.to_str().unwrap()), 1);
    assert_eq!(guarded(&scratch.out(), "disk.hds"), 0);
}

/// What starts the program by itself and does not look after its source, and why.
const UNGUARDED: [(&str, &str); 10] = [
    ("status_after", "lets the source change"),
    ("stopped_in_its_middle", "so do its callers"),
    ("start", "the callers hold a guard for many runs"),
    ("a_stream", "the source is that of Job, which strace guards"),
    ("with_the_program", "a guest gets copies of the images"),
    ("as_nobody", "the callers hold the guard"),
    (
        "a_layer_that_is_swapped_for_a_link_again_and_again_never_gives_out_what_lies_outside",
        "lets the source change",
    ),
    (
        "a_snapshot_of_a_running_container_is_read_while_the_layer_above_is_written",
        "lets the source change",
    ),
    ("injected", "its owner holds the guard"),
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
    let mut unneeded = UNGUARDED.map(|(known, _)| known).to_vec();
    for path in [files_of_tests(), files_of_support()].concat() {
        if path.ends_with("program.rs") {
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
            if starts && !guarded {
                unneeded.retain(|known| *known != name);
                if !UNGUARDED.iter().any(|(known, _)| *known == name) {
                    unguarded.push(format!("{}: {name}", path.display()));
                }
            }
        }
    }
    assert_eq!(
        unguarded,
        Vec::<String>::new(),
        "they start the program without a guard of its source"
    );
    assert_eq!(
        unneeded,
        Vec::<&str>::new(),
        "nothing of this name starts the program without a guard"
    );
}

/// Only root becomes somebody else, and these tests pass for any user.
#[test]
fn no_test_that_any_user_may_run_becomes_another_user() {
    let files = rust_files(&repository("tests/plain")).into_iter();
    let become_another: Vec<_> = files
        .filter(|file| !file.ends_with("safety.rs"))
        .filter(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            text.contains(".as_nobody(")
        })
        .collect();
    assert_eq!(become_another, Vec::<PathBuf>::new());
}
