//! What an operation leaves behind that was cut short (format 3.6): the top reads by the normal
//! rules, and what cannot be trusted is said or refused.

use crate::support::{
    ChainBuilder, ImageBuilder, Scratch, SourceGuard, assert_reads, assert_reads_with, check,
    convert, field, guid, info,
};

fn three_layers() -> ChainBuilder {
    ChainBuilder::base(&ImageBuilder::v2().seed(1).store_all([0, 1, 2]))
        .child(&ImageBuilder::v2().seed(2).store(1))
        .child(&ImageBuilder::v2().seed(3).store(2))
}

#[test]
fn a_temporary_snapshot_is_a_warning_where_it_is_asked_for() {
    let scratch = Scratch::new();
    let chain = three_layers().write_with(&scratch.source(), |descriptor| {
        "<Temporary/>".clone_into(&mut descriptor.shots[1].mark);
    });
    assert_reads(&chain.dir, &chain.model());
    let temporary = guid(1);
    check(&chain.dir)
        .args(["--snapshot", &temporary])
        .run()
        .status(0)
        .finds("temporary-snapshot", "warning");

    let asked = assert_reads_with(&chain.dir, &["--snapshot", &guid(1)], &chain.model_of(1));
    asked.says(["warning", "temporary"]);

    let snapshots = info(&chain.dir).run().status(0).json()["snapshots"].clone();
    let marked = snapshots
        .as_array()
        .unwrap()
        .iter()
        .find(|shot| shot["guid"] == guid(1).as_str())
        .unwrap();
    assert_eq!(marked["temporary"], "temporary");
}

#[test]
fn a_snapshot_being_zeroed_is_refused_and_the_top_over_it_reads() {
    for mark in ["<TemporaryZero/>", "<TemporaryZeroSwap/>"] {
        let scratch = Scratch::new();
        let chain = three_layers().write_with(&scratch.source(), |descriptor| {
            mark.clone_into(&mut descriptor.shots[1].mark);
        });
        assert_reads(&chain.dir, &chain.model());
        let target = scratch.target();
        convert(&chain.dir, &target)
            .args(["--snapshot", &guid(1)])
            .run()
            .refused(3, &[&guid(1)]);
        scratch.assert_nothing_left();
        // The snapshot below it is as it was.
        assert_reads_with(&chain.dir, &["--snapshot", &guid(0)], &chain.model_of(0));
    }
}

#[test]
fn a_layer_below_the_top_that_is_marked_in_use_is_a_warning() {
    let scratch = Scratch::new();
    let base = ImageBuilder::v2()
        .seed(1)
        .store_all([0, 1, 2])
        .in_use(field::DIRTY);
    let chain = ChainBuilder::base(&base)
        .child(&ImageBuilder::v2().seed(2).store(1))
        .write(&scratch.source());
    let outcome = assert_reads(&chain.dir, &chain.model());
    outcome.says(["warning", "root.hds"]);
    check(&chain.dir)
        .run()
        .status(0)
        .finds("layer-in-use", "warning");
    // As the last layer of a chain it is what was asked for.
    let asked = convert(&chain.dir, &scratch.target()).args(["--snapshot", &guid(0)]);
    asked.run().refused(4, &["--allow-dirty"]);
    scratch.assert_nothing_left();
}

#[test]
fn a_top_that_is_marked_in_use_is_refused_unless_that_is_allowed() {
    let scratch = Scratch::new();
    let top = ImageBuilder::v2().seed(2).store(1).in_use(field::DIRTY);
    let chain = ChainBuilder::base(&ImageBuilder::v2().seed(1).store(0))
        .child(&top)
        .write(&scratch.source());
    convert(&chain.dir, &scratch.target())
        .run()
        .refused(4, &["--allow-dirty"]);
    scratch.assert_nothing_left();
    let outcome = assert_reads_with(&chain.dir, &["--allow-dirty"], &chain.model());
    outcome.says(["in use"]);
    // The snapshot below it is closed.
    assert_reads_with(&chain.dir, &["--snapshot", &guid(0)], &chain.model_of(0));
}

#[test]
fn an_unfinished_descriptor_is_mentioned_and_not_used() {
    let scratch = Scratch::new();
    let chain = three_layers().write(&scratch.source());
    std::fs::write(chain.dir.join("DiskDescriptor.xml.tmp"), "<unfinished").unwrap();
    std::fs::write(chain.dir.join("DiskDescriptor.xml.Backup"), "<other/>").unwrap();
    assert_reads(&chain.dir, &chain.model()).says(["DiskDescriptor.xml.tmp"]);
    check(&chain.dir)
        .run()
        .status(0)
        .finds("unfinished-descriptor", "warning");
}

#[test]
fn a_layer_that_the_descriptor_does_not_list_yet_is_warned_about_loudly() {
    // An online snapshot switches to the new file before the descriptor is renamed.
    let scratch = Scratch::new();
    let chain = three_layers().write(&scratch.source());
    let stray = "root.hds.{7e57ab1e-0000-4000-8000-000000000000}";
    ImageBuilder::v2()
        .seed(9)
        .store(0)
        .in_use(field::DIRTY)
        .write(&chain.dir.join(stray));
    std::fs::write(chain.dir.join("DiskDescriptor.xml.tmp"), "<unfinished").unwrap();
    assert_reads(&chain.dir, &chain.model()).says(["warning", stray]);
    let unlisted = info(&chain.dir).run().status(0).json()["unlisted_layers"].clone();
    assert!(unlisted.to_string().contains("7e57ab1e"), "{unlisted}");
}

#[test]
fn a_leftover_layer_is_listed_by_info_and_otherwise_ignored() {
    let scratch = Scratch::new();
    let chain = three_layers().write(&scratch.source());
    let stray = "root.hds.{7e57ab1e-0000-4000-8000-000000000000}";
    ImageBuilder::v2()
        .seed(9)
        .store(0)
        .write(&chain.dir.join(stray));
    assert_reads(&chain.dir, &chain.model());
    let unlisted = info(&chain.dir).run().status(0).json()["unlisted_layers"].clone();
    assert!(unlisted.to_string().contains("7e57ab1e"), "{unlisted}");
}

#[test]
fn the_companions_of_a_disk_are_ignored() {
    let scratch = Scratch::new();
    let chain = three_layers().write(&scratch.source());
    std::fs::write(chain.dir.join("DiskDescriptor.xml.lck"), "").unwrap();
    std::fs::write(chain.dir.join(".statfs"), [7; 40]).unwrap();
    std::fs::write(chain.dir.join("root.hds.idx"), [0; 4096]).unwrap();
    std::fs::write(chain.dir.join("root.hds.orig"), "old").unwrap();
    std::fs::create_dir(chain.dir.join("templates")).unwrap();
    std::fs::create_dir(chain.dir.join("root.hds.mnt")).unwrap();
    let _guard = SourceGuard::new(&chain.dir);
    assert_reads(&chain.dir, &chain.model());
}
