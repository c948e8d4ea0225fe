//! Tells the program what it was built from, for `ploopconv --version`.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=PLOOPCONV_TARGET={target}");
    // A build for work on the program is not made again for every commit.
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = release.then(commit).flatten();
    let commit = commit.unwrap_or_else(|| "not known".to_owned());
    println!("cargo:rustc-env=PLOOPCONV_COMMIT={commit}");
}

/// The commit that is checked out; `None` in a package, or without git.
fn commit() -> Option<String> {
    let head = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo:rerun-if-changed={head}");
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    // A repository above the package is somebody else's.
    let inside = std::path::Path::new(".git").exists();
    let output = inside.then(|| Command::new("git").args(args).output().ok())??;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
