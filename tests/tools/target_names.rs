//! The name of a target says its format. What is not written is refused, and every command that is
//! proposed gives the right bytes.

use crate::support::{
    ImageBuilder, Outcome, Program, Scratch, SourceGuard, convert, names_in, program,
};
use crate::tools::tool;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk whose bytes depend on what is read of it.
const READ: [&[&str]; 2] = [
    &["--snapshot", "10101012-5151-4222-8333-444444444444"],
    &["--partition", "1"],
];

fn container() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101")
}

/// Runs the program in the folder for targets.
fn run_in(scratch: &Scratch, args: &[&str]) -> Outcome {
    let program = Program::new([container()]).args(args);
    program.directory(scratch.out()).run()
}

/// The commands that a complaint proposes.
fn proposed(outcome: &Outcome) -> Vec<String> {
    const PROGRAMS: [&str; 9] = [
        "ploopconv",
        "qemu-img",
        "gzip",
        "xz",
        "zstd",
        "bzip2",
        "lz4",
        "zip",
        "tar",
    ];
    let command = |line: &str| {
        let starts = line.match_indices(": ").map(|(at, _)| at + 2);
        let mut ends = starts.map(|at| line[at..].to_owned());
        ends.find(|rest| {
            let word = rest.split(' ').next().unwrap();
            PROGRAMS.contains(&word)
        })
    };
    let lines = outcome.stderr.lines();
    let lines = lines.map(|line| line.strip_prefix("ploopconv: ").unwrap());
    lines.filter_map(command).collect()
}

/// Types the commands into a shell; a server runs meanwhile.
#[track_caller]
fn type_in(scratch: &Scratch, commands: &[String]) {
    let (mut script, mut end) = ("set -e\n".to_owned(), "");
    for command in commands {
        if command.starts_with("ploopconv serve ") {
            script += &format!("{command} >/dev/null & server=$!\n");
            script += "until test -S disk.sock; do kill -0 $server; sleep 0.1; done\n";
            end = "kill $server; wait $server || test $? = 143\n";
        } else {
            script += &format!("{command}\n");
        }
    }
    script += end;
    let folder = program::path().parent().unwrap().to_owned();
    let path = [folder.to_str().unwrap(), ":/usr/sbin:/usr/bin:/sbin:/bin"].concat();
    let _guard = SourceGuard::new(&container());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("PATH", path);
    let output = shell
        .current_dir(scratch.out())
        .env("HOME", scratch.path())
        .env("GNUPGHOME", scratch.path().join("gnupg"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
}

/// The disk as it is converted without any detour.
fn reference(scratch: &Scratch, read: &[&str]) -> PathBuf {
    let raw = scratch.path().join("reference.raw");
    convert(&container(), &raw)
        .args(read)
        .arg("-qf")
        .run()
        .status(0);
    raw
}

/// Refuses a name, types what is proposed, and gives the folder of the targets.
#[track_caller]
fn refused_and_done(scratch: &Scratch, name: &str, read: &[&str]) -> Vec<String> {
    let args: Vec<_> = ["-o", name].iter().chain(read).copied().collect();
    let outcome = run_in(scratch, &args).refused(2, &[name, "does not write"]);
    assert_eq!(names_in(&scratch.out()), Vec::<String>::new(), "{name}");
    let mut commands = proposed(&outcome);
    // The last one keeps the name as it is.
    commands.retain(|command| !command.ends_with(" -O raw"));
    type_in(scratch, &commands);
    commands
}

#[test]
fn disks_of_other_programs_are_made_by_qemu_img_from_the_served_disk() {
    for read in READ {
        for (name, made, format) in [
            ("disk.vmdk", "disk.vmdk", "vmdk"),
            ("it's.VMDK", "it's.VMDK", "vmdk"),
            ("disk.vdi", "disk.vdi", "vdi"),
            ("disk.vhd", "disk.vhd", "vpc"),
            ("disk.vhdx", "disk.vhdx", "vhdx"),
            ("disk.qed", "disk.qed", "qed"),
            ("disk.hdd", "disk.hdd", "parallels"),
            ("root.hds", "root.hds", "parallels"),
            ("disk.ova", "disk.vmdk", "vmdk"),
        ] {
            let scratch = Scratch::new();
            let raw = reference(&scratch, read);
            refused_and_done(&scratch, name, read);
            let mut compare = Command::new("qemu-img");
            // Some formats count in larger blocks: then zeros follow.
            compare.args(["compare", "-f", "raw", "-F", format]);
            let made = scratch.out().join(made);
            tool("qemu-utils", compare.arg(&raw).arg(&made));
        }
    }
}

#[test]
fn what_a_compressor_makes_comes_through_a_pipe() {
    for (name, unpack) in [
        ("disk.gz", "gzip -dc"),
        ("disk.img.GZ", "gzip -dc"),
        ("my disk.raw.xz", "xz -dc"),
        ("disk.zst", "zstd -dc"),
        ("disk.raw.bz2", "bzip2 -dc"),
        ("disk.img.lz4", "lz4 -dc"),
        ("disk.lzma", "xz -dc --format=lzma"),
    ] {
        let scratch = Scratch::new();
        let raw = reference(&scratch, READ[0]);
        refused_and_done(&scratch, name, READ[0]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{unpack} <\"$0\" | cmp - \"$1\"")]);
        tool("coreutils", shell.arg(scratch.out().join(name)).arg(raw));
        assert_eq!(names_in(&scratch.out()), [name]);
    }
}

#[test]
fn what_is_encrypted_comes_through_a_pipe() {
    let scratch = Scratch::new();
    let home = scratch.path().join("gnupg");
    std::fs::create_dir(&home).unwrap();
    let secret = scratch.path().join("secret");
    std::fs::write(&secret, "open sesame").unwrap();
    // What a person would be asked for.
    let answers = format!(
        "batch\npinentry-mode loopback\npassphrase-file {}\n",
        secret.display()
    );
    std::fs::write(home.join("gpg.conf"), answers).unwrap();
    let raw = reference(&scratch, &[]);
    refused_and_done(&scratch, "disk.img.gpg", &[]);
    let mut gpg = Command::new("sh");
    gpg.args(["-c", "gpg -d \"$0\" | cmp - \"$1\""]);
    gpg.env("GNUPGHOME", &home);
    let target = scratch.out().join("disk.img.gpg");
    tool("gpg", gpg.arg(target).arg(raw));
    let _ = Command::new("gpgconf")
        .args(["--kill", "all"])
        .env("GNUPGHOME", &home)
        .status();
}

#[test]
fn where_there_is_no_pipe_the_disk_is_made_first() {
    for (name, made) in [
        ("disk.iso", "disk.raw"),
        ("disk.img.lz", "disk.img"),
        ("disk.dmg", "disk.raw"),
        ("disk.7z", "disk.raw"),
        ("disk.zip", "disk.raw"),
        ("disk.raw.zip", "disk.raw"),
        ("disk.squashfs", "disk.raw"),
        ("disk.raw.age", "disk.raw"),
        ("disk.img.br", "disk.img"),
    ] {
        let scratch = Scratch::new();
        let raw = reference(&scratch, READ[1]);
        refused_and_done(&scratch, name, READ[1]);
        let made = scratch.out().join(made);
        tool("diffutils", Command::new("cmp").arg(&raw).arg(&made));
        if name.ends_with(".zip") {
            let mut unzip = Command::new("sh");
            let line = "python3 -m zipfile -e \"$0\" unpacked && cmp unpacked/disk.raw \"$1\"";
            unzip.args(["-c", line]).current_dir(scratch.path());
            tool("python3", unzip.arg(scratch.out().join(name)).arg(&raw));
        }
    }
    // Those whose disk is qcow2.
    for (name, made) in [
        ("disk.qcow2.gz", "disk.qcow2"),
        ("disk.vma", "disk.qcow2"),
        ("disk.vmdk.gz", "disk.vmdk.gz"),
    ] {
        let scratch = Scratch::new();
        let raw = reference(&scratch, READ[0]);
        refused_and_done(&scratch, name, READ[0]);
        let mut made = scratch.out().join(made);
        if name == "disk.vmdk.gz" {
            tool("gzip", Command::new("gzip").arg("-d").arg(&made));
            made = scratch.out().join("disk.vmdk");
        }
        let mut compare = Command::new("qemu-img");
        compare.args(["compare", "-f", "raw"]).arg(&raw);
        tool("qemu-utils", compare.arg(&made));
    }
}

#[test]
fn a_name_of_an_archive_gives_the_files_and_other_packers_take_them_through_a_pipe() {
    for name in [
        "ct.tar",
        "ct.tar.gz",
        "ct.TGZ",
        "ct.tar.zst",
        "ct.tzst",
        "ct.tar.xz",
    ] {
        let scratch = Scratch::new();
        if name == "ct.tar.xz" {
            let outcome = run_in(&scratch, &["-o", name]);
            let outcome = outcome.refused(2, &["a tar archive packed by xz"]);
            type_in(&scratch, &proposed(&outcome));
        } else {
            run_in(&scratch, &["-o", name]).done();
        }
        let target = scratch.out().join(name);
        let list = tool("tar", Command::new("tar").arg("-tf").arg(&target));
        assert!(list.starts_with("./\n./"), "{name}: {list}");
        assert_eq!(list.lines().count(), 9, "{name}: {list}");
    }
}

#[test]
fn a_format_given_overrules_the_name() {
    for name in ["disk.vmdk", "disk.gz", "ct.tar", "disk.img.zst", "disk.ova"] {
        let scratch = Scratch::new();
        let raw = reference(&scratch, &[]);
        run_in(&scratch, &["-o", name, "-O", "raw"]).done();
        let target = scratch.out().join(name);
        tool("diffutils", Command::new("cmp").arg(&raw).arg(&target));
        run_in(&scratch, &["-o", name, "-O", "qcow2", "-f"]).done();
        let mut info = Command::new("qemu-img");
        let info = tool("qemu-utils", info.arg("info").arg(&target));
        assert!(info.contains("file format: qcow2"), "{info}");
    }
    // As the message says.
    let scratch = Scratch::new();
    let outcome = run_in(&scratch, &["-o", "disk.gz"]).status(2);
    let commands = proposed(&outcome);
    let insist = commands.iter().find(|command| command.ends_with("-O raw"));
    type_in(&scratch, &[insist.unwrap().clone()]);
    let raw = reference(&scratch, &[]);
    let target = scratch.out().join("disk.gz");
    tool("diffutils", Command::new("cmp").arg(&raw).arg(&target));
}

#[test]
fn dots_in_a_name_promise_nothing() {
    for name in [
        "disk.2024.01.05",
        "vm.example.com",
        "backup.old",
        "disk.raw.1",
        "disk",
        "disk.IMG",
        "shop.example.com.br",
    ] {
        let scratch = Scratch::new();
        let raw = reference(&scratch, &[]);
        run_in(&scratch, &["-o", name]).done();
        let target = scratch.out().join(name);
        tool("diffutils", Command::new("cmp").arg(&raw).arg(&target));
    }
}

#[test]
fn only_the_name_of_a_file_promises() {
    let scratch = Scratch::new();
    // A directory of images.
    run_in(&scratch, &["-o", "parts.vmdk", "--partitions"]).done();
    assert_eq!(names_in(&scratch.out().join("parts.vmdk")), ["p1.raw"]);
    // A pipe that somebody calls so.
    let pipe = scratch.out().join("disk.gz");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap()
    });
    run_in(&scratch, &["-o", "disk.gz"]).done();
    let raw = std::fs::read(reference(&scratch, &[])).unwrap();
    assert!(reader.join().unwrap() == raw);
}

#[test]
fn a_name_is_refused_before_anything_is_opened() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    ImageBuilder::v2().store(0).write(&image);
    let missing = scratch.source().join("missing.hds");
    let target = scratch.out().join("disk.vmdk");
    for options in [&[][..], &["--dry-run"], &["--json"], &["-f"]] {
        convert(&missing, &target)
            .args(options)
            .run()
            .refused(2, &["VMDK", "qemu-img convert -O vmdk"]);
    }
    // A file that is there is not replaced unseen by what is proposed.
    std::fs::write(&target, "the only copy").unwrap();
    convert(&image, &target)
        .run()
        .refused(2, &["exists: name a target that does not exist yet"]);
    assert_eq!(std::fs::read(&target).unwrap(), b"the only copy");
    // Nor by any command for another name, and nor is a file packed that was there before.
    for (there, name) in [
        ("disk.gz", "disk.gz"),
        ("ct.tar.xz", "ct.tar.xz"),
        ("disk.zip", "disk.zip"),
        ("one.raw", "one.zip"),
        ("two.vmdk", "two.ova"),
        ("three.vmdk", "three.vmdk.gz"),
        ("root.hds", "root.hds"),
    ] {
        std::fs::write(scratch.out().join(there), "the only copy").unwrap();
        let outcome = convert(&image, &scratch.out().join(name)).run();
        let outcome = outcome.refused(2, &["exists: name a target that does not exist yet"]);
        for command in ["qemu-img", "gzip ", "zip ", "tar -", ">"] {
            let commands = outcome.stderr.lines().skip(1);
            let found = commands.filter(|line| line.contains(&format!(": {command}")));
            assert_eq!(found.count(), 0, "{}", outcome.stderr);
        }
    }
}
