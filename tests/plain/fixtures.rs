//! The images of `fixtures/`, which other tools made: every disk reads as `fixtures/README.md`
//! says, at the top and at each snapshot, and nothing is found wrong with any.

use crate::support::fixtures::{Disk, disks, folder, rows};
use crate::support::{Outcome, Program, Scratch, SourceGuard, check, info, map};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tops, one for each image.
fn tops() -> Vec<Disk> {
    disks()
        .into_iter()
        .filter(|disk| disk.snapshot.is_none())
        .collect()
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum")
        .stdin(File::open(path).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "sha256sum {}", path.display());
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

fn files_below(dir: &Path, prefix: &str, found: &mut BTreeMap<String, PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            files_below(&entry.path(), &format!("{name}/"), found);
        } else {
            found.insert(name, entry.path());
        }
    }
}

#[test]
fn the_files_are_those_that_the_readme_lists() {
    let mut found = BTreeMap::new();
    files_below(&folder(), "", &mut found);
    let found: BTreeMap<String, String> = found
        .into_iter()
        .filter(|(name, _)| name.contains('/'))
        .map(|(name, path)| {
            (
                name,
                format!("{} {}", path.metadata().unwrap().len(), sha256(&path)),
            )
        })
        .collect();
    let listed: BTreeMap<String, String> = rows("fixtures-files")
        .into_iter()
        .map(|cells| (cells[2].clone(), format!("{} {}", cells[1], cells[0])))
        .collect();
    assert_eq!(found, listed);
}

#[test]
fn every_disk_converts_to_its_digest() {
    let _guard = SourceGuard::new(&folder());
    for disk in disks() {
        let scratch = Scratch::new();
        disk.done(&disk.convert(&scratch.target()));
        assert_eq!(
            scratch.target().metadata().unwrap().len(),
            disk.size,
            "{disk:?}"
        );
        assert_eq!(sha256(&scratch.target()), disk.digest, "{disk:?}");
    }
}

#[test]
fn every_top_converts_to_its_digest_in_each_sparse_mode_and_to_a_pipe() {
    for disk in tops() {
        for mode in [
            "--sparse",
            "--sparse=auto",
            "--sparse=always",
            "--sparse=never",
        ] {
            let scratch = Scratch::new();
            disk.done(&disk.convert(&scratch.target()).arg(mode));
            assert_eq!(sha256(&scratch.target()), disk.digest, "{mode} {disk:?}");
        }
        let scratch = Scratch::new();
        let piped = disk.done(&disk.convert(Path::new("-")));
        std::fs::write(scratch.target(), &piped.stdout).unwrap();
        assert_eq!(sha256(&scratch.target()), disk.digest, "stdout of {disk:?}");
    }
}

#[test]
fn every_disk_is_what_its_map_says() {
    for disk in disks() {
        let scratch = Scratch::new();
        let report = disk.done(&disk.choose(map(&disk.path()))).json();
        assert_eq!(report["size"].as_u64(), Some(disk.size), "{disk:?}");
        let target = File::create(scratch.target()).unwrap();
        target.set_len(disk.size).unwrap();
        let mut end = 0;
        for extent in report["extents"].as_array().unwrap() {
            let offset = extent["offset"].as_u64().unwrap();
            let length = extent["length"].as_u64().unwrap();
            assert_eq!(offset, end, "extents of {disk:?} follow each other");
            end = offset + length;
            if extent["kind"] == "data" {
                let mut bytes = vec![0; usize::try_from(length).unwrap()];
                let layer =
                    File::open(layer_path(&disk, extent["file"].as_str().unwrap())).unwrap();
                layer
                    .read_exact_at(&mut bytes, extent["host_offset"].as_u64().unwrap())
                    .unwrap();
                target.write_all_at(&bytes, offset).unwrap();
            }
        }
        assert_eq!(end, disk.size, "{disk:?}");
        assert_eq!(sha256(&scratch.target()), disk.digest, "{disk:?}");
    }
}

/// The layer's file, whether the report gives a name or a path.
fn layer_path(disk: &Disk, file: &str) -> PathBuf {
    let path = disk.path();
    let dir = if path.is_dir() {
        path
    } else {
        path.parent().unwrap().to_owned()
    };
    dir.join(Path::new(file).file_name().unwrap())
}

#[test]
fn nothing_is_wrong_with_any_disk() {
    for disk in disks() {
        let unusual: &[&str] = if disk.is_unusual() {
            &["cluster-size-unusual"]
        } else {
            &[]
        };
        let checked: Outcome = disk.choose(check(&disk.path())).run().status(0);
        assert_eq!(checked.json()["verdict"], "clean", "{disk:?}");
        assert_eq!(checked.codes(), unusual, "{disk:?}");
        let told = disk.choose(info(&disk.path())).run().status(0);
        let report = told.json();
        assert_eq!(report["virtual_size"].as_u64(), Some(disk.size), "{disk:?}");
        assert_eq!(report["in_use"], false, "{disk:?}");
        assert_eq!(report["damaged"], false, "{disk:?}");
    }
}

#[test]
fn the_container_of_the_readme_converts_by_every_name_it_has() {
    let top = tops()
        .into_iter()
        .find(|disk| disk.image.starts_with("101/"))
        .unwrap();
    let by_path = ["101", "101/root.hdd", "101/root.hdd/DiskDescriptor.xml"]
        .map(|name| vec![folder().join(name).into_os_string()]);
    let by_id = vec![
        "101".into(),
        "--private-dir".into(),
        folder().into_os_string(),
    ];
    for image in by_path.into_iter().chain([by_id]) {
        let scratch = Scratch::new();
        let target = scratch.target();
        Program::new(&image)
            .args(["-o".as_ref(), target.as_os_str(), "--sparse".as_ref()])
            .run()
            .done();
        assert_eq!(sha256(&target), top.digest, "{image:?}");
    }
}

#[test]
fn the_layers_of_the_container_are_told_apart() {
    let report = info(&folder().join("101")).run().status(0).json();
    let layers = report["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 3);
    for (number, layer) in layers.iter().enumerate() {
        assert_eq!(layer["layer"], number);
        assert_eq!(layer["format"], "ploop2");
        assert_eq!(layer["cluster_size"], 32768);
        assert_eq!(layer["bat_entries"], 512);
    }
    assert_eq!(layers[1]["guid"], "{10101013-5151-4222-8333-444444444444}");
    assert_eq!(layers[2]["guid"], "{5fbaabe3-6958-40ff-92a7-860e329aab41}");
    let base = info(&folder().join("raw-base")).run().status(0).json();
    assert_eq!(base["layers"][0]["format"], "raw");
    assert_eq!(base["layers"][1]["format"], "ploop2");
}
