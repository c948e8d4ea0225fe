//! README, and the pages that explain every command and option: what they show is what the program
//! does.

use crate::support::guide::{Guide, Place};
use crate::support::{Program, Scratch, SourceGuard, program};
use crate::tools::tool;
use std::path::Path;
use std::process::Command;

/// The commands that the pages show without what they print: each for itself.
fn commands() -> Vec<String> {
    let guides = [
        Guide::read("README.md").blocks(&["readme-start"]),
        Guide::read("docs/reference.md").blocks(&["reference-examples", "reference-files"]),
        Guide::read("docs/serve.md").blocks(&["serve-clients"]),
    ];
    let steps: Vec<_> = guides.iter().flat_map(Guide::steps).collect();
    assert!(steps.iter().all(|step| step.prints.is_empty()));
    let commands = steps.iter().map(|step| step.command.split(" # ").next());
    commands
        .map(|line| line.unwrap().trim().to_owned())
        .collect()
}

/// Runs a command where `101` is the container of the fixtures, below the places that the pages
/// name.
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

/// A server is ended when it is ready; its clients find it running.
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
fn every_command_without_output_runs() {
    let scratch = Scratch::new();
    let commands = commands();
    assert!(commands.len() >= 9, "{commands:?}");
    for command in commands.iter().filter(|command| *command != "tests/run") {
        run(&scratch, command);
    }
    assert!(scratch.path().join("disk.raw").exists());
}

#[test]
fn the_commands_of_readme_print_what_it_shows() {
    let scratch = Scratch::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut copy = Command::new("cp");
    copy.args(["-r", "--sparse=never"]).arg(fixtures.join("."));
    tool("coreutils", copy.arg(scratch.source()));
    let mut cut = std::fs::read(fixtures.join("qemu/disk.hdd")).unwrap();
    cut.truncate(700_000);
    std::fs::write(scratch.source().join("cut.hdd"), cut).unwrap();
    // The targets are in memory, which shares no blocks with the images.
    Place::new(&scratch.path().join("place"))
        .with(&scratch.source(), "/backup")
        .run(&Guide::read("README.md").blocks(&[
            "readme-info",
            "readme-convert",
            "readme-verify",
            "readme-salvage",
            "readme-mount",
        ]));
}

#[test]
fn readme_is_read_in_one_sitting() {
    let readme = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(readme.len() <= 9 << 10, "{} bytes", readme.len());
}

#[test]
fn every_option_of_the_pages_exists() {
    let help: String = [
        "convert", "info", "check", "map", "compare", "verify", "serve", "attach", "detach",
        "attached", "ls", "cat", "extract",
    ]
    .iter()
    .map(|command| {
        let help = Program::new([command, "--help"]).run();
        String::from_utf8(help.stdout).unwrap()
    })
    .collect();
    // Those of cargo, tests/run, nbdfuse, nbdinfo, mdadm and tar, and of every command.
    let foreign = [
        "--release",
        "--path",
        "--open",
        "--install",
        "--readonly",
        "--read-only",
        "--map",
        "--stop",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include",
        "--acls",
    ];
    for page in [
        include_str!("../../README.md"),
        include_str!("../../docs/reference.md"),
        include_str!("../../docs/serve.md"),
        include_str!("../../docs/attach.md"),
    ] {
        let words = page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        let options: Vec<_> = words
            .filter(|word| word.starts_with("--") && word.trim_start_matches('-').len() > 1)
            .filter(|word| !foreign.contains(word))
            .collect();
        assert!(options.len() > 4, "{options:?}");
        for option in options {
            assert!(help.contains(option), "{option} is not in --help");
        }
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
        let help = Program::new(args).run().status(0);
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains("Usage: ploopconv"), "{help}");
        let widest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{args:?}: {widest} columns\n{help}");
    }
}
