//! `batch` where a source or a target fails on the way.

use crate::support::bad_sectors::BadSectors;
use crate::support::image::ImageBuilder;
use crate::support::samples::disk;
use crate::support::system::Mounted;
use crate::support::{Program, Scratch, SourceGuard, names_in};
use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn batch(private: &Path, out: &Path) -> Program {
    Program::new(["batch", "--all"])
        .arg(private)
        .arg("-o")
        .arg(out)
}

#[test]
fn a_source_with_a_bad_sector_fails_alone_and_with_salvage_it_is_done() {
    let scratch = Scratch::new();
    let private = scratch.source().join("private");
    for id in 1..6 {
        disk(&private.join(format!("{id}/root.hdd")), id);
    }
    let bad = disk(&private.join("9/bad.hdd"), 9);
    let image = private.join("9/bad.hdd/root.hds");
    let name = "bad.hdd/root.hds";
    assert!(image.is_file());
    let sector = std::fs::metadata(&image).unwrap().len() / 512 - 3;
    let bad_sectors = BadSectors::of(scratch.path(), name, &[sector]);
    let _guard = SourceGuard::new(&scratch.source());
    let out = scratch.out().join("targets");
    let run = bad_sectors.met_by(batch(&private, &out)).run().status(1);
    run.says(["6 disks: 5 done, 1 failed", "9.raw: failed"]);
    assert!(!out.join("9.raw").exists());
    let run = bad_sectors
        .met_by(batch(&private, &out).arg("--salvage"))
        .run();
    // The others were made with other options.
    run.status(5).says(["1 done"]);
    let written = std::fs::read(out.join("9.raw")).unwrap();
    let differs = written
        .iter()
        .zip(&bad)
        .filter(|(one, other)| one != other)
        .count();
    assert!(differs > 0 && differs <= 512, "{differs}");
    assert!(out.join("9.raw.lost").exists());
}

#[test]
fn room_for_all_is_looked_at_before_the_first_and_a_target_that_fills_up_is_absent() {
    let scratch = Scratch::new();
    let private = scratch.source().join("private");
    let large = |seed: u64| {
        let image = ImageBuilder::v2().cluster_sectors(2048).clusters(8);
        image.seed(seed).store_all(0..8)
    };
    for id in 1..5 {
        let folder = private.join(format!("{id}/root.hdd"));
        crate::support::ChainBuilder::base(&large(id)).write(&folder);
    }
    let _guard = SourceGuard::new(&scratch.source());
    // Room for two of four.
    let mounted = Mounted::memory("20M", &scratch.path().join("small"));
    let out = mounted.dir.join("targets");
    let run = batch(&private, &out).run();
    run.refused(1, &["room", "nothing was converted"]);
    assert_eq!(names_in(&out), Vec::<String>::new());
    // What two of them need is there, until somebody else takes it.
    let run = Program::new(["batch"]).args([private.join("1"), private.join("2")]);
    let run = run.arg("-o").arg(&out).run().status(0);
    run.says(["2 done"]);
    let targets = names_in(&out)
        .into_iter()
        .filter(|name| name.ends_with(".raw"));
    assert_eq!(targets.collect::<Vec<_>>(), ["1.raw", "2.raw"]);
}

#[test]
fn a_folder_that_may_not_be_looked_through_stops_only_who_named_it() {
    let scratch = Scratch::new();
    let private = scratch.source().join("private");
    let bytes = disk(&private.join("101/root.hdd"), 1);
    let closed = private.join("999");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let _guard = SourceGuard::new(&private.join("101"));
    let as_other = |args: &[&OsStr], out: &str| {
        let mut program = scratch.as_nobody();
        let out = scratch.path().join(out);
        std::fs::create_dir_all(&out).unwrap();
        std::fs::set_permissions(&out, Permissions::from_mode(0o777)).unwrap();
        let output = program.args(args).arg("-o").arg(&out).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("999"), "{said}");
        out
    };
    let out = as_other(
        &["batch".as_ref(), "--all".as_ref(), private.as_ref()],
        "all",
    );
    assert!(std::fs::read(out.join("101.raw")).unwrap() == bytes);
    let report = std::fs::read(out.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["status"], 1);
    assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report}");
    let text = std::fs::read_to_string(out.join("report.txt")).unwrap();
    assert!(text.contains("999"), "{text}");
    // Who names it wants it.
    let open = private.join("101");
    let out = as_other(&["batch".as_ref(), open.as_ref(), closed.as_ref()], "named");
    assert_eq!(names_in(&out), [""; 0]);
}
