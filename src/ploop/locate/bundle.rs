//! The bundle of a virtual machine (`.pvm`): its disks, and what its configuration calls them.
//!
//! Parallels products keep `config.pvs` in it, with a `<Hdd>` for each disk: `<SystemName>` is its
//! folder, `<UserFriendlyName>` what people see, `<Index>` its number.

use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};

use crate::error::{Error, Result};
use crate::ploop::check::{Finding, FindingKind as Kind};
use crate::ploop::descriptor::decode;
use crate::ploop::error::OpenError;
use crate::ploop::folders::{bundles_in, is_directory};
use crate::ploop::gate::composed;

const CONFIG: &str = "config.pvs";

/// A disk that a folder or its configuration has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleDisk {
    /// Where it lies, or should.
    pub path: PathBuf,
    /// Its number in the configuration.
    pub number: Option<u32>,
    /// What people call it.
    pub label: Option<String>,
    /// Whether the configuration names it.
    pub is_configured: bool,
}

/// A disk as the configuration names it.
struct Named {
    file: String,
    number: Option<u32>,
    label: Option<String>,
}

/// Whether a folder is the bundle of a virtual machine.
pub(in crate::ploop) fn is_bundle(dir: &Path) -> bool {
    dir.join(CONFIG).is_file()
}

/// The disks in a folder and those that its configuration names, there or not: first those with a
/// number, in the order of their numbers.
#[must_use]
pub fn bundle_disks(dir: &Path) -> Vec<BundleDisk> {
    let named = read(dir).and_then(|read| read.ok()).unwrap_or_default();
    let mut disks: Vec<_> = named.into_iter().map(|named| placed(dir, named)).collect();
    disks.sort_by_key(|disk| (disk.number.is_none(), disk.number));
    for path in bundles_in(dir).unwrap_or_default() {
        if !disks.iter().any(|disk| is_same(&disk.path, &path)) {
            disks.push(BundleDisk {
                path,
                number: None,
                label: None,
                is_configured: false,
            });
        }
    }
    disks
}

/// A disk of the configuration, where it lies. Bundles are moved, and absolute names stay: what
/// they lead to is looked for in the bundle where it is not there any more.
fn placed(dir: &Path, named: Named) -> BundleDisk {
    let unix = named.file.replace('\\', "/");
    let path = dir.join(&unix);
    let last = unix.trim_end_matches('/').rsplit('/').next();
    let inside = last.map(|last| dir.join(last)).filter(|path| path.is_dir());
    BundleDisk {
        path: inside.filter(|_| !path.is_dir()).unwrap_or(path),
        number: named.number,
        label: named.label,
        is_configured: true,
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// The disk that a person calls so: by the name of its folder, with or without its ending, or by
/// the one that people see, and only where no disk has the name by its number.
pub(super) fn chosen(dir: &Path, name: &str) -> Result<PathBuf> {
    let disks = bundle_disks(dir);
    let (by_name, by_number) = (called(&disks, name), numbered(&disks, name));
    let found = if by_name.is_empty() {
        by_number
    } else {
        by_name
    };
    match found[..] {
        [only] if is_directory(&only.path)? => Ok(only.path.clone()),
        [only] => {
            // Not there, or no directory.
            let listed = std::fs::read_dir(&only.path).map(|_| only.path.clone());
            listed.map_err(|error| Error::io("opening", &only.path, error))
        }
        _ => Err(OpenError::NoSuchDisk {
            path: dir.to_owned(),
            name: name.to_owned(),
            found: found.len(),
            disks: disks.into_iter().map(|disk| disk.path).collect(),
        }
        .into()),
    }
}

/// The disks of a name. The whole name of a folder comes before a part of it, and that before what
/// people see.
fn called<'a>(disks: &'a [BundleDisk], name: &str) -> Vec<&'a BundleDisk> {
    let wanted = composed(name);
    let is = |text: Option<&str>| text.is_some_and(|text| composed(text) == wanted);
    let ways: [&dyn Fn(&BundleDisk) -> bool; 3] = [
        &|disk| is(disk.path.file_name().and_then(|name| name.to_str())),
        &|disk| is(disk.path.file_stem().and_then(|name| name.to_str())),
        &|disk| is(disk.label.as_deref()),
    ];
    let found = ways.into_iter().map(|way| {
        let found = disks.iter().filter(|disk| way(disk));
        found.collect::<Vec<_>>()
    });
    found
        .into_iter()
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

fn numbered<'a>(disks: &'a [BundleDisk], name: &str) -> Vec<&'a BundleDisk> {
    let number = name.parse::<u32>().ok();
    let disks = disks.iter();
    disks
        .filter(|disk| number.is_some() && disk.number == number)
        .collect()
}

/// What is worth saying about the configuration of the bundle that `input` stands for.
pub(in crate::ploop) fn findings_of(input: &Path, disk: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let about = |message| Finding {
        file: Some(input.join(CONFIG)),
        ..Finding::new(Kind::BundleConfig, message)
    };
    if let Some(Err(why)) = read(input) {
        findings.push(about(format!(
            "{why}, so the names and numbers of the disks are not known"
        )));
    }
    let Some(name) = disk else {
        return findings;
    };
    let disks = bundle_disks(input);
    let (by_name, by_number) = (called(&disks, name), numbered(&disks, name));
    if let ([named], [numbered]) = (&by_name[..], &by_number[..])
        && named != numbered
    {
        let name_of = |disk: &BundleDisk| {
            let name = disk.path.file_name().unwrap_or_default();
            Path::new(name).display().to_string()
        };
        findings.push(about(format!(
            "{name} is the name of {} and the number of {}: the one of that name is read",
            name_of(named),
            name_of(numbered)
        )));
    }
    findings
}

/// The disks that the configuration names; nothing where there is none, and a sentence where it
/// cannot be used.
fn read(dir: &Path) -> Option<std::result::Result<Vec<Named>, String>> {
    /// Far more than any writer makes.
    const MOST: u64 = 4 << 20;
    let file = dir.join(CONFIG);
    let meta = std::fs::metadata(&file).ok()?;
    if !meta.is_file() {
        return None;
    }
    if meta.len() > MOST {
        return Some(Err("it is too long for a configuration".to_owned()));
    }
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) => return Some(Err(format!("it cannot be read: {error}"))),
    };
    Some(parse(&bytes).ok_or_else(|| "it is no configuration".to_owned()))
}

fn parse(bytes: &[u8]) -> Option<Vec<Named>> {
    /// A few for each of some thousand settings.
    const ATTRIBUTES: usize = 16_384;
    let text = decode(bytes)?;
    // The parser compares attributes with each other.
    if text.bytes().filter(|&byte| byte == b'=').count() > ATTRIBUTES {
        return None;
    }
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: 100_000,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&text, options).ok()?;
    let nodes = document.descendants();
    let disks = nodes.filter(|node| node.has_tag_name("Hdd"));
    Some(disks.filter_map(named).collect())
}

/// A disk in an image; a disk of the machine itself has no folder.
fn named(node: Node<'_, '_>) -> Option<Named> {
    let text = |name| {
        let child = node.children().find(|child| child.has_tag_name(name))?;
        let text = child.text()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let file = text("SystemName")?;
    let is_image = file
        .trim_end_matches(['/', '\\'])
        .to_lowercase()
        .ends_with(".hdd");
    is_image.then(|| Named {
        file,
        number: text("Index").and_then(|index| index.parse().ok()),
        label: text("UserFriendlyName"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_read_in_any_encoding_and_those_of_the_machine_left_out() {
        let text = r#"<?xml version="1.0"?><ParallelsVirtualMachine><Hardware>
          <Hdd id="0"><Index>0</Index><SystemName>a.hdd</SystemName>
            <UserFriendlyName>Macintosh</UserFriendlyName></Hdd>
          <Hdd id="1"><Index>1</Index><SystemName>Disk 2</SystemName></Hdd>
          </Hardware></ParallelsVirtualMachine>"#;
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [text.as_bytes(), &wide] {
            let disks = parse(bytes).unwrap();
            assert_eq!(disks.len(), 1);
            assert_eq!(disks[0].file, "a.hdd");
            assert_eq!(disks[0].number, Some(0));
            assert_eq!(disks[0].label.as_deref(), Some("Macintosh"));
        }
        assert!(parse(b"\xff\xfe\xfd").is_none());
    }
}
