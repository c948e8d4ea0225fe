//! Where something is mounted.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// As mount(8) takes it: a directory that is there, empty or not; without symbolic links.
pub(super) fn directory(dir: &Path) -> anyhow::Result<PathBuf> {
    let name = dir.display();
    let real = std::fs::canonicalize(dir).with_context(|| format!("mounting on {name}"))?;
    if !real.is_dir() {
        bail!("{name} is not a directory to mount on");
    }
    Ok(real)
}
