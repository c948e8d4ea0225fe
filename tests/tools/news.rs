//! The three news of every reader of a format: this is another format, this is not supported, this
//! is corrupt. A caller acts differently on each, so they are never mixed up.

use crate::support::divided::{MIB, Raw};
use crate::support::qcow2::qemu_img;
use crate::support::{ChainBuilder, Descriptor, ImageBuilder, ImageFile, Scratch};
use ploopconv::disk::RawDisk;
use ploopconv::format::qcow2::{Qcow2Disk, ReadError};
use ploopconv::partition::{self, PartitionError, TableKind};
use ploopconv::ploop::{DescriptorError, HeaderError, IfInUse, OpenError, OpenOptions, examine};
use ploopconv::{Detail, Error, ErrorKind};
use std::fs;
use std::path::Path;

use ErrorKind::{Corrupt, InUse, Input, NotThisFormat, Unsupported};

/// Why a ploop disk cannot be opened and read.
#[track_caller]
fn refusal(path: &Path) -> Error {
    let opened = examine(path, &OpenOptions::default());
    let disk = opened.and_then(|found| found.into_disk(IfInUse::Refuse));
    disk.expect_err("a disk that is refused")
}

/// The detail of an error of this kind.
#[track_caller]
fn told<D: Detail>(error: &Error, kind: ErrorKind) -> &D {
    assert_eq!(error.kind(), kind, "{error:?}");
    error.detail().unwrap_or_else(|| panic!("{error:?}"))
}

fn image(spoil: impl FnOnce(&mut ImageFile)) -> Error {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    let mut image = ImageBuilder::v2().store_all([1, 0, 2]).build();
    spoil(&mut image);
    image.write(&path);
    refusal(&path)
}

#[test]
fn of_a_ploop_header() {
    let other = image(|image| {
        image.put(0, b"KDMV");
    });
    assert!(matches!(
        told(&other, NotThisFormat),
        OpenError::NotPloop { .. }
    ));
    // There is no feature that a header names and that is not read.
    for (at, word, why) in [
        (16, 7, HeaderError::Type(7)),
        (28, 0, HeaderError::ClusterSize(0)),
    ] {
        let corrupt = image(|image| {
            image.put_u32(at, word);
        });
        assert_eq!(told::<HeaderError>(&corrupt, Corrupt), &why);
        assert!(corrupt.path().unwrap().ends_with("disk.hds"));
    }
    let short = image(|image| {
        image.set_len(40);
    });
    assert_eq!(
        told::<HeaderError>(&short, Corrupt),
        &HeaderError::Truncated { len: 40 }
    );
    let used = image(|image| {
        image.put_u32(44, 0x746f_6e59);
    });
    assert!(matches!(told(&used, InUse), OpenError::InUse { .. }));
}

/// A BAT is named by a header that is right already, and has no features: it is right or corrupt.
#[test]
fn of_a_bat() {
    let past_the_end = image(|image| {
        image.put_u32(64, 99_999);
    });
    let OpenError::Damaged { first, others, .. } = told(&past_the_end, Corrupt) else {
        panic!("{past_the_end:?}");
    };
    assert_eq!((first.kind.code(), *others), ("entry-past-end", 0));
    let truncated = image(|image| {
        image.set_len(66);
    });
    assert!(matches!(
        told(&truncated, Corrupt),
        HeaderError::TruncatedBat { .. }
    ));
}

fn chain() -> ChainBuilder {
    ChainBuilder::base(&ImageBuilder::v2().store_all([0, 1, 2]))
}

fn descriptor(bend: impl FnOnce(&mut Descriptor)) -> Error {
    let scratch = Scratch::new();
    refusal(&chain().write_with(&scratch.source(), bend).dir)
}

fn text(text: &str) -> Error {
    let scratch = Scratch::new();
    refusal(&chain().write_text(&scratch.source(), text).dir)
}

#[test]
fn of_a_descriptor() {
    let other = text("<?xml version=\"1.0\"?><domain type=\"kvm\"/>");
    let expected = DescriptorError::NotADescriptor("domain".to_owned());
    assert_eq!(told::<DescriptorError>(&other, NotThisFormat), &expected);

    let padded = descriptor(|it| it.padding = 7);
    assert_eq!(
        told::<DescriptorError>(&padded, Unsupported),
        &DescriptorError::Padding(7)
    );
    let encrypted = descriptor(|it| {
        let engine = "{12345678-0000-0000-0000-000000000000}";
        let engine = format!("<Encryption><Engine>{engine}</Engine></Encryption>");
        it.parameters = engine;
    });
    assert!(matches!(
        told(&encrypted, Unsupported),
        DescriptorError::Encrypted(_)
    ));

    let cut = text("<?xml version=\"1.0\"?><Parallels_disk_image>");
    assert!(matches!(told(&cut, Corrupt), DescriptorError::Xml(_)));
    let unnamed = descriptor(|it| it.images()[0].guid = "nonsense".to_owned());
    assert!(matches!(told(&unnamed, Corrupt), DescriptorError::Guid(_)));

    // What the descriptor does not have is a matter of the question.
    let scratch = Scratch::new();
    let chain = chain().write(&scratch.source());
    let options = OpenOptions {
        snapshot: Some("no such name".parse().unwrap()),
        ..OpenOptions::default()
    };
    let error = examine(&chain.dir, &options).unwrap_err();
    assert!(matches!(told(&error, Input), OpenError::Select { .. }));
}

fn table(raw: &Raw) -> Error {
    let disk = RawDisk::open(&raw.path).unwrap();
    let found = partition::read(&disk).and_then(|layout| layout.partition(9).cloned());
    found.expect_err("no ninth partition")
}

/// Tables have versions and sizes of entries, but only one of each is ever written: another one is
/// damage. An extended partition is no feature that is missing, its logical ones are read.
#[test]
fn of_a_gpt() {
    let plain = Raw::new(4 * MIB);
    let expected = PartitionError::NoTable { whole: None };
    assert_eq!(
        told::<PartitionError>(&table(&plain), NotThisFormat),
        &expected
    );

    let gpt = || Raw::sgdisk(4 * MIB, &["-n", "1:0:0"]);
    let raw = gpt();
    assert!(matches!(
        told(&table(&raw), Input),
        PartitionError::NoSuchPartition { .. }
    ));
    // One copy is enough, both have to be wrong.
    raw.write(&[0xff; 4], 512 + 16);
    assert_eq!(table(&raw).kind(), Input);
    raw.write(&[0xff; 4], 4 * MIB - 512 + 16);
    let PartitionError::Table { kind, .. } = told::<PartitionError>(&table(&raw), Corrupt).clone()
    else {
        panic!("{:?}", table(&raw));
    };
    assert_eq!(kind, TableKind::Gpt);
}

#[test]
fn of_an_mbr() {
    let raw = Raw::new(4 * MIB);
    let entry = |first: u32, sectors: u32| {
        let mut entry = [0; 16];
        entry[4] = 0x83;
        entry[8..12].copy_from_slice(&first.to_le_bytes());
        entry[12..].copy_from_slice(&sectors.to_le_bytes());
        entry
    };
    raw.write(&entry(2048, 2048), 446);
    assert_eq!(table(&raw).kind(), NotThisFormat);
    raw.write(&[0x55, 0xaa], 510);
    assert_eq!(table(&raw).kind(), Input);
    raw.write(&entry(2048, 1 << 20), 446);
    let PartitionError::Table { kind, .. } = told::<PartitionError>(&table(&raw), Corrupt).clone()
    else {
        panic!("{:?}", table(&raw));
    };
    assert_eq!(kind, TableKind::Mbr);
}

#[test]
fn of_a_qcow2_image() {
    let scratch = Scratch::new();
    let path = scratch.path().join("disk.qcow2");
    let name = path.to_str().unwrap();
    qemu_img(["create", "-q", "-f", "qcow2", name, "1M"]);
    let sound = fs::read(&path).unwrap();
    assert!(Qcow2Disk::open(&path).is_ok());
    let reason = |at: usize, bytes: &[u8], kind| {
        let mut spoiled = sound.clone();
        spoiled[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&path, spoiled).unwrap();
        let error = Qcow2Disk::open(&path).unwrap_err();
        assert_eq!(error.path(), Some(path.as_path()));
        told::<ReadError>(&error, kind).clone()
    };
    assert_eq!(reason(0, b"KDMV", NotThisFormat), ReadError::Magic);
    assert_eq!(reason(4, &[0, 0, 0, 9], Unsupported), ReadError::Version(9));
    assert_eq!(reason(32, &[0, 0, 0, 1], Unsupported), ReadError::Encrypted);
    assert_eq!(reason(72, &[0x80], Unsupported), ReadError::Feature(63));
    assert_eq!(reason(79, &[1], InUse), ReadError::Dirty);
    assert_eq!(reason(79, &[2], Corrupt), ReadError::Corrupt);
    assert_eq!(
        reason(20, &[0, 0, 0, 40], Corrupt),
        ReadError::ClusterBits(40)
    );
}
