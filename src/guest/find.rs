//! Where a container's configuration lies.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::config::{Config, MOST};
use crate::error::{Error, Result};
use crate::util::bytes::to_u64;

/// Where OpenVZ's hosts keep configurations: OpenVZ and Virtuozzo, Proxmox before 4, OpenVZ before
/// 2008.
pub const HOST_FOLDERS: &[&str] = &[
    "/etc/vz/conf",
    "/etc/pve/openvz",
    "/etc/sysconfig/vz-scripts",
];

/// Where OpenVZ keeps containers, unless their configuration says otherwise.
const PRIVATE_FOLDERS: &[&str] = &["/vz/private", "/var/lib/vz/private"];

/// The files that may be the configuration of the container `id`, whose private area is `area`:
/// beside its disk first, then in the folders of its host.
#[must_use]
pub fn candidates(area: &Path, id: Option<&str>, host_folders: &[&Path]) -> Vec<PathBuf> {
    let mut found = vec![area.join("ve.conf")];
    let id = id.or_else(|| area.file_name()?.to_str());
    let is_name = |id: &&str| !id.is_empty() && *id != ".." && !id.contains(['/', '\0']);
    if let Some(id) = id.filter(is_name) {
        let names = host_folders.iter();
        found.extend(names.map(|folder| folder.join(format!("{id}.conf"))));
    }
    found
}

/// The configuration of the container whose private area is `area`, and where it was found. One in
/// a host's folder counts only where it says that this area is the container's: a backup may have
/// the number of a container that this host has.
///
/// # Errors
///
/// What the operating system says about a file that is there, and
/// [`ConfigError`](super::ConfigError) where it is none.
pub fn find_config(
    area: &Path,
    id: Option<&str>,
    host_folders: &[&Path],
) -> Result<Option<(PathBuf, Config)>> {
    // The folder that a link leads to has the number.
    let area = area.canonicalize().unwrap_or_else(|_| area.to_owned());
    for path in candidates(&area, id, host_folders) {
        // A link to a configuration of a host that is not here any more is none.
        if !path.is_file() {
            continue;
        }
        let config = read_config(&path)?;
        let is_beside = path.parent() == Some(area.as_path());
        if is_beside || is_of(&config, &path, &area) {
            return Ok(Some((path, config)));
        }
    }
    Ok(None)
}

/// Reads the configuration in a file, and no more of it than a configuration may have.
///
/// # Errors
///
/// What the operating system says, and [`ConfigError`](super::ConfigError).
pub fn read_config(path: &Path) -> Result<Config> {
    let doing = "reading the container's configuration in";
    let mut bytes = Vec::new();
    let most = to_u64(MOST) + 1;
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|source| Error::io(doing, path, source))?;
    Config::parse(&bytes).map_err(|error| Error::during(doing, error).of(path))
}

/// The private area that the configuration of the container `id` names itself.
#[must_use]
pub fn private_area(config: &Config, id: &str) -> Option<PathBuf> {
    let said = config.get("VE_PRIVATE").filter(|said| !said.is_empty())?;
    let said = said.replace("${VEID}", id).replace("$VEID", id);
    Some(PathBuf::from(said))
}

/// Whether the configuration `ID.conf` is that of the container in `area`.
fn is_of(config: &Config, path: &Path, area: &Path) -> bool {
    let Some(id) = path.file_stem().and_then(|id| id.to_str()) else {
        return false;
    };
    let folders: Vec<PathBuf> = match private_area(config, id) {
        Some(said) => vec![said],
        None => {
            let folders = PRIVATE_FOLDERS.iter();
            folders.map(|folder| Path::new(folder).join(id)).collect()
        }
    };
    let is_area =
        |folder: &PathBuf| folder == area || folder.canonicalize().is_ok_and(|f| f == area);
    folders.iter().any(is_area)
}
