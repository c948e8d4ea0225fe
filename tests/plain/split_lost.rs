//! Parts of a disk that a descriptor lost: never the first part alone.

use crate::support::hints::{Right, follow};
use crate::support::image::Version;
use crate::support::split::{Part, SplitBuilder};
use crate::support::{Scratch, convert, info};
use std::fs;

fn two(is_plain: bool) -> SplitBuilder {
    let part = |seed| match is_plain {
        true => Part::plain(seed, 64),
        false => Part::full(seed, Version::V2, 64),
    };
    SplitBuilder::new([part(1), part(2)])
}

/// The text of a descriptor without the size of the disk.
fn without_size(text: &str) -> String {
    let (before, rest) = text.split_once("<Disk_size>").unwrap();
    let (_, after) = rest.split_once("</Disk_size>").unwrap();
    format!("{before}{after}")
}

#[test]
fn a_lost_storage_shows_by_a_file_by_the_size_or_by_another_state_of_the_descriptor() {
    for is_plain in [true, false] {
        for has_size in [true, false] {
            for has_file in [true, false] {
                let disk = two(is_plain);
                let scratch = Scratch::new();
                let split = disk.write(&scratch.source());
                let descriptor = split.dir.join("DiskDescriptor.xml");
                let mut bent = disk.descriptor();
                bent.storages.pop();
                let mut text = bent.xml();
                if !has_size {
                    text = without_size(&text);
                }
                fs::write(&descriptor, text).unwrap();
                if !has_file {
                    fs::remove_file(&split.files[1][0]).unwrap();
                }
                if !has_size && !has_file {
                    continue; // nothing tells
                }
                for option in ["--sparse", "--salvage"] {
                    let run = convert(&split.dir, &scratch.target()).arg(option).run();
                    run.refused(3, &[]);
                }
                let typed = format!("'{}' -o OUT", split.dir.display());
                follow(&scratch, &typed, 3, &Right::Nothing);
            }
        }
    }
}

#[test]
fn an_older_state_of_the_descriptor_that_has_fewer_parts_is_no_disk() {
    // Names that say nothing of parts.
    let disk = two(false);
    let scratch = Scratch::new();
    let split = disk.write(&scratch.source());
    let names = ["a.hds", "b.hds"];
    let rename = |it: &mut crate::support::Descriptor| {
        for (storage, name) in it.storages.iter_mut().zip(names) {
            name.clone_into(&mut storage.images[0].file);
        }
    };
    for (file, name) in split.files.iter().zip(names) {
        fs::rename(&file[0], split.dir.join(name)).unwrap();
    }
    let (mut whole, mut older) = (disk.descriptor(), disk.descriptor());
    rename(&mut whole);
    rename(&mut older);
    older.storages.pop();
    older.disk_size = 64;
    let (current, backup) = (
        split.dir.join("DiskDescriptor.xml"),
        split.dir.join("DiskDescriptor.xml.Backup"),
    );
    let broken = whole.xml().replace("</StorageData>", "");
    for current_text in [whole.xml(), broken] {
        fs::write(&current, current_text).unwrap();
        fs::write(&backup, older.xml()).unwrap();
        convert(&backup, &scratch.target())
            .run()
            .refused(3, &["does not name"]);
    }
    let typed = format!("'{}' -o OUT", split.dir.display());
    follow(&scratch, &typed, 3, &Right::Nothing);
    // And the other way round.
    fs::write(&current, older.xml()).unwrap();
    fs::write(&backup, whole.xml()).unwrap();
    convert(&split.dir, &scratch.target())
        .run()
        .refused(3, &["does not name"]);
    fs::remove_file(&backup).unwrap();
    convert(&split.dir, &scratch.target()).run().status(0);
}

#[test]
fn a_second_fault_of_the_descriptor_does_not_hide_the_parts() {
    let disk = two(false);
    let names = ["a.hds", "b.hds"];
    let faults: [(&str, &str); 7] = [
        ("</StorageData>", ""),
        ("<Storage>", "<Storage \n>"),
        ("<Start>0", "<Start>x"),
        ("{5fba", "{zzzz"),
        (
            "<StorageData>",
            "<StorageData><Volume><Parent>../a</Parent></Volume>",
        ),
        ("StorageData", "Storagedata"),
        ("<Padding>", "<Padding/><Padding>"),
    ];
    for (from, to) in faults {
        let scratch = Scratch::new();
        let split = disk.write(&scratch.source());
        let mut text = disk.descriptor().xml();
        for (file, name) in split.files.iter().zip(names) {
            let old = file[0].file_name().unwrap().to_str().unwrap();
            text = text.replace(old, name);
            fs::rename(&file[0], split.dir.join(name)).unwrap();
        }
        text = text.replace(from, to);
        if from == "<Storage>" {
            text = text.replace("</StorageData>", "");
        }
        let bytes = text.encode_utf16().flat_map(u16::to_le_bytes);
        let mut wide: Vec<u8> = bytes.collect();
        wide.push(b'x');
        for bytes in [text.into_bytes(), wide] {
            fs::write(split.dir.join("DiskDescriptor.xml"), bytes).unwrap();
            for name in names {
                let file = split.dir.join(name);
                let run = convert(&file, &scratch.target())
                    .arg("--single-layer")
                    .run();
                assert_ne!(run.status, Some(0), "{from} {name}: {run:?}");
                let run = convert(&split.dir, &scratch.target());
                let run = run.args(["--layers", name]).run();
                assert_ne!(run.status, Some(0), "{from} {name}: {run:?}");
            }
            scratch.assert_nothing_left();
            let said = info(&split.dir).run();
            assert!(
                !String::from_utf8_lossy(&said.stdout).contains("to read it"),
                "{from}: {said:?}"
            );
        }
    }
}

#[test]
fn a_part_leads_to_the_whole_disk() {
    let disk = two(false);
    let scratch = Scratch::new();
    let split = disk.write(&scratch.source());
    let typed = format!("'{}' -o OUT", split.files[1][0].display());
    let said = follow(&scratch, &typed, 1, &Right::Bytes(disk.content()));
    said.says(["part 1", "split into 2 parts"]);
}
