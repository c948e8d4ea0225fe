//! Outside tools beyond `qemu-img convert`, each asked for what it knows. They get copies: `ploop`
//! writes into images that it only checks.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Layers base first, and whether each is raw.
pub type Layers = Vec<(PathBuf, bool)>;

/// Offset, length, and the layer and host offset where the run is stored.
pub type Run = (u64, u64, Option<(usize, u64)>);

/// Runs a tool of a Debian package and gives its standard output; fails with what it said.
#[track_caller]
pub fn tool(package: &str, command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "{}: {error}; it is in the Debian package {package}",
            command.get_program().display()
        )
    });
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{text}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// libnbd's shell, with the system's Python: another one in the path does not have the module.
pub fn nbdsh() -> Command {
    let mut command = Command::new("/usr/bin/nbdsh");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// Where `qemu-img map` finds the chain's bytes; neighbours that continue each other are one.
#[track_caller]
pub fn qemu_map(layers: &Layers) -> Vec<Run> {
    let node = layers.iter().fold(Value::Null, |below, (file, raw)| {
        let driver = if *raw { "raw" } else { "parallels" };
        let mut node = json!({"driver": driver, "file": {"driver": "file", "filename": file}});
        if !below.is_null() {
            node["backing"] = below;
        }
        node
    });
    let node = format!("json:{node}");
    let text = tool(
        "qemu-utils",
        Command::new("qemu-img")
            .args(["map", "--output=json"])
            .arg(node),
    );
    let report: Value = serde_json::from_str(&text).unwrap();
    let mut runs: Vec<Run> = Vec::new();
    for extent in report.as_array().unwrap() {
        let number = |name: &str| extent[name].as_u64().unwrap();
        let (offset, length) = (number("start"), number("length"));
        let place = (extent["data"] == true).then(|| {
            (
                layers.len() - 1 - usize::try_from(number("depth")).unwrap(),
                number("offset"),
            )
        });
        if let Some((_, last, before)) = runs.last_mut() {
            let continues = match (&before, &place) {
                (None, None) => true,
                (Some((a, from)), Some((b, to))) => a == b && *from + *last == *to,
                _ => false,
            };
            if continues {
                *last += length;
                continue;
            }
        }
        runs.push((offset, length, place));
    }
    runs
}

/// Merges a chain into a raw disk with Debian's `ploop`, which changes a raw base where it is.
#[track_caller]
pub fn ploop_merge(layers: &Layers, target: &Path) {
    let mut command = Command::new("ploop");
    command.args(["merge", "-f", "raw"]);
    let (base, base_is_raw) = &layers[0];
    if !base_is_raw {
        command.arg("-n").arg(target);
    }
    tool(
        "ploop",
        command.args(layers.iter().rev().map(|(file, _)| file)),
    );
    if *base_is_raw {
        std::fs::rename(base, target).unwrap();
    }
}

/// Merges a chain of images into its base with Debian's `ploop`.
#[track_caller]
pub fn ploop_merge_in_place(layers: &Layers) {
    tool(
        "ploop",
        Command::new("ploop")
            .arg("merge")
            .args(layers.iter().rev().map(|(file, _)| file)),
    );
}

/// Grows an image to this many sectors with Debian's `ploop`.
#[track_caller]
pub fn ploop_grow(file: &Path, sectors: u64) {
    tool(
        "ploop",
        Command::new("ploop")
            .args(["grow", "-s", &sectors.to_string()])
            .arg(file),
    );
}

/// Debian's `ploop check`, the full one, on an image that is not to be changed.
#[track_caller]
pub fn ploop_check(file: &Path) {
    tool(
        "ploop",
        Command::new("ploop")
            .args(["check", "--force", "--ro"])
            .arg(file),
    );
}
