//! What is no disk by itself stays refused, whatever option or hint is followed: encrypted images,
//! parts of split disks, cut raw disks; deltas come with a warning.

use crate::support::hints::{Right, cut_off, follow, image, quoted, shell, three};
use crate::support::image::pattern;
use crate::support::{Chain, ChainBuilder, Scratch, TOP, convert, guid};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub(crate) fn encrypted(scratch: &Scratch, layers: usize) -> Chain {
    let mut chain = ChainBuilder::base(&image(1).store_all([0, 2]));
    for layer in 1..layers {
        chain = chain.child(&image(layer as u64 + 1).store(1));
    }
    chain.write_with(&scratch.source(), |descriptor| {
        descriptor.parameters =
            "<Encryption><Engine>{12345678-1111-4222-8333-444444444444}</Engine></Encryption>"
                .to_owned();
    })
}

#[test]
fn an_encrypted_disk_is_refused_under_every_option_and_every_hint() {
    for layers in 1..=2 {
        for damage in ["", "</broken>"] {
            let scratch = Scratch::new();
            let chain = encrypted(&scratch, layers);
            let text = fs::read_to_string(chain.descriptor()).unwrap();
            fs::write(chain.descriptor(), format!("{text}{damage}")).unwrap();
            assert_never_read(&scratch, &chain.dir, &chain.files);

            // The copy that Parallels products keep says it too.
            let backup = chain.dir.join("DiskDescriptor.xml.Backup");
            fs::rename(chain.descriptor(), backup).unwrap();
            assert_never_read(&scratch, &chain.dir, &chain.files);
        }
    }
}

/// No image of the chain is read in any way that a user can ask for.
#[track_caller]
pub(crate) fn assert_never_read(scratch: &Scratch, dir: &Path, files: &[PathBuf]) {
    let names: Vec<_> = files
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let dir = quoted(dir);
    let mut lines = vec![
        format!("{dir} -o OUT"),
        format!("info {dir}"),
        format!("{dir} --layers '{}' -o OUT", names.join(",")),
        format!("{dir} --layers 'raw:{}' -o OUT", names.join(",")),
        format!("{dir} --allow-outside -o OUT"),
        format!("{dir} --allow-dirty --salvage -o OUT"),
    ];
    for file in files {
        let file = quoted(file);
        lines.push(format!("{file} -o OUT"));
        lines.push(format!("{file} --single-layer -o OUT"));
        lines.push(format!("{file} --single-layer --salvage -o OUT"));
    }
    for line in lines {
        let target = scratch.target();
        let run = shell(&format!(
            "ploopconv {}",
            line.replace("OUT", target.to_str().unwrap())
        ));
        assert_ne!(run.status, Some(0), "{line}");
        assert!(!target.exists(), "{line}");
        let status = run.status.unwrap();
        follow(scratch, &line, status, &Right::Nothing);
    }
}

#[test]
fn parts_of_a_split_disk_are_refused_under_every_option_and_every_hint() {
    let id = guid(5);
    let kinds: [&dyn Fn(usize) -> String; 5] = [
        &|part| format!("my disk.hdd.{part}.{TOP}.hds"),
        &|part| format!("my disk.hdd.{part}.{}.hds", guid(5)),
        &|part| format!("h.hdd.{part}.hds"),
        &|part| format!("my disk-f{:03}.hds", part + 1),
        &|part| format!("s-s{:03}.hds", part + 1),
    ];
    for named in kinds {
        for with_descriptor in [true, false] {
            let scratch = Scratch::new();
            let dir = scratch.source();
            let files: Vec<PathBuf> = (0..2).map(|at| dir.join(named(at))).collect();
            for (seed, file) in (1..).zip(&files) {
                image(seed).store_all([0, 1]).write(file);
            }
            if with_descriptor {
                let storages: String = (0..2)
                    .map(|at| {
                        let (start, end) = (at * 256, (at + 1) * 256);
                        let file = named(at);
                        format!(
                            "<Storage><Start>{start}</Start><End>{end}</End><Image>\
                             <GUID>{id}</GUID><Type>Compressed</Type>\
                             <File>{file}</File></Image></Storage>"
                        )
                    })
                    .collect();
                let text = format!("<a><StorageData>{storages}</StorageData></a>");
                fs::write(dir.join("DiskDescriptor.xml"), text).unwrap();
            }
            if !with_descriptor {
                assert_never_read(&scratch, &dir, &files);
                continue;
            }
            // The whole disk is right, and nothing else is read.
            let part = |seed| image(seed).store_all([0, 1]).build().model("").content();
            let content = [part(1), part(2)].concat();
            for file in &files {
                let right = Right::Bytes(content.clone());
                follow(&scratch, &format!("{} -o OUT", quoted(file)), 1, &right);
                for options in ["--single-layer", "--single-layer --salvage"] {
                    let typed = format!("{} {options} -o OUT", quoted(file));
                    follow(&scratch, &typed, 1, &Right::Nothing);
                }
                let name = file.file_name().unwrap().to_str().unwrap();
                for layers in [name.to_owned(), format!("raw:{name}")] {
                    let typed = format!("{} --layers '{layers}' -o OUT", quoted(&dir));
                    follow(&scratch, &typed, 1, &Right::Nothing);
                }
            }
        }
    }
}

#[test]
fn a_delta_alone_is_no_disk_whatever_its_producer_calls_it() {
    let id = guid(7);
    let bare = id.trim_matches(['{', '}']);
    for name in [
        format!("root.hds.{id}"),
        format!("root.hdd.{id}"),
        format!("root.hds.{bare}"),
        format!("harddisk.hdd.0.{id}.hds"),
        format!("harddisk.hdd.0.{}.hds", id.to_uppercase()),
        format!("Win 10.hdd.0.{id}.hds.bak"),
        format!("root.hds.{id} (copy)"),
        format!("{id}.hds"),
        format!("{bare}.hds"),
    ] {
        let scratch = Scratch::new();
        let file = scratch.source().join(&name);
        image(2).store(1).write(&file);
        let run = convert(&file, &scratch.target()).run();
        run.status(0).says(["warning", "[single-layer]"]);
        // Its folder is not said to be a disk.
        let typed = format!("info {}", quoted(&scratch.source()));
        let said = follow(&scratch, &typed, 1, &Right::Nothing);
        assert!(!String::from_utf8_lossy(&said.stdout).contains("to read it"));
        let _ = fs::remove_file(scratch.target());
    }
    for name in [format!("harddisk.hdd.0.{TOP}.hds"), "root.hds".to_owned()] {
        let scratch = Scratch::new();
        let file = scratch.source().join(&name);
        image(2).store(1).write(&file);
        convert(&file, &scratch.target()).run().done();
    }
}

#[test]
fn a_raw_disk_that_was_cut_stays_refused_where_its_label_or_folder_is_wrong() {
    // Nothing in it says how long it was: only the descriptor does.
    let cut = |bend: fn(&mut crate::support::Descriptor)| {
        let scratch = Scratch::new();
        let chain = ChainBuilder::raw_base(&pattern(3, 0, 4 * 32768), 64)
            .write_with(&scratch.source(), bend);
        cut_off(&chain.files[0], 32768);
        scratch
    };
    for scratch in [
        cut(|_| {}),
        cut(|descriptor| "Compressed".clone_into(&mut descriptor.images()[0].kind)),
    ] {
        let dir = quoted(&scratch.source());
        let by_hand = format!("{dir} --layers raw:root.hds -o OUT");
        for typed in [format!("{dir} -o OUT"), by_hand] {
            follow(&scratch, &typed, 3, &Right::Nothing);
        }
    }
}

#[test]
fn a_link_to_a_part_a_delta_or_an_encrypted_image_is_what_it_leads_to() {
    let scratch = Scratch::new();
    let dir = scratch.source();
    let part = dir.join(format!("h.hdd.1.{TOP}.hds"));
    image(1).store(0).write(&part);
    symlink(&part, scratch.path().join("part")).unwrap();
    let link = quoted(&scratch.path().join("part"));
    for option in ["", "--single-layer"] {
        let typed = format!("{link} {option} -o OUT");
        follow(&scratch, &typed, 1, &Right::Nothing).says(["part 1"]);
    }

    let delta = dir.join(format!("root.hds.{}", guid(5)));
    image(1).store(0).write(&delta);
    symlink(&delta, scratch.path().join("delta")).unwrap();
    let run = convert(&scratch.path().join("delta"), &scratch.target()).run();
    run.status(0).says(["[single-layer]"]);

    let scratch = Scratch::new();
    let chain = encrypted(&scratch, 1);
    let backup = chain.dir.join("DiskDescriptor.xml.Backup");
    fs::rename(chain.descriptor(), backup).unwrap();
    symlink(&chain.files[0], scratch.path().join("link")).unwrap();
    let typed = format!("{} -o OUT", quoted(&scratch.path().join("link")));
    follow(&scratch, &typed, 1, &Right::Nothing).says(["encrypted"]);
}

#[test]
fn a_lowest_layer_that_is_a_delta_is_warned_about_by_hand_too() {
    let scratch = Scratch::new();
    let chain = three(&scratch, false);
    let names: Vec<_> = chain
        .files
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let by_hand = |layers: &str| {
        let _ = fs::remove_file(scratch.target());
        let run = convert(&chain.dir, &scratch.target()).args(["--layers", layers]);
        run.run().status(0)
    };
    by_hand(&names[1]).says(["[single-layer]"]);
    by_hand(&names[1..].join(",")).says(["[single-layer]"]);
    by_hand(&names.join(",")).done();
}
