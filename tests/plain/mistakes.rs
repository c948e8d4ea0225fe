//! What people type out of habit: each is a usage error that says what was meant, and what it
//! proposes can be typed.

use crate::support::{
    ChainBuilder, ImageBuilder, Outcome, Program, Scratch, SourceGuard, names_in, program,
};
use std::path::PathBuf;
use std::process::Command;

/// Runs the program in a folder with an image `IMG`, another one `IMG2`, and a raw disk `old.raw`.
pub(crate) struct Place {
    pub(crate) scratch: Scratch,
}

impl Place {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        for (name, seed) in [("IMG", 1), ("IMG2", 2)] {
            let image = ImageBuilder::v2().seed(seed).store_all([2, 0]);
            image.write(&scratch.source().join(name));
            let link = scratch.out().join(name);
            std::os::unix::fs::symlink(scratch.source().join(name), link).unwrap();
        }
        std::fs::write(scratch.out().join("old.raw"), "the only copy").unwrap();
        Self { scratch }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        let _guard = SourceGuard::new(&self.scratch.source());
        Program::new(args).directory(self.scratch.out()).run()
    }

    /// A usage error that writes nothing.
    #[track_caller]
    pub(crate) fn wrong(&self, args: &[&str], says: &[&str]) -> Outcome {
        let _guard = SourceGuard::new(self.scratch.path());
        let outcome = self.run(args).refused(2, says);
        for word in ["subcommand", "os error", "found in string"] {
            assert!(
                !outcome.stderr.contains(word),
                "{args:?}: {}",
                outcome.stderr
            );
        }
        outcome
    }

    /// What a usage error says is meant.
    #[track_caller]
    pub(crate) fn meant(&self, args: &[&str], says: &[&str], meant: &str) {
        let outcome = self.wrong(args, says);
        assert_eq!(perhaps(&outcome), [meant], "{args:?}");
        // It can be typed.
        let _guard = SourceGuard::new(&self.scratch.source());
        let folder = program::path().parent().unwrap().to_owned();
        let mut shell = Command::new("sh");
        shell.args(["-c", meant]).current_dir(self.scratch.out());
        let path = format!("{}:/usr/bin:/bin", folder.display());
        let output = shell.env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{meant}: {output:?}");
        for made in ["out.raw", "out.qcow2", "out"] {
            let made = self.scratch.out().join(made);
            if made.exists() {
                let compare = Program::new(["compare", "-q", "IMG"]).arg(&made);
                compare.directory(self.scratch.out()).run().status(0);
                std::fs::remove_file(made).unwrap();
            }
        }
    }

    /// The same for a command that would stay: with `more` after it, it is refused for another
    /// reason than its words.
    #[track_caller]
    pub(crate) fn proposes(&self, args: &[&str], says: &[&str], meant: &str, more: &str) {
        let outcome = self.wrong(args, says);
        assert_eq!(perhaps(&outcome), [meant], "{args:?}");
        let words = format!("{meant} {more}");
        let words: Vec<_> = words.split_whitespace().skip(1).collect();
        let outcome = self.run(&words);
        assert_eq!(outcome.status, Some(1), "{words:?}: {}", outcome.stderr);
    }
}

/// What seems to be meant.
fn perhaps(outcome: &Outcome) -> Vec<&str> {
    let lines = outcome.stderr.lines();
    lines
        .filter_map(|line| line.strip_prefix("ploopconv: perhaps this was meant: "))
        .collect()
}

#[test]
fn a_target_without_its_option_is_told_so() {
    let place = Place::new();
    let says = ["the target goes after -o"];
    place.meant(&["IMG", "out.raw"], &says, "ploopconv IMG -o out.raw");
    place.meant(&["IMG", "out.qcow2"], &says, "ploopconv IMG -o out.qcow2");
    place.meant(&["IMG", "out"], &says, "ploopconv IMG -o out");
    let copied = ["convert", "-O", "raw", "IMG", "out.raw"];
    place.meant(&copied, &says, "ploopconv convert -O raw IMG -o out.raw");
    place.meant(
        &["-O", "qcow2", "--compress", "IMG", "out.qcow2", "-q"],
        &says,
        "ploopconv -O qcow2 --compress IMG -o out.qcow2 -q",
    );
    place.meant(&["if=IMG", "of=out.raw"], &says, "ploopconv IMG -o out.raw");
}

#[test]
fn what_replaces_a_file_is_never_proposed() {
    let place = Place::new();
    for args in [
        &["-f", "IMG", "old.raw"][..],
        &["-f", "IMG", "IMG2"],
        &["IMG", "IMG2"],
        &["IMG", "old.raw"],
    ] {
        let outcome = place.wrong(args, &[]);
        assert!(
            !outcome.stderr.contains("perhaps"),
            "{args:?}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn the_format_of_an_image_is_not_asked_for() {
    let place = Place::new();
    let says = ["-f parallels", "replaces an existing target"];
    place.meant(
        &["-f", "parallels", "IMG", "-o", "out.raw"],
        &says,
        "ploopconv IMG -o out.raw",
    );
    place.meant(
        &[
            "convert",
            "-f",
            "parallels",
            "-O",
            "raw",
            "-p",
            "IMG",
            "out.raw",
        ],
        &[
            "-f parallels",
            "-p: progress is shown by itself",
            "the target goes after -o",
        ],
        "ploopconv convert -O raw IMG -o out.raw",
    );
    place.wrong(
        &["-o", "out.raw", "-f", "qcow2"],
        &["-f qcow2", "IMAGE is missing"],
    );
    // A file of that name is meant.
    std::fs::copy(
        place.scratch.out().join("IMG"),
        place.scratch.out().join("raw"),
    )
    .unwrap();
    place.run(&["-o", "out.raw", "-f", "raw"]).done();
}

#[test]
fn options_of_qemu_img_are_known() {
    let place = Place::new();
    for (args, says, meant) in [
        (
            &["-p", "IMG", "-o", "out"][..],
            "-p: progress",
            "ploopconv IMG -o out",
        ),
        (
            &["convert", "-c", "-O", "qcow2", "IMG", "out"],
            "-c: qcow2 is compressed with --compress",
            "ploopconv convert --compress -O qcow2 IMG -o out",
        ),
        (
            &["convert", "-m", "2", "IMG", "out"],
            "-m: the number of threads goes after -j",
            "ploopconv convert -j 2 IMG -o out",
        ),
        (
            &["convert", "-S", "4k", "-t", "none", "-W", "IMG", "out"],
            "-S: zeros become holes with --sparse, and none with --sparse=never",
            "ploopconv convert --sparse IMG -o out",
        ),
    ] {
        place.meant(args, &[says], meant);
    }
    place.wrong(&["convert", "-n", "IMG", "out"], &["-n: ", "--force"]);
}

#[test]
fn a_format_that_is_not_written_is_made_by_qemu_img() {
    let place = Place::new();
    for args in [
        &["IMG", "-O", "vmdk", "-o", "out.vmdk"][..],
        &[
            "convert",
            "-f",
            "parallels",
            "-O",
            "vmdk",
            "IMG",
            "out.vmdk",
        ],
        &["convert", "-Ovmdk", "IMG", "out.vmdk"],
        &["IMG", "--format=vmdk", "-o", "out.vmdk"],
    ] {
        place.wrong(
            args,
            &[
                "-O vmdk: this program does not write VMDK",
                ": ploopconv serve IMG --socket disk.sock",
                ": qemu-img convert -O vmdk 'nbd+unix:///?socket=disk.sock' out.vmdk",
            ],
        );
    }
    place.wrong(
        &["IMG", "out.vmdk"],
        &["after -o", "qemu-img convert -O vmdk"],
    );
}

#[test]
fn values_go_after_an_equals_sign() {
    let place = Place::new();
    place.wrong(
        &["IMG", "-o", "out", "--sparse", "all"],
        &["--sparse all", "--sparse=always", "--sparse=never"],
    );
    for args in [
        &["IMG", "-o", "out", "--sparse", "always"][..],
        &["--sparse", "always", "IMG", "-o", "out"],
    ] {
        let meant = args.join(" ").replace("--sparse always", "--sparse=always");
        place.meant(
            args,
            &["after an equals sign"],
            &format!("ploopconv {meant}"),
        );
    }
    let args = ["IMG", "-o", "out", "-q", "--checksum", "sha256"];
    let meant = "ploopconv IMG -o out -q --checksum=sha256";
    place.meant(&args, &["--checksum=sha256"], meant);
    // Where it would be taken for IMAGE.
    place.wrong(
        &["-o", "out", "--checksum", "sha256"],
        &["--checksum=sha256", "IMAGE is missing"],
    );
    place.wrong(
        &["attach", "IMG", "--overlay", "/var/tmp/layer"],
        &["--overlay=/var/tmp/layer"],
    );
    // Alone it has a meaning, and what follows is IMAGE.
    let _ = std::fs::remove_file(place.scratch.out().join("out"));
    let _ = std::fs::remove_file(place.scratch.out().join("out.sha256"));
    place.run(&["-o", "out", "--sparse", "IMG"]).done();
}

#[test]
fn an_option_of_another_command_is_said_to_be_one() {
    let place = Place::new();
    place.wrong(
        &["batch", "IMG", "-o", "out", "--update"],
        &["--update is for one target"],
    );
}

#[test]
fn a_command_that_is_mistyped_or_in_the_wrong_place_is_found() {
    let place = Place::new();
    place.meant(
        &["inof", "IMG"],
        &["no command inof", "info"],
        "ploopconv info IMG",
    );
    place.meant(
        &["chekc", "IMG"],
        &["no command chekc"],
        "ploopconv check IMG",
    );
    place.meant(
        &["IMG", "info"],
        &["the command goes first"],
        "ploopconv info IMG",
    );
    for args in [&["frobnicate"][..], &["frobnicate", "out.raw"]] {
        let outcome = place.wrong(args, &["there is no file", "and no such command"]);
        assert!(!outcome.stderr.contains("perhaps"), "{}", outcome.stderr);
    }
    // What is mistyped otherwise is left to the parser.
    for args in [&["IMG", "--otput", "x"][..], &["IMG", "-Z", "x"]] {
        let outcome = place.run(args).status(2);
        assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
    }
}

#[test]
fn one_image_at_a_time() {
    let place = Place::new();
    for args in [
        &["IMG", "IMG2", "-o", "out"][..],
        &["IMG", "IMG2"],
        &["info", "IMG", "IMG2"],
        &["check", "IMG", "IMG2"],
        &["map", "IMG", "IMG2"],
        &["serve", "--socket", "s", "IMG", "IMG2"],
    ] {
        place.wrong(
            args,
            &[
                "one IMAGE at a time, not IMG and IMG2",
                "DiskDescriptor.xml",
            ],
        );
    }
    place.wrong(&["compare", "IMG", "IMG2", "old.raw"], &["two disks"]);
    let _ = std::fs::remove_file(place.scratch.out().join("out"));
    place.run(&["IMG", "-o", "out"]).done();
    let meant = "ploopconv verify out --against IMG";
    place.meant(&["verify", "out", "IMG"], &["--against"], meant);
}

#[test]
fn an_image_without_a_target_can_be_converted_or_looked_at() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&ImageBuilder::v2().seed(1).store_all([0, 1, 2]))
        .child(&ImageBuilder::v2().seed(2).store(1))
        .write(&scratch.source());
    let dir = chain.dir.to_str().unwrap();
    let base = crate::support::guid(0);
    let _guard = SourceGuard::new(&scratch.source());
    for args in [&[dir][..], &["convert", dir], &[dir, "--snapshot", &base]] {
        let outcome = Program::new(args).run().refused(2, &["no target", "-o"]);
        let commands = outcome.stderr.lines().filter_map(|line| {
            let (_, command) = line.split_once(": ")?.1.split_once(": ")?;
            command.strip_prefix("ploopconv ")
        });
        let commands: Vec<_> = commands.collect();
        assert_eq!(commands.len(), 2, "{outcome:?}");
        for command in commands {
            // What was to be read stays that.
            let kept = args.contains(&"--snapshot");
            assert_eq!(command.contains("--snapshot"), kept, "{command}");
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("\"$0\" {command}")]);
            shell.arg(program::path()).current_dir(scratch.out());
            let output = shell.output().unwrap();
            assert!(output.status.success(), "{command}: {output:?}");
        }
        let made: PathBuf = scratch.out().join("disk.qcow2");
        std::fs::remove_file(made).unwrap();
        // A snapshot leaves this too.
        let _ = std::fs::remove_file(scratch.out().join("disk.qcow2.ploopconv"));
    }
    assert_eq!(names_in(&scratch.out()), Vec::<String>::new());
}

#[test]
fn without_words_a_few_lines_say_what_can_be_typed() {
    let outcome = Program::new([] as [&str; 0]).run().status(2);
    assert_eq!(outcome.stdout, b"");
    let lines: Vec<_> = outcome.stderr.lines().collect();
    assert!(lines.len() < 12, "{}", outcome.stderr);
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
    for word in ["Usage: ploopconv", "-o", "info", "--help"] {
        assert!(outcome.stderr.contains(word), "{word}: {}", outcome.stderr);
    }
}

#[test]
fn a_wrong_value_is_told_in_words() {
    let place = Place::new();
    for (args, says) in [
        (&["--partition", "abc"][..], "a number from 1 on is needed"),
        (&["--partition", "0"], "a number from 1 on is needed"),
        (
            &["--partition", "99999999999"],
            "a number from 1 on is needed",
        ),
        (&["-j", "0"], "a number from 1 to 128 is needed"),
        (&["-j", "many"], "a number from 1 to 128 is needed"),
        (&["--cluster-size", "3K"], "possible are 4K 8K"),
    ] {
        let words = [&["IMG", "-o", "out"][..], args].concat();
        let outcome = place.run(&words).status(2).says([says]);
        assert!(!outcome.stderr.contains("found in string"));
    }
}
