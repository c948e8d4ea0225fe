//! What is built for users: a Debian package, a program that needs no library of its host, and what
//! is measured.

use crate::support::guide::Guide;
use crate::support::{Scratch, names_in};
use crate::tools::tool;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a script of `packaging/`, and gives the path it prints.
fn build(script: &str, args: &[&Path]) -> PathBuf {
    let mut command = Command::new(root().join("packaging").join(script));
    // What the test runner tells cargo is not meant for another cargo.
    for name in ["CARGO_TARGET_DIR", "RUSTFLAGS"] {
        command.env_remove(name);
    }
    let printed = tool("cargo", command.args(args));
    root().join(printed.lines().last().unwrap())
}

/// A folder that is the root of its own small system, with the fixtures in it.
fn chroot(scratch: &Scratch) -> PathBuf {
    let dir = scratch.out().join("root");
    std::fs::create_dir(&dir).unwrap();
    let fixtures = root().join("fixtures/101");
    tool(
        "coreutils",
        Command::new("cp").arg("-a").arg(fixtures).arg(&dir),
    );
    dir
}

fn run_in(dir: &Path, line: &[&str]) -> String {
    tool("coreutils", Command::new("chroot").arg(dir).args(line))
}

#[test]
fn the_static_program_runs_where_there_is_nothing_else() {
    let scratch = Scratch::new();
    let program = build("static", &[]);
    let dir = chroot(&scratch);
    std::fs::copy(program, dir.join("ploopconv")).unwrap();
    assert_eq!(names_in(&dir), ["101", "ploopconv"]);
    assert!(run_in(&dir, &["/ploopconv", "info", "/101"]).contains("ext4"));
    run_in(
        &dir,
        &[
            "/ploopconv",
            "/101",
            "-o",
            "/disk.raw",
            "--checksum",
            "--verify",
        ],
    );
    run_in(
        &dir,
        &["/ploopconv", "/101", "-o", "/disk.qcow2", "--compress"],
    );
    run_in(&dir, &["/ploopconv", "verify", "/disk.raw"]);
    run_in(&dir, &["/ploopconv", "compare", "/disk.raw", "/disk.qcow2"]);
    tool(
        "coreutils",
        Command::new("sha256sum")
            .args(["-c", "disk.raw.sha256"])
            .current_dir(&dir),
    );
}

#[test]
fn the_debian_package_is_sound_installs_works_and_goes_again() {
    let scratch = Scratch::new();
    let package = build("deb", &[&scratch.out().join("package")]);
    let complaints = Command::new("lintian")
        .args(["--allow-root", "--no-tag-display-limit"])
        .arg(&package)
        .output()
        .expect("lintian is in the Debian package lintian");
    let complaints = String::from_utf8_lossy(&complaints.stdout).into_owned();
    assert!(
        !complaints.lines().any(|line| line.starts_with("E:")),
        "{complaints}"
    );

    // A database of its own, so that nothing is installed on the machine that runs the tests.
    let dir = chroot(&scratch);
    let admin = dir.join("var/lib/dpkg");
    for sub in ["info", "updates", "triggers"] {
        std::fs::create_dir_all(admin.join(sub)).unwrap();
    }
    for file in ["status", "available"] {
        std::fs::write(admin.join(file), "").unwrap();
    }
    let dpkg = |action: &str, what: &Path| {
        tool(
            "dpkg",
            Command::new("dpkg")
                .arg(format!("--root={}", dir.display()))
                .args(["--force-depends", "--log=/dev/null", action])
                .arg(what),
        )
    };
    dpkg("--install", &package);
    for file in [
        "usr/bin/ploopconv",
        "usr/share/man/man1/ploopconv.1.gz",
        "usr/share/man/man1/ploopconv-convert.1.gz",
        "usr/share/bash-completion/completions/ploopconv",
        "usr/share/zsh/vendor-completions/_ploopconv",
        "usr/share/fish/vendor_completions.d/ploopconv.fish",
        "usr/share/doc/ploopconv/README.md",
        "usr/share/doc/ploopconv/docs/json.md",
        "usr/share/doc/ploopconv/copyright",
    ] {
        assert!(dir.join(file).exists(), "{file}");
    }
    let program = dir.join("usr/bin/ploopconv");
    let depends = tool(
        "dpkg",
        Command::new("dpkg-deb")
            .arg("-f")
            .arg(&package)
            .arg("Depends"),
    );
    assert_eq!(depends.split(" (").next().unwrap(), "libc6", "{depends}");
    let version = tool("ploopconv", Command::new(&program).arg("-V"));
    assert_eq!(
        version,
        concat!("ploopconv ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let image = dir.join("101");
    let info = tool("ploopconv", Command::new(&program).arg("info").arg(&image));
    assert!(info.contains("ext4"), "{info}");

    dpkg("--purge", Path::new("ploopconv"));
    assert!(!program.exists());
}

/// With less data and one round: that they run and compare what is read, not what they measure.
#[test]
fn the_measurements_of_the_page_can_be_repeated() {
    // The machines' cache that all tests share.
    let scratch = Scratch::new();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm");
    std::fs::create_dir_all(&cache).unwrap();
    std::os::unix::fs::symlink(cache, scratch.out().join("ploopconv-vm")).unwrap();
    let page = Guide::read("docs/performance.md").blocks(&["performance-repeat"]);
    let page = page
        .at("serve 9 512", "serve 1 8")
        .at("attach 7 128", "attach 1 8")
        .at(
            "benches/compare",
            "benches/compare --dir \"$PWD/target\" --rounds 1 \
             --large 0.02 --small 0.02 --tiny 0.02 \
             --only 'sha256|xfs, shuffled|check|Cold|three|4 TiB'",
        );
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(page.script("")).env_remove("RUSTFLAGS");
    shell.env("XDG_CACHE_HOME", scratch.out());
    let printed = shell.current_dir(root()).output().unwrap().stdout;
    page.compare(&String::from_utf8_lossy(&printed));
}
