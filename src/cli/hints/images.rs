//! What to do about an IMAGE that is no disk by itself, or none that is read.

use std::path::{Path, PathBuf};

use ploopconv::ploop::{DescriptorError, HeaderError};
use ploopconv::{Error, Foreign};

use super::{Hint, Typed, bare, quoted, shell_word};

/// The most disks or containers for each of which a command is shown.
const SHOWN: usize = 3;

/// Advice for an error about what was given as IMAGE.
pub(super) fn hint(error: &Error, typed: &Typed) -> Vec<Hint> {
    match error {
        Error::NotPloop { path, found } => not_ploop(path, *found, typed),
        Error::NoImage { path, images } => without_descriptor(path, images, typed),
        Error::Header {
            path,
            source: HeaderError::VersionConversion,
        } => {
            let mut saved = path.as_os_str().to_owned();
            saved.push(".idx");
            let saved = Path::new(&saved);
            if !saved.exists() {
                return Vec::new();
            }
            let text = format!("its table was saved before, in {}", quoted(saved));
            vec![Hint::add(text, "--use-idx", typed)]
        }
        Error::NotALayer { path, layer: 0, .. } => {
            let name = path.file_name().unwrap_or_default();
            let name = shell_word(name);
            vec![Hint::say(format!(
                "if it is a raw disk, say so: --layers raw:{name},…"
            ))]
        }
        Error::Descriptor { path, source } if source.is_damage() => {
            let text = "what else is there, and how it is read without a descriptor";
            Hint::look(text, "info", folder_of(path), typed)
                .into_iter()
                .collect()
        }
        Error::Descriptor {
            source: DescriptorError::Encrypted(_),
            ..
        } => vec![Hint::say(
            "only the product that encrypted it can read its data: decrypt the disk there first",
        )],
        Error::LoneLayer {
            descriptor,
            snapshot,
            ..
        } => {
            let disk = folder_of(descriptor);
            let mut hints = vec![Hint::run("the whole disk, as it is now", typed.again(disk))];
            hints.extend(snapshot.map(|guid| {
                let snapshot = format!("--snapshot {}", bare(&guid.to_string()));
                let command = typed.with(disk, &[snapshot]);
                Hint::run("the disk up to this layer", command)
            }));
            hints.push(alone());
            hints
        }
        Error::UnknownRole { descriptor, .. } => {
            let text = "what is there, and how it is read without a descriptor";
            let look = Hint::look(text, "info", folder_of(descriptor), typed);
            look.into_iter().chain([alone()]).collect()
        }
        Error::Outside { .. } => {
            let text = "if what lies there is the disk that is meant";
            vec![Hint::add(text, "--allow-outside", typed)]
        }
        Error::SeveralDisks { disks: each, .. }
        | Error::Containers {
            containers: each, ..
        } => {
            let name = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
            let hint =
                |path: &PathBuf| Hint::run(format!("to read {}", name(path)), typed.again(path));
            each.iter().take(SHOWN).map(hint).collect()
        }
        Error::Simfs { path, files } => {
            let name = path.file_name().unwrap_or("container".as_ref());
            let mut archive = name.to_owned();
            archive.push(".tar");
            let tar = format!(
                "tar --numeric-owner --xattrs '--xattrs-include=*' --acls --sparse -C {} -cf {} .",
                quoted(files),
                quoted(Path::new(&archive))
            );
            let text = "its files go into an archive, which containers elsewhere are made from";
            vec![Hint::run(text, tar)]
        }
        Error::NoContainer { .. } => vec![Hint::say(
            "name the directory, or say where containers are with --private-dir DIR",
        )],
        _ => Vec::new(),
    }
}

/// No command: the file alone is another disk than the one that was asked for.
fn alone() -> Hint {
    Hint::say(
        "--single-layer reads this file alone, and what other layers hold of the disk as zeros",
    )
}

/// What to do about a folder with images and no descriptor.
fn without_descriptor(folder: &Path, images: &[PathBuf], typed: &Typed) -> Vec<Hint> {
    if images.is_empty() {
        return Vec::new();
    }
    let names: Vec<_> = images.iter().map(|image| quoted(image)).collect();
    let names = match &names[..] {
        [only] => format!("the descriptor is missing, and this image is there: {only}"),
        many => format!(
            "the descriptor is missing, and these images are there: {}",
            many.join(" ")
        ),
    };
    let text = "what they are, and how they are read without it";
    let folder = images.first().map_or(folder, |image| folder_of(image));
    let look = Hint::look(text, "info", folder, typed);
    [Hint::say(names)].into_iter().chain(look).collect()
}

fn not_ploop(path: &Path, found: Foreign, typed: &Typed) -> Vec<Hint> {
    let descriptor = path.with_file_name("DiskDescriptor.xml");
    if descriptor.exists() {
        let text = "there is a DiskDescriptor.xml beside it; to read the disk it describes";
        let command = typed.again(folder_of(&descriptor));
        return vec![Hint::run(text, command)];
    }
    let advice = match found {
        Foreign::Qcow => "use qemu-img, which reads it: qemu-img convert -O raw",
        Foreign::Vmdk | Foreign::Vhd | Foreign::Vhdx | Foreign::Vdi => {
            "use qemu-img convert, which reads it"
        }
        Foreign::Luks => "it needs its key: cryptsetup open",
        Foreign::Raw(_) => "it needs no conversion: use it as it is, or cp --sparse=always",
        Foreign::Packed(_) => "unpack it first",
        _ => return Vec::new(),
    };
    vec![Hint::say(advice)]
}

fn folder_of(descriptor: &Path) -> &Path {
    match descriptor.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
