//! What README shows is what the program does.

use crate::support::guide::Guide;
use crate::support::{Scratch, SourceGuard, program};
use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../../README.md");

/// What README shows is not what is printed, but for attaching: each command for itself.
fn commands() -> Vec<String> {
    let guide = Guide::read("README.md").unmarked(&["attach"]);
    assert!(guide.steps().all(|step| step.prints.is_empty()));
    let commands = guide.steps().map(|step| step.command.split(" # ").next());
    commands
        .map(|line| line.unwrap().trim().to_owned())
        .collect()
}

/// Runs a command of README where `101` is the container of the fixtures, below the places that
/// README names.
fn run(scratch: &Scratch, command: &str) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let backup = fixtures.to_str().unwrap();
    let command = command
        .replace("cargo run --release --", "ploopconv")
        .replace("fixtures/101", &format!("{backup}/101"))
        .replace("/backup/", &format!("{backup}/"))
        .replace(
            "ploopconv 101 ",
            &format!("ploopconv 101 --private-dir {backup} "),
        );
    let _guard = SourceGuard::new(&fixtures);
    let folder = program::path().parent().unwrap().to_owned();
    let path = std::env::join_paths([folder.as_path(), Path::new("/usr/bin"), Path::new("/bin")]);
    // What is compared was made before.
    let before = if command.starts_with("ploopconv compare") || command.contains("--against") {
        format!("ploopconv {backup}/101 -o 101.raw -q; ")
    } else {
        String::new()
    };
    let command = around_serving(&command, backup);
    // The other host of the example is this one.
    let script = format!("ssh() {{ cat >101.lv; }}; {before}{command}");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("PATH", path.unwrap())
        .current_dir(scratch.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    for target in ["101.raw", "101.lv", "old.raw"] {
        // Each example starts without the target of the one before it.
        let _ = std::fs::remove_file(scratch.path().join(target));
    }
}

/// What runs until it is told to end is told so when it is ready; its clients find it running.
fn around_serving(command: &str, backup: &str) -> String {
    const ENDS_WELL: &str = "kill $server; wait $server; test $? = 143";
    let serving = |serve: &str, meanwhile: &str| {
        let wait = "until test -S 101.sock; do sleep 0.1; done";
        format!("{serve} & server=$!; {wait}; {meanwhile}; done=$?; {ENDS_WELL} && exit $done")
    };
    let serve = format!("ploopconv serve {backup}/101/root.hdd --socket 101.sock");
    if command.starts_with("ploopconv serve") {
        return serving(command, "true");
    }
    if command.starts_with("nbdfuse") {
        let wait = "until test -s mnt/disk.raw; do sleep 0.1; done";
        let used = format!("{{ {wait}; cksum mnt/disk.raw; fusermount3 -u mnt; wait $fuse; }}");
        return serving(&serve, &format!("mkdir mnt; {command} & fuse=$!; {used}"));
    }
    if command.contains("101.sock") {
        return serving(&serve, command);
    }
    command.to_owned()
}

#[test]
fn every_command_in_readme_runs() {
    let scratch = Scratch::new();
    let commands = commands();
    assert!(commands.len() >= 9, "{commands:?}");
    for command in commands.iter().filter(|command| *command != "tests/run") {
        run(&scratch, command);
    }
    assert!(scratch.path().join("disk.raw").exists());
}

#[test]
fn every_option_in_readme_exists() {
    let help: String = [
        "convert", "compare", "verify", "serve", "attach", "detach", "attached",
    ]
    .iter()
    .map(|command| {
        let mut program = Command::new(program::path());
        let help = program.args([command, "--help"]).output().unwrap();
        String::from_utf8(help.stdout).unwrap()
    })
    .collect();
    let words = README.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    // Those of cargo, tests/run, nbdfuse, nbdinfo and mdadm.
    let foreign = [
        "--release",
        "--path",
        "--open",
        "--install",
        "--readonly",
        "--map",
        "--stop",
    ];
    let options: Vec<_> = words
        .filter(|word| {
            word.starts_with("--")
                && word.trim_start_matches('-').len() > 1
                && !foreign.contains(word)
        })
        .collect();
    assert!(options.len() > 5);
    for option in options {
        assert!(
            help.contains(option),
            "{option} is in README and not in --help"
        );
    }
}

#[test]
fn help_fits_eighty_columns_and_says_what_can_be_typed() {
    for args in [
        &["--help"][..],
        &["-h"],
        &["convert", "--help"],
        &["info", "-h"],
        &["map", "-h"],
        &["check", "-h"],
        &["compare", "--help"],
        &["verify", "--help"],
        &["serve", "--help"],
    ] {
        let output = Command::new(program::path()).args(args).output().unwrap();
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("Usage: ploopconv"), "{help}");
        let widest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{args:?}: {widest} columns\n{help}");
    }
}
