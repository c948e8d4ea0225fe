//! Every command that a message proposes is run: it gives the bytes that are right for the disk
//! that was meant, or is refused in its turn. A hint that leads to a wrong byte is the worst bug
//! there is.

use crate::support::hints::{
    IN_USE, Right, content, cut_off, follow, image, proposed, quoted, shell, three,
};
use crate::support::{Chain, ChainBuilder, ImageBuilder, Program, Scratch};
use std::fs;

#[test]
fn the_snapshot_below_a_top_that_is_in_use_torn_or_missing_is_proposed_and_right() {
    let dir = |scratch: &Scratch| format!("{} -o OUT", quoted(&scratch.source()));
    let snapshot = |chain: &Chain| chain.guids[1].trim_matches(['{', '}']).to_owned();

    let scratch = Scratch::new();
    let chain = three(&scratch, true);
    // If it crashed, --allow-dirty reads the whole chain; else the snapshot is read.
    let both = Right::OneOf(vec![content(&chain, 1), content(&chain, 2)]);
    follow(&scratch, &dir(&scratch), 4, &both).says(["--snapshot", &snapshot(&chain)]);

    for torn in [1, 40_000, 32768 + 32768 - 40] {
        let scratch = Scratch::new();
        let chain = three(&scratch, false);
        cut_off(&chain.files[2], torn);
        let right = Right::Bytes(content(&chain, 1));
        let typed = format!("{} --allow-dirty", dir(&scratch));
        follow(&scratch, &typed, 3, &right).says(["--snapshot", &snapshot(&chain)]);
    }

    let scratch = Scratch::new();
    let chain = three(&scratch, false);
    fs::remove_file(&chain.files[2]).unwrap();
    let right = Right::Bytes(content(&chain, 1));
    follow(&scratch, &dir(&scratch), 3, &right).says(["--snapshot", &snapshot(&chain)]);
}

#[test]
fn of_older_snapshots_the_nearest_that_is_sound_is_proposed() {
    let scratch = Scratch::new();
    let chain = three(&scratch, true);
    cut_off(&chain.files[1], 1);
    let base = chain.guids[0].trim_matches(['{', '}']).to_owned();
    let typed = format!("{} -o OUT", quoted(&chain.dir));
    let right = Right::Bytes(content(&chain, 0));
    follow(&scratch, &typed, 3, &right).says(["--snapshot", &base]);

    // No snapshot is sound where the base is damaged.
    cut_off(&chain.files[0], 1);
    let refused = follow(&scratch, &typed, 3, &Right::Nothing);
    assert!(!refused.stderr.contains("--snapshot"), "{}", refused.stderr);
}

#[test]
fn a_snapshot_that_a_merge_may_have_changed_is_not_proposed() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&image(1).store_all([0, 2]))
        .child(&image(2).store(1).in_use(IN_USE))
        .write_with(&scratch.source(), |descriptor| {
            descriptor.shots[0].mark = "<Temporary/>".to_owned();
        });
    let typed = format!("{} -o OUT", quoted(&chain.dir));
    let right = Right::Bytes(content(&chain, 1));
    let refused = follow(&scratch, &typed, 4, &right);
    assert!(!refused.stderr.contains("--snapshot"), "{}", refused.stderr);
}

#[test]
fn a_lone_layer_leads_to_the_disk_and_never_to_itself() {
    let scratch = Scratch::new();
    let chain = three(&scratch, false);
    for number in 0..3 {
        let typed = format!("{} -o OUT", quoted(&chain.files[number]));
        let both = Right::OneOf(vec![content(&chain, number), content(&chain, 2)]);
        follow(&scratch, &typed, 1, &both);
        let _ = fs::remove_file(scratch.target());
    }
    // With a descriptor that cannot be used, no command reads the file alone.
    fs::write(chain.descriptor(), "<Parallels_disk_image><StorageData/>").unwrap();
    let typed = format!("{} -o OUT", quoted(&chain.files[0]));
    follow(&scratch, &typed, 3, &Right::Nothing);
}

#[test]
fn damage_partitions_targets_and_containers_lead_somewhere() {
    let scratch = Scratch::new();
    let chain = three(&scratch, false);
    let whole = content(&chain, 2);
    let dir = quoted(&chain.dir);

    // A target that is there: only -f replaces it, by the right bytes.
    fs::write(scratch.target(), "old").unwrap();
    let target = scratch.target();
    let typed = format!("ploopconv {dir} -o {}", quoted(&target));
    let run = shell(&typed).refused(1, &["add -f"]);
    for command in proposed(&run, &typed) {
        shell(&command).status(0);
        assert!(fs::read(&target).unwrap() == whole);
    }
    fs::remove_file(&target).unwrap();

    // Partitions that are not there.
    follow(
        &scratch,
        &format!("{dir} --partition 3 -o OUT"),
        1,
        &Right::Nothing,
    );

    // Snapshots that are not there: each that is has its own disk.
    let each = Right::OneOf((0..3).map(|at| content(&chain, at)).collect());
    let typed = format!("{dir} --snapshot nothing -o OUT");
    follow(&scratch, &typed, 1, &each).says(["--snapshot"]);

    // Damage: what is read over it ends with 5.
    cut_off(&chain.files[0], 1);
    follow(&scratch, &format!("{dir} -o OUT"), 3, &Right::Nothing).says(["--salvage"]);
}

#[test]
fn an_index_that_was_saved_is_read_by_the_command_that_names_it() {
    // Half converted: the flag, and the old table beside.
    let scratch = Scratch::new();
    let builder = ImageBuilder::v1().clusters(4).store_all([0, 2]);
    let file = scratch.source().join("root.hdd");
    let written = builder.write(&file);
    fs::copy(&file, scratch.source().join("root.hdd.idx")).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[52] |= 2; // FmtVersionConvert
    fs::write(&file, bytes).unwrap();
    let right = Right::Bytes(written.model("root.hdd").content());
    let typed = format!("{} -o OUT", quoted(&file));
    follow(&scratch, &typed, 3, &right).says(["--use-idx"]);
}

#[test]
fn clusters_that_are_too_small_for_the_disk_lead_to_some_that_are_not() {
    let scratch = Scratch::new();
    let file = scratch.source().join("root.hds");
    // 16 TiB, of which one cluster is stored.
    let image = ImageBuilder::v2().cluster_sectors(1 << 16).sectors(1 << 35);
    image.store(3).write(&file);
    let target = scratch.out().join("disk.qcow2");
    let typed = format!(
        "ploopconv {} -o {} --cluster-size 4K",
        quoted(&file),
        quoted(&target)
    );
    // The command is whole in the report: the option replaces the one that was given.
    let run = shell(&format!("{typed} --json"))
        .status(1)
        .says(["larger clusters can: ploopconv"]);
    let command = run.json()["hints"][0]["command"]
        .as_str()
        .unwrap()
        .to_owned();
    shell(&command).status(0);
    let compared = Program::new(["compare"]).args([&file, &target]).run();
    compared.status(0);
}

#[test]
fn a_device_that_is_not_attached_leads_to_the_list_of_those_that_are() {
    let run = shell("ploopconv detach /no/such/image").refused(1, &["ploopconv attached"]);
    for command in proposed(&run, "") {
        shell(&command).status(0);
    }
}
