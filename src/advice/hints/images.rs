//! What to do about an IMAGE that is no disk by itself, or none that is read.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use ploopconv::format::by_extension;
use ploopconv::ploop::{DescriptorError, Guid, HeaderError, OpenError, bundle_disks};
use ploopconv::util::paths::folder_of;
use ploopconv::{Detail, Error, ErrorKind, Foreign};

use super::hint::{Hint, bare};
use super::retry::Typed;
use crate::advice::shell::{quoted, shell_word};

/// The most disks or containers for each of which a command is shown.
const SHOWN: usize = 3;

/// Advice for a file of the image that cannot be used; `None` where the error is about something
/// else.
pub(super) fn of_file(error: &Error, typed: &Typed) -> Option<Vec<Hint>> {
    let path = error.path()?;
    if let Some(error) = error.detail() {
        return Some(of_descriptor(path, error, typed));
    }
    match error.detail()? {
        HeaderError::VersionConversion => Some(saved_table(path, typed)),
        _ => None,
    }
}

/// Advice for an error about what was given as IMAGE.
pub(super) fn hint(error: &OpenError, typed: &Typed) -> Vec<Hint> {
    match error {
        OpenError::NotPloop { path, found } => not_ploop(path, *found, typed),
        OpenError::NoImage { path, images } => without_descriptor(path, images, typed),
        OpenError::NotALayer { path, layer: 0, .. } => {
            let name = path.file_name().unwrap_or_default();
            let name = shell_word(name);
            vec![Hint::say(format!(
                "if it is a raw disk, say so: --layers raw:{name},…"
            ))]
        }
        OpenError::LoneLayer {
            descriptor,
            snapshot,
            part,
            ..
        } => {
            let mut hints = lone_layer(folder_of(descriptor), *snapshot, typed);
            // A part of a disk is never read alone.
            hints.extend(part.is_none().then(alone));
            hints
        }
        OpenError::UnknownRole { descriptor, .. } => {
            let text = "what is there, and how it is read without a descriptor";
            let look = Hint::look(text, "info", folder_of(descriptor), typed);
            look.into_iter().chain([alone()]).collect()
        }
        // No command: whether the file is this disk's own is not known here.
        OpenError::Outside { .. } => vec![Hint::say(
            "--allow-outside follows it, where you know that this file is the disk's own",
        )],
        OpenError::SeveralDisks { path, disks } | OpenError::NoSuchDisk { path, disks, .. } => {
            several_disks(path, disks, typed)
        }
        OpenError::Containers {
            containers: each, ..
        } => {
            let name = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
            let hint =
                |path: &PathBuf| Hint::run(format!("to read {}", name(path)), typed.again(path));
            each.iter().take(SHOWN).map(hint).collect()
        }
        OpenError::Simfs { path, files } => simfs(path, files),
        OpenError::NoContainer { .. } => vec![Hint::say(
            "name the directory, or say where containers are with --private-dir DIR",
        )],
        _ => Vec::new(),
    }
}

/// A command for each disk of a directory, with what its configuration calls it.
fn several_disks(dir: &Path, disks: &[PathBuf], typed: &Typed) -> Vec<Hint> {
    /// No machine has more.
    const MOST: usize = 16;
    let known = bundle_disks(dir);
    let hint = |path: &PathBuf| {
        let mut text = path.file_name().unwrap_or_default().display().to_string();
        if let Some(disk) = known.iter().find(|disk| disk.path == *path) {
            text += &disk
                .number
                .map_or_else(String::new, |it| format!(", disk {it}"));
            let label = disk.label.as_deref().filter(|it| !text.contains(*it));
            text += &label.map_or_else(String::new, |it| format!(", {it:?}"));
        }
        Hint::run(format!("to read {text}"), typed.again(path))
    };
    let there = disks.iter().filter(|path| path.exists());
    let mut hints: Vec<_> = there.take(MOST).map(hint).collect();
    if matches!(typed.command(), None | Some("convert")) && !typed.has("disk") && hints.len() > 1 {
        hints.push(Hint::say(
            "to convert all of them: --disks, with a folder as the target",
        ));
    }
    hints
}

/// The table that an interrupted version conversion saved, where it is there.
fn saved_table(image: &Path, typed: &Typed) -> Vec<Hint> {
    let mut saved = image.as_os_str().to_owned();
    saved.push(".idx");
    let saved = Path::new(&saved);
    if !saved.exists() {
        return Vec::new();
    }
    let text = format!("its table was saved before, in {}", quoted(saved));
    vec![Hint::add(text, "--use-idx", typed)]
}

/// What to do about a descriptor that cannot be used.
fn of_descriptor(path: &Path, error: &DescriptorError, typed: &Typed) -> Vec<Hint> {
    match error {
        error if error.kind() == ErrorKind::Corrupt => {
            let text = "what else is there, and how it is read without a descriptor";
            let look = Hint::look(text, "info", folder_of(path), typed);
            look.into_iter().collect()
        }
        DescriptorError::Encrypted(_) => vec![Hint::say(
            "only the product that encrypted it can read its data: decrypt the disk there first",
        )],
        DescriptorError::NotADescriptor(_) if path.extension().is_some_and(|end| end == "pvs") => {
            let text = "to read the disk of the bundle that it belongs to";
            vec![Hint::run(text, typed.again(folder_of(path)))]
        }
        _ => Vec::new(),
    }
}

/// The disks that one of its layers belongs to.
fn lone_layer(disk: &Path, snapshot: Option<Guid>, typed: &Typed) -> Vec<Hint> {
    let whole = typed.with(disk, &[]);
    let mut hints = vec![Hint::run("the whole disk, as it is now", whole)];
    hints.extend(snapshot.map(|guid| {
        let snapshot = format!("--snapshot {}", bare(&guid.to_string()));
        let command = typed.with(disk, &[snapshot]);
        Hint::run("the disk up to this layer", command)
    }));
    hints
}

/// What becomes of a container that has files and no disk.
fn simfs(container: &Path, files: &Path) -> Vec<Hint> {
    let name = container.file_name().unwrap_or("container".as_ref());
    let mut archive = name.to_owned();
    archive.push(".tar");
    let archive = Path::new(&archive);
    // A command that is pasted replaces no file.
    if archive.exists() {
        let text = "tar packs its files, into a file that is not there yet";
        return vec![Hint::say(text)];
    }
    let tar = format!(
        "tar --numeric-owner --xattrs '--xattrs-include=*' --acls --sparse -C {} -cf {} .",
        quoted(files),
        quoted(archive)
    );
    let text = "its files go into an archive, which containers elsewhere are made from";
    vec![Hint::run(text, tar)]
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
    other_kind(path, found, typed)
}

/// What reads a file of another kind.
fn other_kind(path: &Path, found: Foreign, typed: &Typed) -> Vec<Hint> {
    let (file, target) = (quoted(path), typed.target());
    let qemu_img = |format| {
        if matches!(typed.command(), Some("info" | "check" | "map")) {
            let command = format!("qemu-img info -f {format} {file}");
            return vec![Hint::run("qemu-img reads it", command)];
        }
        // A command that is pasted replaces no file.
        if typed.target_path().is_some_and(|target| target.exists()) {
            let text =
                format!("qemu-img reads it (-f {format}), into a file that is not there yet");
            return vec![Hint::say(text)];
        }
        let asked = typed.value("format").and_then(OsStr::to_str);
        let by_name = typed.target_path().and_then(|target| by_extension(&target));
        let made = asked.or(by_name.map(|known| known.name)).unwrap_or("raw");
        let command = format!("qemu-img convert -f {format} -O {made} {file} {target}");
        vec![Hint::run("qemu-img reads it", command)]
    };
    match found {
        // What is made of it otherwise would not boot.
        Foreign::Qcow | Foreign::Raw(_) if typed.is_for_machine() => {
            let text = "--for kvm takes a container's image, or a disk that it made itself";
            vec![Hint::say(text)]
        }
        Foreign::Qcow => qemu_img("qcow2"),
        Foreign::Vmdk => qemu_img("vmdk"),
        Foreign::Vhd => qemu_img("vpc"),
        Foreign::Vhdx => qemu_img("vhdx"),
        Foreign::Vdi => qemu_img("vdi"),
        Foreign::Qed => qemu_img("qed"),
        Foreign::Dmg => qemu_img("dmg"),
        Foreign::Luks => vec![Hint::say("it needs its key: cryptsetup open")],
        // No command: it may be the base of layers, a part, or a copy that was cut short.
        Foreign::Raw(_) => vec![Hint::say(
            "a raw disk needs no conversion: if it is the whole disk, it is used as it is",
        )],
        Foreign::Iso => vec![Hint::run(
            "to see what it holds",
            format!("bsdtar -tf {file}"),
        )],
        Foreign::Acronis => vec![Hint::say(
            "only Acronis's own programs read it: restore the disk there, as a raw or VHDX image",
        )],
        Foreign::ParallelsPackage => vec![Hint::say(
            "Parallels Desktop unpacks it (prlctl unpack); \
             the .pvm bundle that it makes is read here",
        )],
        Foreign::Wim => vec![Hint::say("wimlib-imagex (package wimtools) unpacks it")],
        Foreign::Packed(how) => vec![match unpack(how, path) {
            Some(command) => Hint::run("unpack it first", command),
            None => Hint::say(format!("unpack it first, with {how}")),
        }],
        _ => Vec::new(),
    }
}

/// The command that unpacks a file beside where the user is, and keeps the file; `None` where it
/// would replace another one.
fn unpack(how: &str, path: &Path) -> Option<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let lower = name.to_ascii_lowercase();
    let short = [".tgz", ".tbz", ".tbz2", ".txz", ".tzst"];
    let is_tar = lower.contains(".tar") || short.iter().any(|end| lower.ends_with(end));
    let file = quoted(path);
    // What is left of the name without its last part.
    let stem = path.file_stem().unwrap_or_default().to_owned();
    let mut other = stem.clone();
    other.push(".unpacked");
    let is_free = |into: &OsString| **into != *name && !Path::new(into).exists();
    let into = [stem, other].into_iter().find(is_free);
    Some(match how {
        "tar" => format!("tar -xf {file}"),
        "zip" => format!("unzip {file}"),
        "7z" => format!("7z x {file}"),
        "rar" => format!("bsdtar -xf {file}"),
        "cpio" => format!("cpio --extract --make-directories --file={file}"),
        "gzip" | "xz" | "bzip2" | "zstd" | "lz4" | "lzop" if is_tar => {
            format!("{how} -dc {file} | tar -xf -")
        }
        how => format!("{how} -dc {file} > {}", quoted(Path::new(&into?))),
    })
}
