//! `qemu-img` as a witness of what images and chains hold. It is given copies, read-only, and
//! only images that it is known to read right.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Converts a chain with `qemu-img`, each layer a node of its own. `files` are the layers, base
/// first, and whether each is raw.
pub fn qemu_convert(files: &[(PathBuf, bool)], target: &Path) {
    let mut node = String::new();
    for (file, raw) in files {
        let driver = if *raw { "raw" } else { "parallels" };
        let mut over = format!(
            "{{\"driver\":\"{driver}\",\"file\":{{\"driver\":\"file\",\"filename\":\"{}\"}}",
            file.display()
        );
        if !node.is_empty() {
            let _ = write!(over, ",\"backing\":{node}");
        }
        over.push('}');
        node = over;
    }
    let output = Command::new("qemu-img")
        .args(["convert", "-O", "raw"])
        .arg(format!("json:{node}"))
        .arg(target)
        .output()
        .expect("qemu-img runs (Debian package qemu-utils)");
    assert!(
        output.status.success(),
        "qemu-img: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
