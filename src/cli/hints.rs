//! What to type next, where there is something to type.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use ploopconv::attach::AttachError;
use ploopconv::partition::FileSystem;
use ploopconv::ploop::{FindingKind, HeaderError, SelectError};
use ploopconv::qcow2::LayoutError;
use ploopconv::source::is_bad_sector;
use ploopconv::{Error, Foreign, text};

/// Lines of advice for an error; `None` where the error says it all.
///
/// `retry` gives the command that was typed, for another IMAGE and its options.
pub(crate) fn hint(error: &Error, retry: &dyn Fn(&str) -> String) -> Option<String> {
    let advice = match error {
        Error::NotPloop { path, found } => return not_ploop(path, *found, retry),
        Error::NoImage { images, .. } => match &images[..] {
            [] => return None,
            [only] => format!(
                "the descriptor is missing; if the disk has no snapshots, read the image alone: {}",
                retry(&quoted(only))
            ),
            many => {
                let names = many.iter().map(|image| quoted(image));
                let names: Vec<_> = names.collect();
                let folder = many
                    .first()
                    .map_or(Path::new("."), |image| folder_of(image));
                format!(
                    "the descriptor is missing, and these images are there: {}\n\
                     what they are, and how they are read without it: ploopconv info {}",
                    names.join(" "),
                    quoted(folder)
                )
            }
        },
        Error::Header {
            path,
            source: HeaderError::VersionConversion,
        } => {
            let mut saved = path.as_os_str().to_owned();
            saved.push(".idx");
            let saved = Path::new(&saved);
            if !saved.exists() {
                return None;
            }
            let name = quoted(saved);
            format!("its table was saved before, in {name}: add --use-idx to read that one")
        }
        Error::NotALayer { path, layer: 0, .. } => {
            let name = path.file_name().unwrap_or_default();
            format!(
                "if it is a raw disk, say so: --layers raw:{},…",
                shell_word(name)
            )
        }
        Error::Descriptor { path, .. } => format!(
            "what else is there, and how it is read without a descriptor: ploopconv info {}",
            quoted(folder_of(path))
        ),
        Error::Io { doing, source, .. }
            if doing.starts_with("reading") && is_bad_sector(source) =>
        {
            "to read on over what the device does not give, add --salvage".to_owned()
        }
        Error::LoneLayer {
            path,
            descriptor,
            snapshot,
            ..
        } => {
            let disk = quoted(folder_of(descriptor));
            let mut advice = format!("the whole disk, as it is now: {}", retry(&disk));
            if let Some(guid) = snapshot {
                advice += &format!(
                    "\nthe disk up to this layer: {}",
                    retry(&format!("{disk} --snapshot {}", bare(&guid.to_string())))
                );
            }
            advice
                + &format!(
                    "\nthis file alone: {}",
                    retry(&format!("{} --single-layer", quoted(path)))
                )
        }
        Error::UnknownRole { path, .. } => format!(
            "to read the file alone all the same: {}",
            retry(&format!("{} --single-layer", quoted(path)))
        ),
        Error::Outside { .. } => "if what lies there may be read, add --allow-outside".to_owned(),
        Error::InUse { kind, .. } => in_use(*kind).to_owned(),
        Error::Changed { .. } => {
            "stop whatever writes to it, or convert a copy or a snapshot".to_owned()
        }
        Error::NoSuchPartition { available, .. } if available.is_empty() => {
            "its partition table is empty; without --partition the whole disk is read".to_owned()
        }
        Error::NoSuchPartition { available, .. } | Error::ExtendedPartition { available, .. } => {
            let numbers: Vec<_> = available.iter().map(ToString::to_string).collect();
            format!("there are: {}", numbers.join(" "))
        }
        Error::NoTable {
            whole: Some(FileSystem::Luks),
        } => "without --partition the encrypted disk is read as it is; its partitions can be \
              seen after cryptsetup open"
            .to_owned(),
        Error::NoTable { .. } | Error::PartitionTable { .. } => {
            "without --partition the whole disk is read".to_owned()
        }
        Error::NoRoom { .. } => {
            "choose a target with more room; zeros that are stored need none with --sparse"
                .to_owned()
        }
        Error::TargetExists { .. } => "add -f to replace it".to_owned(),
        Error::NoContainer { .. } => {
            "name the directory, or say where containers are with --private-dir DIR".to_owned()
        }
        Error::Damaged { path, first, .. } => {
            let salvage = "\nto convert what is left, with zeros for the rest: add --salvage";
            format!(
                "to see everything that is wrong: ploopconv check {}{}",
                quoted(path),
                if first.kind.is_salvageable() {
                    salvage
                } else {
                    ""
                }
            )
        }
        Error::Select {
            source: SelectError::NoSuchSnapshot { available, .. } | SelectError::NoTop(available),
            ..
        } => {
            let guids: Vec<_> = available.iter().map(ToString::to_string).collect();
            let guids: Vec<_> = guids.iter().map(|guid| bare(guid)).collect();
            format!("choose one of these with --snapshot: {}", guids.join(" "))
        }
        Error::Qcow2 {
            source: LayoutError::TooLarge {
                enough: Some(size), ..
            },
        } => format!("add --cluster-size {size}"),
        Error::Unplanned { .. } => {
            "stop whatever writes to the image, or convert a copy or a snapshot".to_owned()
        }
        Error::Attach {
            source: AttachError::NotAttached { .. },
        } => "to see what is attached: ploopconv attached".to_owned(),
        Error::Io { source, .. } if source.kind() == ErrorKind::FileTooLarge => {
            "the file system (or a limit of this shell) takes no file of this size".to_owned()
        }
        _ => return None,
    };
    Some(advice)
}

/// What to do about a sign that an image is in use.
fn in_use(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Attached => {
            "stop the container (or unmount the image), or take a snapshot and read that"
        }
        FindingKind::Locked | FindingKind::OpenForWriting => {
            "let it end first; with --allow-dirty the image is read all the same, and refused at \
             the end if it changed"
        }
        _ => "stop the container (or unmount the image) first; if it crashed, add --allow-dirty",
    }
}

fn not_ploop(path: &Path, found: Foreign, retry: &dyn Fn(&str) -> String) -> Option<String> {
    let descriptor = path.with_file_name("DiskDescriptor.xml");
    if descriptor.exists() {
        return Some(format!(
            "there is a DiskDescriptor.xml beside it; to read the disk it describes: {}",
            retry(&quoted(folder_of(&descriptor)))
        ));
    }
    let advice = match found {
        Foreign::Qcow => "use qemu-img, which reads it: qemu-img convert -O raw",
        Foreign::Vmdk | Foreign::Vhd | Foreign::Vhdx | Foreign::Vdi => {
            "use qemu-img convert, which reads it"
        }
        Foreign::Luks => "it needs its key: cryptsetup open",
        Foreign::Raw(_) => "it needs no conversion: use it as it is, or cp --sparse=always",
        Foreign::Packed(_) => "unpack it first",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn folder_of(descriptor: &Path) -> &Path {
    match descriptor.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A GUID without its braces, which some shells would read as their own.
fn bare(guid: &str) -> &str {
    guid.trim_start_matches('{').trim_end_matches('}')
}

/// A path as a shell and this program take it.
pub(crate) fn quoted(path: &Path) -> String {
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return quoted(&Path::new(".").join(path));
    }
    shell_word(path.as_os_str())
}

/// A word of a command line as a shell takes it.
pub(crate) fn shell_word(word: &OsStr) -> String {
    // A name with a line end must not look like a line of ours.
    let text = text::safe(&word.to_string_lossy()).into_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_pasted_into_a_shell() {
        assert_eq!(quoted(Path::new("/vz/private/101")), "/vz/private/101");
        assert_eq!(quoted(Path::new("my disk's")), r"'my disk'\''s'");
        assert_eq!(quoted(Path::new("-o")), "./-o");
        assert_eq!(quoted(Path::new("root.hdd.{a}")), "'root.hdd.{a}'");
    }
}
