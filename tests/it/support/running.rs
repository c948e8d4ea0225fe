//! Conversions that are looked at while they run.

use super::image::{Fill, ImageBuilder};
use super::{Scratch, names_in, program};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An image of this many megabytes of data, so that its conversion takes a while.
pub(crate) fn big(scratch: &Scratch, clusters: u32) -> PathBuf {
    let path = scratch.source().join("disk.hds");
    let image = ImageBuilder::v2().cluster_sectors(2048).clusters(clusters);
    (0..clusters)
        .fold(image, |image, k| image.fill(k, Fill::Byte(k as u8 | 1)))
        .write(&path);
    path
}

/// Sends a signal by name.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {}", child.id())])
        .status()
        .unwrap();
    assert!(status.success(), "kill -{name}");
}

/// Starts a conversion and stops it in its middle, when its partial file has just come to be.
pub(crate) fn stopped_in_its_middle(image: &Path, target: &Path, args: &[&str]) -> Child {
    let out = target.parent().unwrap();
    let child = Command::new(program::path())
        .arg(image)
        .arg("-o")
        .arg(target)
        .args(["-j", "1"])
        .args(args)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let partial = loop {
        let found = names_in(out)
            .into_iter()
            .find(|name| name.starts_with(".disk.raw.part-"));
        if let Some(name) = found {
            break name;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "no partial file came to be: {:?}",
            names_in(out)
        );
    };
    signal(&child, "STOP");
    assert!(
        out.join(partial).exists(),
        "the conversion was over before it was stopped"
    );
    child
}
