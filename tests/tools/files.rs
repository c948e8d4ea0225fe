//! `ls`, `cat` and `extract` on file systems that mke2fs filled, as a user would use them.

use crate::support::divided::{MIB, Raw, ext4, make, run, sgdisk};
use crate::support::hints::shell;
use crate::support::{Program, Scratch, SourceGuard};
use crate::tools::tool;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder with files of all kinds that any user can make.
pub(crate) fn folder(scratch: &Scratch) -> PathBuf {
    let root = scratch.path().join("tree");
    for folder in ["etc/a.d", "usr/lib", "home/user with space", "ro"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let file = |path: &str, bytes: &[u8]| fs::write(root.join(path), bytes).unwrap();
    file("etc/passwd", b"root:x:0:0\n");
    file("etc/a.d/x.conf", b"x\n");
    file("etc/.hidden", b"");
    file("usr/lib/a.so", &[7; 300_000]);
    file("escape\x1b[31m\n", b"");
    file("ro/file", b"read only\n");
    let latin = OsStr::from_bytes(b"caf\xe9");
    fs::write(root.join(latin), "latin").unwrap();
    fs::hard_link(root.join("etc/passwd"), root.join("etc/passwd-")).unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    symlink("../../../../etc", root.join("up")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 9 << 20).unwrap();
    sparse.set_len(12 << 20).unwrap();
    let pipe = root.join("pipe");
    tool("coreutils", Command::new("mkfifo").arg(pipe));
    let mode = |path: &str, mode| {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("usr/lib/a.so", 0o4751);
    mode("ro", 0o555);
    root
}

/// The folder as the ext4 of an image without a partition table.
fn image(raw: &Raw) -> PathBuf {
    let tree = folder(&raw.scratch);
    mke2fs(&raw.path, &tree);
    raw.image()
}

fn mke2fs(disk: &Path, tree: &Path) {
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-d"]);
    tool("e2fsprogs", mke2fs.arg(tree).arg(disk));
}

fn text(image: &Path, command: &str, args: &[&str]) -> String {
    let outcome = run(command, image, args).done();
    String::from_utf8(outcome.stdout).unwrap()
}

#[test]
fn names_are_listed_as_by_ls() {
    let raw = Raw::new(64 * MIB);
    let image = image(&raw);
    let root = "absolute\ncaf\\xe9\nescape\\u{1b}[31m\\u{a}\netc\nhome\nlib\nloop\nlost+found\n\
                pipe\nro\nsparse\nup\nusr\n";
    assert_eq!(text(&image, "ls", &[]), root);
    let files = ".hidden\na.d\npasswd\npasswd-\n";
    for path in ["etc", "/etc/", "up", "etc/../../etc/."] {
        assert_eq!(text(&image, "ls", &[path]), files, "{path}");
    }
    let several = text(&image, "ls", &["etc/a.d", "lib", "absolute", "e*/p*"]);
    assert_eq!(
        several,
        "absolute\netc/passwd\netc/passwd-\n\netc/a.d:\nx.conf\n\nlib:\na.so\n"
    );
    let below = text(&image, "ls", &["-R", "etc"]);
    assert_eq!(below, format!("etc:\n{files}\netc/a.d:\nx.conf\n"));
    assert_eq!(text(&image, "ls", &["-d", "etc", "li*"]), "etc\nlib\n");
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    let tree = raw.scratch.path().join("tree");
    let long = text(&image, "ls", &["-la", "lib/a.so", "lib", "etc/passwd"]);
    let lines: Vec<Vec<&str>> = long
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let seconds = fs::metadata(tree.join("usr/lib/a.so")).unwrap().mtime();
    let time = ploopconv::util::time::iso(seconds);
    let (uid, gid) = (uid.to_string(), gid.to_string());
    assert_eq!(
        lines[0],
        ["-rwsr-x--x", "1", &uid, &gid, "300000", &time, "lib/a.so"]
    );
    assert_eq!(lines[1][0], "lrwxrwxrwx");
    assert_eq!(lines[1][6..], ["lib", "->", "usr/lib"]);
    assert_eq!(lines[2][..2], ["-rw-r--r--", "2"]);
}

#[test]
fn what_does_not_exist_is_said_and_the_others_are_there() {
    let raw = Raw::new(64 * MIB);
    let image = image(&raw);
    let some = ["nope", "etc/a.d", "etc/passwd/", "loop/x", "x*y"];
    let listed = run("ls", &image, &some).status(1).says([
        "nope does not exist in the image",
        "etc/passwd is not a directory",
        "loop/x leads through more than 40 symbolic links",
        "no file in the image fits x*y",
    ]);
    assert_eq!(listed.stdout, b"etc/a.d:\nx.conf\n");
    let report = run("ls", &image, &["nope", "etc/passwd", "--json"]).status(1);
    let report = report.json();
    assert_eq!(report["code"], "incomplete");
    assert_eq!(report["problems"][0]["code"], "no-such-path");
    assert_eq!(report["entries"][0]["path"], "etc/passwd");
    let some = ["nope", "etc", "pipe", "etc/passwd"];
    let printed = run("cat", &image, &some).status(1).says([
        "nope does not exist",
        "etc is a directory and no regular file",
        "pipe is a named pipe and no regular file",
    ]);
    assert_eq!(printed.stdout, b"root:x:0:0\n");
}

#[test]
fn json_has_every_byte_of_a_name() {
    let raw = Raw::new(64 * MIB);
    let image = image(&raw);
    let report = run("ls", &image, &["--json"]).done().json();
    let entries = report["entries"].as_array().unwrap();
    let find = |path: &str| entries.iter().find(|entry| entry["path"] == path).unwrap();
    assert_eq!(find("caf\u{fffd}")["path_hex"], "636166e9");
    assert_eq!(find("escape\x1b[31m\n")["path_hex"], Value::Null);
    assert_eq!(find("lib")["target"], "usr/lib");
    assert_eq!(find("pipe")["type"], "fifo");
    assert_eq!(find("sparse")["size"], 12 << 20);
    assert_eq!(find("ro")["mode"], "0555");
}

#[test]
fn files_are_printed_by_links_and_patterns_and_a_closed_pipe_is_quiet() {
    let raw = Raw::new(64 * MIB);
    let image = image(&raw);
    let _guard = SourceGuard::new(image.parent().unwrap());
    let tree = raw.scratch.path().join("tree");
    let printed = |paths: &[&str]| run("cat", &image, paths).done().stdout;
    assert_eq!(printed(&["absolute", "up/a.d/*"]), b"root:x:0:0\nx\n");
    assert_eq!(printed(&["caf?"]), b"latin");
    assert!(printed(&["sparse"]) == fs::read(tree.join("sparse")).unwrap());
    assert!(printed(&["lib/*"]) == fs::read(tree.join("usr/lib/a.so")).unwrap());
    for args in [["cat", "sparse"], ["ls", "-R"]] {
        let mut child = Command::new(crate::support::program::path())
            .args([args[0].as_ref(), image.as_os_str(), args[1].as_ref()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_tree_that_was_extracted_is_the_one_that_was_packed() {
    let raw = Raw::new(64 * MIB);
    let image = image(&raw);
    let (tree, out) = (raw.scratch.path().join("tree"), raw.scratch.out());
    let into = ["-C", out.to_str().unwrap()];
    let report = run("extract", &image, &[&into[..], &["--json"]].concat());
    let report = report.done().json();
    assert_eq!(
        (&report["files"], &report["hard_links"]),
        (&8.into(), &1.into())
    );
    fs::remove_dir(out.join("lost+found")).unwrap();
    let list = |folder: &Path| {
        let format = "%P|%y|%m|%U|%G|%n|%l|%T@|%s\\n";
        let mut find = Command::new("find");
        // What is removed changes the time of the root; directories differ in size.
        find.args([
            ".",
            "-mindepth",
            "1",
            "-type",
            "d",
            "-printf",
            "%P|%m|%T@\\n",
        ]);
        find.args(["-o", "-printf", format]).current_dir(folder);
        let mut lines: Vec<_> = tool("findutils", &mut find)
            .lines()
            .map(|line| line.split('.').next().unwrap().to_owned())
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(list(&tree), list(&out));
    tool(
        "diffutils",
        Command::new("diff")
            .arg("-r")
            .args(["--no-dereference", "--exclude=pipe"])
            .args([&tree, &out]),
    );
    let sparse = fs::metadata(out.join("sparse")).unwrap();
    assert!(sparse.blocks() < 100, "{}", sparse.blocks());
    // A second time nothing is replaced, and with the option everything.
    let again = run("extract", &image, &into).status(1);
    let again = again.says(["exists", "add -f", "out: 0 files"]);
    assert!(!again.stderr.contains("panicked"));
    let again = run("extract", &image, &[&into[..], &["-f"]].concat());
    again.done();
    fs::set_permissions(out.join("ro"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_path_is_extracted_with_its_way_and_nothing_follows_links_of_the_target() {
    let raw = Raw::new(64 * MIB);
    let image = image(&raw);
    let (out, outside) = (raw.scratch.out(), raw.scratch.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    symlink(&outside, out.join("etc")).unwrap();
    let into = ["etc/passwd", "lib/a.so", "-C", out.to_str().unwrap()];
    run("extract", &image, &into).status(1).says(["etc exists"]);
    assert!(out.join("usr/lib/a.so").is_file());
    let force = [&into[..], &["-f"]].concat();
    run("extract", &image, &force).done();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::read(out.join("etc/passwd")).unwrap(), b"root:x:0:0\n");
    let missing = out.join("missing");
    let into = ["-C", missing.to_str().unwrap()];
    let refused = run("extract", &image, &into).status(1);
    refused.says(["missing", "No such file"]);
    run("extract", &image, &["etc"]).status(2);
}

#[test]
fn the_file_system_is_the_only_one_or_chosen() {
    let raw = Raw::sgdisk(
        80 * MIB,
        &["--new=1:2048:+20M", "--new=2:0:+20M", "--new=3:0:0"],
    );
    let tree = folder(&raw.scratch);
    raw.fill(MIB, 20 * MIB, |path| mke2fs(path, &tree));
    raw.fill(41 * MIB, 30 * MIB, make("util-linux", "mkswap", &["-q"]));
    let image = raw.image();
    run("cat", &image, &["etc/passwd"]).done().prints("root:x");
    raw.fill(21 * MIB, 20 * MIB, ext4("other"));
    fs::remove_file(&image).unwrap();
    let image = raw.image();
    let refused = run("cat", &image, &["etc/passwd", "--json"]);
    assert_eq!(refused.status, Some(2), "cat has no report");
    let refused = run("ls", &image, &["etc/passwd", "--json"]).status(1);
    refused.clone().says(["1 (ext4)", "2 (ext4)"]);
    let report = refused.json();
    assert_eq!(report["code"], "several-file-systems");
    let follow =
        |report: &Value, at: usize| shell(report["hints"][at]["command"].as_str().unwrap());
    assert_eq!(
        follow(&report, 0).done().json()["entries"][0]["path"],
        "etc/passwd"
    );
    follow(&report, 1).status(1).says(["does not exist"]);
    // Another file system, and none.
    let chosen = run("ls", &image, &["--partition", "3", "--json"]).status(1);
    let report = chosen.json();
    assert_eq!(report["code"], "other-file-system");
    // A swap cannot be mounted, by anybody.
    follow(&report, 0).done();
    let empty = Raw::new(8 * MIB);
    let report = Program::new(["ls", "--json"]).arg(empty.image()).run();
    let report = report.status(1).json();
    assert_eq!(report["code"], "no-file-system");
    follow(&report, 0).done();
    // A tree of GPT is there, and nothing in it.
    sgdisk(&empty.path, &["--new=1:2048:0"]);
}
