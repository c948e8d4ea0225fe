//! What has to change in a container's files so that another host starts them.
//!
//! Pure: a tree of files and a configuration go in, changes come out, each with its reason. What
//! writes a target lays them over the tree. All knowledge about distributions is here, in tables.
//!
//! ```
//! # fn example(tree: &dyn ploopconv::tree::Tree) -> ploopconv::Result<()> {
//! use ploopconv::guest::{Config, Kind, changes};
//!
//! let config = Config::parse(b"HOSTNAME=\"www.example.org\"\n").map_err(ploopconv::Error::from)?;
//! for change in changes(tree, &config, Kind::Lxc)? {
//!     let path = String::from_utf8_lossy(&change.path);
//!     println!("{} /{path}: {}", change.what.name(), change.reason);
//! }
//! # Ok(())
//! # }
//! ```

mod change;
mod changed;
mod config;
mod draft;
mod find;
mod incus;
mod machine;
mod next;
mod proxmox;
mod receiver;
mod rules;
mod system;
mod view;

pub use change::{Change, What};
pub use changed::ChangedTree;
pub use config::{Address, Config, ConfigError, ConfigProblem, Interface, LeftOut, Quantity};
pub use find::{HOST_FOLDERS, candidates, find_config, private_area, read_config};
pub use incus::metadata_yaml;
pub use machine::{RootFileSystem, modules_folder, needs_vsyscall, needs_writable_root, own_boot};
pub use next::{Archive, Hint, MachineDisk, next, next_of_machine};
pub use proxmox::vps_conf;
pub use receiver::{Kind, Network, Receiver};
pub use system::{Family, Init, System, identify};

use self::draft::Draft;
use self::view::View;
use crate::error::Result;
use crate::tree::Tree;

/// The container's configuration as `./etc/vzdump/vps.conf` in `tree`, where `pct restore` looks
/// for it: see [`vps_conf`]. These changes are beside those of [`changes`].
///
/// # Errors
///
/// What the tree says.
pub fn configuration(tree: &dyn Tree, config: &Config, disk_size: u64) -> Result<Vec<Change>> {
    let mut draft = Draft::new(View(tree));
    draft.remove(
        "etc/vzdump/pct.conf",
        "the configuration of an older backup, which Proxmox would take instead",
    )?;
    let reason = "the container's configuration, which pct restore converts and removes";
    draft.remove("etc/vzdump/vps.conf", reason)?;
    let text = vps_conf(config, disk_size);
    draft.create("etc/vzdump/vps.conf", 0o600, &text, reason)?;
    Ok(draft.into_changes())
}

/// What has to change in `tree`, whose container had `config`, for `receiver`: in the order of the
/// paths, each path once. A second call with what the first one left changes nothing more.
///
/// Links are followed inside the tree only; a change never lies outside, and its path has no link
/// in it. What is missing is no error, and what is not understood stays as it is.
///
/// # Errors
///
/// What the tree says: a file that is damaged is not guessed.
pub fn changes(
    tree: &dyn Tree,
    config: &Config,
    receiver: impl Into<Receiver>,
) -> Result<Vec<Change>> {
    let system = identify(tree)?;
    let mut draft = Draft::new(View(tree));
    rules::apply(&mut draft, &system, config, &receiver.into())?;
    Ok(draft.into_changes())
}
