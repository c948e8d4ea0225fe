//! Users of `qemu-img`, `qemu-nbd`, `dd`, `cp`, `ploop` and `guestmount` type the commands that
//! they know; the refusal shows the command of this program.

use crate::mistakes::Place;
use crate::support::hints::shell;
use crate::support::{Scratch, SourceGuard, convert, program};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Refused by every command that reads, before anything stays.
const NO_PARTITION: &str = "--partition 99";

#[test]
fn the_format_of_an_image_is_asked_for_by_no_command() {
    let place = Place::new();
    for command in ["info", "check", "map"] {
        for format in [&["-f", "parallels"][..], &["-fparallels"], &["-f", "raw"]] {
            let args = [&[command], format, &["IMG"]].concat();
            let meant = format!("ploopconv {command} IMG");
            place.meant(&args, &["what IMAGE is shows in the file"], &meant);
        }
    }
    place.meant(
        &["compare", "-f", "parallels", "-F", "raw", "IMG", "IMG"],
        &["-f parallels", "-F raw"],
        "ploopconv compare IMG IMG",
    );
    place.meant(
        &[
            "convert",
            "-f",
            "parallels",
            "IMG",
            "-O",
            "qcow2",
            "out.qcow2",
        ],
        &["-f parallels", "the target goes after -o"],
        "ploopconv convert IMG -O qcow2 -o out.qcow2",
    );
}

#[test]
fn a_size_of_zeros_that_is_none_keeps_every_zero() {
    let place = Place::new();
    for zero in [&["-S", "0"][..], &["-S0"], &["-S", "00"]] {
        let args = [&["convert"], zero, &["IMG", "out"]].concat();
        let meant = "ploopconv convert --sparse=never IMG -o out";
        place.meant(&args, &["-S: "], meant);
    }
    let meant = "ploopconv convert --sparse IMG -o out";
    place.meant(&["convert", "-S4k", "IMG", "out"], &["-S: "], meant);
}

#[test]
fn a_format_without_a_target_gets_a_name_that_fits() {
    let place = Place::new();
    place.wrong(
        &["IMG", "-O", "vmdk"],
        &[
            "does not write VMDK",
            "no target for IMG",
            ": ploopconv serve IMG --socket disk.sock",
            " disk.vmdk",
        ],
    );
    // A name never promises another format than the one that was asked for.
    for format in ["raw", "qcow2"] {
        let outcome = place.wrong(&["IMG", "-O", format], &["no target for IMG"]);
        let command = format!("ploopconv IMG -O {format} -o disk.{format}");
        assert!(outcome.stderr.contains(&command), "{}", outcome.stderr);
    }
}

#[test]
fn options_of_the_format_have_names_of_their_own() {
    let place = Place::new();
    place.meant(
        &[
            "convert",
            "-O",
            "qcow2",
            "-o",
            "cluster_size=64k,compat=1.1",
            "IMG",
            "out",
        ],
        &["-o names the target"],
        "ploopconv convert -O qcow2 --cluster-size 64K IMG -o out",
    );
    place.meant(
        &[
            "convert",
            "-O",
            "raw",
            "-o",
            "preallocation=full",
            "IMG",
            "out",
        ],
        &["-o names the target"],
        "ploopconv convert -O raw --sparse=never IMG -o out",
    );
    let unknown = [
        "convert",
        "-O",
        "qcow2",
        "-o",
        "backing_file=x",
        "IMG",
        "out",
    ];
    let outcome = place.wrong(&unknown, &["none like backing_file"]);
    assert!(!outcome.stderr.contains("perhaps"), "{}", outcome.stderr);
    place.meant(
        &["IMG", "-o", "qcow2", "out.qcow2"],
        &["its format goes after -O"],
        "ploopconv IMG -O qcow2 -o out.qcow2",
    );
}

#[test]
fn commands_of_other_programs_have_other_names_here() {
    let place = Place::new();
    for (args, meant) in [
        (&["cp", "IMG", "out"][..], "ploopconv convert IMG -o out"),
        (&["cp", "-a", "IMG", "out"], "ploopconv convert IMG -o out"),
        (&["dd", "if=IMG", "of=out"], "ploopconv convert IMG -o out"),
        (
            &[
                "dd",
                "if=IMG",
                "of=out",
                "bs=4M",
                "conv=sparse",
                "status=progress",
            ],
            "ploopconv convert IMG -o out",
        ),
        (&["snapshot", "-l", "IMG"], "ploopconv info IMG"),
        (&["snapshot-list", "IMG"], "ploopconv info IMG"),
        (&["fsck", "IMG"], "ploopconv check IMG"),
        (&["cmp", "IMG", "IMG"], "ploopconv compare IMG IMG"),
    ] {
        place.meant(args, &["there is no command", "here it is called"], meant);
    }
    // What would be mounted over is never what was to be listed.
    place.wrong(&["tar", "IMG"], &["ploopconv IMG -o ct.tar"]);
    for option in ["-c", "-a", "-d"] {
        let args = ["snapshot", option, "new", "IMG"];
        place.wrong(&args, &["never writes to an image", "ploopconv info IMG"]);
    }
    let detach = "ploopconv detach /dev/nbd0";
    place.proposes(&["-d", "/dev/nbd0"], &["detach"], detach, "");
    let umount = ["umount", "IMG"];
    place.proposes(&umount, &["detach"], "ploopconv detach IMG", "");
    let part = ["dd", "if=IMG", "of=out", "count=1"];
    let outcome = place.wrong(&part, &["the whole disk"]);
    assert!(!outcome.stderr.contains("perhaps"), "{}", outcome.stderr);
    // A file of that name is meant.
    std::fs::copy(
        place.scratch.out().join("IMG"),
        place.scratch.out().join("dd"),
    )
    .unwrap();
    place.run(&["dd", "-o", "out"]).done();
}

/// Every command that a command of another program leads to is typed: it gives the right bytes, or
/// says something, or is refused.
#[test]
fn what_a_command_of_another_program_leads_to_can_be_typed() {
    let place = Place::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mistakes/commands.rs");
    let source = fs::read_to_string(source).unwrap();
    let lists = source.split("names: &[").skip(1);
    let lists = lists.map(|rest| rest.split(']').next().unwrap());
    let names: Vec<_> = lists
        .flat_map(|list| list.split('"').skip(1).step_by(2))
        .collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let args = match name {
            "diff" | "cmp" => vec![name, "IMG", "IMG"],
            "cp" | "copy" | "clone" | "export" | "dd" => vec![name, "IMG", "out.raw"],
            "resize" | "grow" => vec![name, "IMG", "10M"],
            "type" | "less" | "more" | "virt-cat" => vec![name, "IMG", "etc/hosts"],
            "unpack" | "untar" | "copy-out" | "copy_out" | "virt-copy-out" => {
                vec![name, "IMG", "etc", "-C", "."]
            }
            "guestmount" | "fuse" | "nbdfuse" => vec![name, "IMG", "."],
            _ => vec![name, "IMG"],
        };
        let outcome = place.wrong(&args, &[name]);
        let lines = outcome.stderr.lines();
        let commands: Vec<_> = lines
            .filter_map(|line| line.split_once(": ploopconv "))
            .map(|(_, words)| words.replace("TARGET", "out.raw"))
            .collect();
        assert!(!commands.is_empty(), "{name}: {}", outcome.stderr);
        for command in commands {
            let mut words: Vec<_> = command.split(' ').collect();
            // What would stay is refused for another reason than its words.
            let stays = ["attach", "serve", "detach"].contains(&words[0]);
            if stays && words[0] != "detach" {
                words.extend(["--partition", "99"]);
            }
            // The image has no file system.
            let reads_files = ["ls", "cat", "extract", "mount"].contains(&words[0]);
            let fails = stays || reads_files || words.contains(&"ct.tar");
            place.run(&words).status(i32::from(fails));
            for made in ["out.raw", "disk.qcow2"] {
                let made = place.scratch.out().join(made);
                let should = command.contains("-o ") && !command.contains("--dry-run");
                if should && command.contains(made.file_name().unwrap().to_str().unwrap()) {
                    let same = ["compare", "-q", "IMG", made.to_str().unwrap()];
                    place.run(&same).status(0);
                    fs::remove_file(made).unwrap();
                }
            }
        }
    }
}

#[test]
fn what_would_write_to_an_image_is_not_here_and_the_target_can_be_changed() {
    let place = Place::new();
    let says = "never writes to an image";
    for command in ["create", "init", "snapshot-delete", "amend", "repair"] {
        place.wrong(&[command, "IMG"], &[command, says, "ploopconv info IMG"]);
    }
    for command in ["commit", "merge", "rebase"] {
        place.wrong(&[command, "IMG"], &[says, ": ploopconv IMG -o disk.qcow2"]);
    }
    place.wrong(&["measure", "IMG"], &["-o disk.qcow2 --dry-run"]);
    place.wrong(&["version"], &["ploopconv --version"]);
    let sized = ["resize", "-f", "raw", "IMG", "+10G"];
    place.wrong(&sized, &["IMG -o disk.qcow2", "resize disk.qcow2 +10G"]);
    let first = ": ploopconv IMG -o disk.qcow2";
    let second = ": qemu-img resize disk.qcow2 10G";
    let resize = ["resize", "IMG", "10G"];
    place.wrong(&resize, &[says, first, second]);
    // A file that is there is resized by no command that is pasted.
    std::fs::write(place.scratch.out().join("disk.qcow2"), "another one").unwrap();
    let outcome = place.wrong(&resize, &[says, first]);
    assert!(!outcome.stderr.contains(second), "{}", outcome.stderr);
}

#[test]
fn what_qemu_nbd_and_guestmount_are_told_has_its_place_here() {
    let place = Place::new();
    std::fs::create_dir(place.scratch.out().join("dir")).unwrap();
    for (args, meant) in [
        (
            &["serve", "IMG", "sock"][..],
            "ploopconv serve IMG --socket sock",
        ),
        (
            &["serve", "IMG", "10809"],
            "ploopconv serve IMG --tcp 10809",
        ),
        (
            &["serve", "IMG", ":10809"],
            "ploopconv serve IMG --tcp :10809",
        ),
        (&["serve", "IMG"], "ploopconv serve IMG --socket disk.sock"),
        (
            &["serve", "-r", "-t", "-e", "4", "-k", "sock", "IMG"],
            "ploopconv serve --socket sock IMG",
        ),
        (
            &["serve", "-p", "10809", "IMG"],
            "ploopconv serve --tcp 10809 IMG",
        ),
        (
            &["attach", "IMG", "dir"],
            "ploopconv attach IMG --mount dir",
        ),
        (
            &["attach", "IMG", "/dev/nbd0"],
            "ploopconv attach IMG --device /dev/nbd0",
        ),
        (
            &["attach", "-c", "/dev/nbd0", "IMG"],
            "ploopconv attach --device /dev/nbd0 IMG",
        ),
        (
            &["attach", "-a", "IMG", "-m", "dir", "--ro"],
            "ploopconv attach IMG --mount dir",
        ),
    ] {
        place.proposes(args, &[], meant, NO_PARTITION);
    }
    for args in [
        &["attach", "-d", "/dev/nbd0"][..],
        &["detach", "-d", "/dev/nbd0"],
    ] {
        place.proposes(args, &["detach"], "ploopconv detach /dev/nbd0", "");
    }
    // Two images stay two images.
    let disk = place.scratch.out().join("disk");
    std::fs::create_dir(&disk).unwrap();
    std::fs::write(disk.join("root.hdd"), "").unwrap();
    place.wrong(&["attach", "IMG", "disk"], &["one IMAGE at a time"]);
    place.wrong(&["attach", "101", "102"], &["one IMAGE at a time"]);
    place.wrong(&["attach", "IMG", "IMG2"], &["one IMAGE at a time"]);
    place.wrong(&["serve", "IMG", "IMG2"], &["one IMAGE at a time"]);
    // The folder that was named is the one that is mounted on.
    for args in [
        &["guestmount", "IMG", "dir"][..],
        &["guestmount", "--ro", "IMG", "dir"],
        &["mount", "-o", "ro", "IMG", "dir"],
    ] {
        place.wrong(args, &["ploopconv mount IMG dir"]);
    }
}

#[test]
fn reports_and_what_is_never_written_need_no_option() {
    let place = Place::new();
    for (args, meant) in [
        (
            &["info", "--output=json", "IMG"][..],
            "ploopconv info --json IMG",
        ),
        (
            &["map", "--output", "json", "IMG"],
            "ploopconv map --json IMG",
        ),
        (&["info", "--output=human", "IMG"], "ploopconv info IMG"),
        (
            &["info", "-U", "--backing-chain", "IMG"],
            "ploopconv info IMG",
        ),
        (&["check", "-q", "IMG"], "ploopconv check IMG"),
        (&["-i", "IMG", "-o", "out"], "ploopconv IMG -o out"),
        (&["--input=IMG", "--target=out"], "ploopconv IMG -o out"),
        (&["--ro", "IMG", "-o", "out"], "ploopconv --ro IMG -o out"),
        (&["IMG", "of=out"], "ploopconv IMG -o out"),
        (&["Convert", "IMG", "out"], "ploopconv convert IMG -o out"),
        (
            &["IMG", "-of", "raw", "-o", "out"],
            "ploopconv IMG -O raw -o out",
        ),
        (&["-r", "IMG", "out"], "ploopconv IMG -o out"),
    ] {
        place.meant(args, &[], &meant.replace("--ro ", ""));
    }
    let outcome = place.wrong(&["check", "-r", "all", "IMG"], &["nothing is repaired"]);
    assert!(!outcome.stderr.contains("perhaps"), "{}", outcome.stderr);
}

#[test]
fn a_disk_into_a_redirected_stdout_needs_a_dash() {
    let scratch = Scratch::new();
    let image = scratch.source().join("root.hds");
    crate::support::ImageBuilder::v2()
        .store_all([2, 0])
        .write(&image);
    convert(&image, &scratch.target()).run().done();
    let made = scratch.out().join("made.raw");
    let typed = format!(
        "{} {} >{}",
        program::path().display(),
        image.display(),
        made.display()
    );
    let _guard = SourceGuard::new(&scratch.source());
    let output = Command::new("sh").args(["-c", &typed]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let (_, command) = said.split_once("as a raw disk: ").unwrap();
    let run = shell(command.trim_end());
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let (made, right) = (
        std::fs::read(made).unwrap(),
        std::fs::read(scratch.target()).unwrap(),
    );
    assert!(made == right, "{command}");
}

#[test]
fn after_two_dashes_every_word_is_a_name() {
    let place = Place::new();
    place.meant(
        &["-o", "out", "--", "IMG", "--json"],
        &["after -- every word is a name"],
        "ploopconv -o out IMG --json",
    );
    place.meant(&["IMG", "--", "out"], &["after -o"], "ploopconv IMG -o out");
    let image = place.scratch.out().join("IMG");
    std::fs::copy(image, place.scratch.out().join("--json")).unwrap();
    place.run(&["-o", "out", "--", "--json"]).done();
}

#[test]
fn a_comma_too_many_names_no_layer() {
    let place = Place::new();
    for layers in ["IMG,", ",IMG", "IMG,,IMG2", "", "raw:"] {
        let outcome = place.run(&["IMG", "-o", "out", "--layers", layers]);
        outcome.status(2).says(["without the name of a file"]);
    }
    let known = ["IMG", "-o", "out", "--layers", "IMG", "--allow-outside"];
    place.run(&known).done();
}
