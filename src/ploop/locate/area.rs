//! A directory that is no disk: a container's private area, the bundle of a virtual machine, the
//! folder of all containers.

use std::path::{Path, PathBuf};

use super::bundle;
use crate::error::{Error, Result};
use crate::ploop::error::OpenError;
use crate::ploop::folders::{
    DESCRIPTOR, ROOT_DISK, bundles_in, entries, is_container_id, is_directory,
};
use crate::source::is_there;

/// The disk that a directory stands for: `root.hdd`, or the only bundle; `None` where it holds no
/// disk.
pub(super) fn disk_in(dir: &Path) -> Result<Option<PathBuf>> {
    let root_disk = dir.join(ROOT_DISK);
    // In a virtual machine no name is that of the main disk.
    if is_there(&root_disk)? && !bundle::is_bundle(dir) {
        return Ok(Some(root_disk));
    }
    let mut disks = bundles_in(dir)?;
    match disks.len() {
        0 | 1 => Ok(disks.pop()),
        _ => Err(OpenError::SeveralDisks {
            path: dir.to_owned(),
            disks,
        }
        .into()),
    }
}

/// What a directory without a disk is, where that can be said.
pub(super) fn what_else(dir: &Path) -> Option<Error> {
    match judge(dir) {
        Ok(found) => found,
        Err(error) => Some(error),
    }
}

fn judge(dir: &Path) -> Result<Option<Error>> {
    if let Some(files) = root_of_files(dir)? {
        return Ok(Some(
            OpenError::Simfs {
                path: dir.to_owned(),
                files,
            }
            .into(),
        ));
    }
    let mut containers = Vec::new();
    for path in entries(dir)? {
        let is_id = path
            .file_name()
            .is_some_and(|name| is_container_id(Path::new(name)));
        if is_id && is_area(&path) {
            containers.push(path);
        }
    }
    containers.sort_unstable();
    Ok((!containers.is_empty()).then(|| {
        OpenError::Containers {
            path: dir.to_owned(),
            containers,
        }
        .into()
    }))
}

/// Whether a directory is a container's private area, as far as this user may look.
fn is_area(dir: &Path) -> bool {
    let has_disk = |dir: &Path| !matches!(disk_in(dir), Ok(None));
    let has_files = |dir: &Path| matches!(root_of_files(dir), Ok(Some(_)));
    is_directory(dir).unwrap_or(true) && (has_disk(dir) || has_files(dir))
}

/// The folder that is the root of a container without a disk: the private area itself, or `fs` in
/// it (Virtuozzo).
fn root_of_files(dir: &Path) -> Result<Option<PathBuf>> {
    for root in [dir.join("fs"), dir.to_owned()] {
        let mut known = 0_u32;
        for name in ["bin", "sbin", "usr", "var", "lib", "home", "root"] {
            known = known.saturating_add(u32::from(is_there(&root.join(name))?));
        }
        // Every system has `etc`, and more than a few of the others.
        if known >= 3 && is_directory(&root.join("etc"))? {
            return Ok(Some(root));
        }
    }
    Ok(None)
}

/// The disks of the container in this private area besides the one that it stands for.
pub(super) fn other_disks(dir: &Path, config_dir: &Path) -> Vec<PathBuf> {
    let Ok(Some(main)) = disk_in(dir) else {
        return Vec::new();
    };
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut found = bundles_in(dir).unwrap_or_default();
    found.extend(configured(dir, config_dir));
    let named = bundle::bundle_disks(dir).into_iter();
    found.extend(
        named
            .filter(|disk| disk.is_configured)
            .map(|disk| disk.path),
    );
    let mut seen = vec![real(&main)];
    found.retain(|disk| {
        let real = real(disk);
        let new = !seen.contains(&real);
        seen.push(real);
        new
    });
    found
}

/// The disks that a container's configuration names: `ve.conf` in the private area, or `ID.conf`.
fn configured(dir: &Path, config_dir: &Path) -> Vec<PathBuf> {
    /// Far more than any configuration.
    const MOST: u64 = 1 << 20;
    let id = dir.canonicalize().ok();
    let id = id.as_deref().and_then(Path::file_name).unwrap_or_default();
    let mut by_id = id.to_owned();
    by_id.push(".conf");
    let files = [dir.join("ve.conf"), config_dir.join(by_id)];
    let is_small = |file: &&PathBuf| {
        let meta = std::fs::metadata(file);
        meta.is_ok_and(|meta| meta.is_file() && meta.len() <= MOST)
    };
    let text = files.iter().filter(is_small).find_map(|file| {
        let bytes = std::fs::read(file).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    });
    let disks = text.as_deref().map(disks_of).unwrap_or_default();
    disks.into_iter().map(|disk| dir.join(disk)).collect()
}

/// The images in the lines `DISK="…"` of a configuration. Versions of the tools separate their
/// fields in several ways, and name the image `image=`, or nothing at all.
fn disks_of(config: &str) -> Vec<&str> {
    let is_disk = |key: &str| {
        let number = key.trim().strip_prefix("DISK");
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let values = config.lines().filter_map(|line| line.split_once('='));
    let values = values.filter(|(key, _)| is_disk(key));
    let fields = values.flat_map(|(_, value)| {
        value.split(|c: char| c.is_whitespace() || [',', ';', ':', '"', '\''].contains(&c))
    });
    let image = |field| match str::split_once(field, '=') {
        Some(("image" | "path", image)) => Some(image),
        Some(_) => None,
        None => Some(field).filter(|field| Path::new(field).extension().is_some()),
    };
    let images = fields.filter_map(image).filter(|image| !image.is_empty());
    // The descriptor of a disk stands for its folder.
    let folder = |image| str::strip_suffix(image, DESCRIPTOR).unwrap_or(image);
    images.map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_of_a_configuration_are_found_however_their_fields_are_separated() {
        let config = "
DISKSPACE=\"1:2\"
DISK_QUOTA=yes
#DISK=\"image=/no.hdd\"
DISK=\"uuid={1f0c6f0e},image=/vz/data.hdd,mnt=/data enabled=yes,image=other.hdd/DiskDescriptor.xml\"
DISK1='logs.hdd;mnt=/var/log'
";
        assert_eq!(disks_of(config), ["/vz/data.hdd", "other.hdd/", "logs.hdd"]);
    }
}
