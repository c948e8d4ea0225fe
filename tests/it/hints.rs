//! Every command that a message proposes is run: it gives the bytes that are right for the disk that
//! was meant, or is refused in its turn. A hint that leads to a wrong byte is the worst bug there is.

use crate::support::divided::{MIB, Raw, ext4};
use crate::support::hints::{Right, follow, proposed, quoted, shell};
use crate::support::image::{divided, pattern};
use crate::support::{
    Chain, ChainBuilder, Fill, ImageBuilder, Program, Scratch, TOP, convert, guid,
};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const IN_USE: u32 = 0x746F_6E59;

fn image(seed: u64) -> ImageBuilder {
    ImageBuilder::v2().seed(seed)
}

fn three(scratch: &Scratch, top_in_use: bool) -> Chain {
    let top = image(3).store(0);
    let top = if top_in_use { top.in_use(IN_USE) } else { top };
    ChainBuilder::base(&image(1).store_all([0, 2]))
        .child(&image(2).store(1))
        .child(&top)
        .write(&scratch.source())
}

fn content(chain: &Chain, number: usize) -> Vec<u8> {
    chain.model_of(number).content()
}

fn cut_off(file: &Path, bytes: u64) {
    let file = fs::File::options().write(true).open(file).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len - bytes).unwrap();
}

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
    follow(&scratch, &typed, 3, &Right::Bytes(content(&chain, 2)));
}

fn encrypted(scratch: &Scratch, layers: usize) -> Chain {
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
fn assert_never_read(scratch: &Scratch, dir: &Path, files: &[PathBuf]) {
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
    let named = |stem: &str, part: usize, id: &str| format!("{stem}.hdd.{part}.{id}.hds");
    for id in [TOP.to_owned(), guid(5)] {
        for with_descriptor in [true, false] {
            let scratch = Scratch::new();
            let dir = scratch.source();
            let files: Vec<PathBuf> = (0..2)
                .map(|at| dir.join(named("my disk", at, &id)))
                .collect();
            for (seed, file) in (1..).zip(&files) {
                image(seed).store_all([0, 1]).write(file);
            }
            if with_descriptor {
                let storages: String = (0..2)
                    .map(|at| {
                        let (start, end) = (at * 256, (at + 1) * 256);
                        let file = named("my disk", at, &id);
                        format!(
                            "<Storage><Start>{start}</Start><End>{end}</End><Image><GUID>{id}</GUID>\
                             <Type>Compressed</Type><File>{file}</File></Image></Storage>"
                        )
                    })
                    .collect();
                let text = format!("<a><StorageData>{storages}</StorageData></a>");
                fs::write(dir.join("DiskDescriptor.xml"), text).unwrap();
            }
            assert_never_read(&scratch, &dir, &files);
        }
    }
}

#[test]
fn a_clone_leads_to_its_own_file_and_never_to_the_originals() {
    let scratch = Scratch::new();
    let area = |id: &str| scratch.source().join(id).join("root.hdd");
    let original = ChainBuilder::base(&image(1).store(0)).write(&area("201"));
    let clone = ChainBuilder::base(&image(2).store(0)).write_with(&area("202"), |descriptor| {
        descriptor.images()[0].file = original.files[0].display().to_string();
    });
    let right = Right::Bytes(content(&clone, 0));
    let typed = format!("{} -o OUT", quoted(&scratch.source().join("202")));
    follow(&scratch, &typed, 1, &right).says(["--layers root.hds"]);
    // What a user may have read elsewhere does not lead there either.
    follow(&scratch, &format!("{typed} --allow-outside"), 1, &right);

    // Without a file of its own, the disk is the original's.
    fs::remove_file(&clone.files[0]).unwrap();
    for typed in [typed.clone(), format!("{typed} --allow-outside")] {
        follow(&scratch, &typed, 1, &Right::Nothing).says(["belongs to the disk in"]);
    }
}

#[test]
fn a_layer_of_another_disk_is_never_put_under_this_one() {
    let scratch = Scratch::new();
    let area = |id: &str| scratch.source().join(id).join("root.hdd");
    let original = ChainBuilder::base(&image(1).store_all([0, 2])).write(&area("201"));
    let clone = ChainBuilder::base(&image(4).store_all([0, 2]))
        .child(&image(2).store(1))
        .write_with(&area("202"), |descriptor| {
            descriptor.images()[0].file = original.files[0].display().to_string();
        });
    // The base of the clone was left behind: the original's is not its own.
    fs::remove_file(&clone.files[0]).unwrap();
    let typed = format!("{} -o OUT", quoted(&scratch.source().join("202")));
    for typed in [typed.clone(), format!("{typed} --allow-outside")] {
        follow(&scratch, &typed, 1, &Right::Nothing).says(["belongs to the disk in"]);
    }
}

#[test]
fn a_link_to_another_folder_is_followed_where_that_is_the_disk() {
    let scratch = Scratch::new();
    let elsewhere = scratch.path().join("storage/root.hdd");
    let chain = ChainBuilder::base(&image(1).store(0)).write(&elsewhere);
    fs::create_dir(scratch.source().join("101")).unwrap();
    symlink(&elsewhere, scratch.source().join("101/root.hdd")).unwrap();
    let typed = format!("{} -o OUT", quoted(&scratch.source().join("101")));
    follow(&scratch, &typed, 1, &Right::Bytes(content(&chain, 0))).says(["--allow-outside"]);
}

#[test]
fn labels_that_lie_lead_to_the_other_reading() {
    // A raw disk that is called an image.
    let scratch = Scratch::new();
    let raw = Raw::sgdisk(8 * MIB, &["--new=1:2048:0"]);
    raw.fill(MIB, 6 * MIB, ext4("raw"));
    let bytes = fs::read(&raw.path).unwrap();
    let top = ImageBuilder::v2().cluster_sectors(2048).clusters(8);
    let chain = ChainBuilder::raw_base(&bytes, 2048)
        .child(&top.store(3))
        .write_with(&scratch.source(), |descriptor| {
            for image in descriptor.images() {
                "Compressed".clone_into(&mut image.kind);
            }
        });
    let typed = format!("{} -o OUT", quoted(&chain.dir));
    let right = Right::Bytes(content(&chain, 1));
    follow(&scratch, &typed, 3, &right).says(["--layers", "raw:root.hds"]);

    // An image that is called a raw disk: read as the label says, with a warning.
    let scratch = Scratch::new();
    let base = image(1).store_all([0, 2]);
    let chain = ChainBuilder::base(&base)
        .child(&image(2).store(1))
        .write_with(&scratch.source(), |descriptor| {
            for image in descriptor.images() {
                "Plain".clone_into(&mut image.kind);
            }
        });
    let typed = format!("{} -o OUT", quoted(&chain.dir));
    let right = Right::Bytes(content(&chain, 1));
    let said = follow(&scratch, &typed, 3, &right);
    said.says(["plain-with-header", "--layers"]);
}

#[test]
fn without_a_descriptor_only_an_order_that_names_and_times_support_is_proposed() {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};
    let times = |chain: &Chain, hours: [u64; 3]| {
        for (file, hour) in chain.files.iter().zip(hours) {
            let time: SystemTime = UNIX_EPOCH + Duration::from_secs(hour * 3600);
            let file = fs::File::options().write(true).open(file).unwrap();
            file.set_modified(time).unwrap();
        }
    };
    for (hours, known) in [
        ([1, 2, 3], true),
        ([1, 3, 2], true),
        ([2, 2, 2], false),
        ([1, 2, 2], false),
        ([9, 2, 3], false),
    ] {
        let scratch = Scratch::new();
        let chain = three(&scratch, false);
        fs::remove_file(chain.descriptor()).unwrap();
        times(&chain, hours);
        let order = if hours[1] <= hours[2] {
            [0, 1, 2]
        } else {
            [0, 2, 1]
        };
        let layers = order.map(|at| chain.layers[at].clone()).to_vec();
        let right = crate::support::Model::new(layers).content();
        let right = if known {
            Right::Bytes(right)
        } else {
            Right::Nothing
        };
        let dir = quoted(&chain.dir);
        let said = follow(&scratch, &format!("info {dir}"), 1, &right);
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(text.contains("--layers"), known, "{text}");
        assert_eq!(text.contains("not known:"), !known, "{text}");
        // No circle: who has run it is not told to run it.
        assert!(!said.stderr.contains("ploopconv info"), "{}", said.stderr);
        follow(&scratch, &format!("{dir} -o OUT"), 1, &right);
        follow(&scratch, &format!("check {dir}"), 1, &right);
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
fn several_disks_and_containers_are_named_each_by_its_own_command() {
    let scratch = Scratch::new();
    let write = |path: &str, seed| {
        let chain = ChainBuilder::base(&image(seed).store(0)).write(&scratch.source().join(path));
        content(&chain, 0)
    };
    let disks = vec![write("vm.pvm/a.hdd", 1), write("vm.pvm/b.hdd", 2)];
    let typed = format!("{} -o OUT", quoted(&scratch.source().join("vm.pvm")));
    follow(&scratch, &typed, 1, &Right::OneOf(disks)).says(["a.hdd", "b.hdd"]);

    let disk = write("one.pvm/a.hdd", 5);
    let config = scratch.source().join("one.pvm/config.pvs");
    fs::write(&config, "<?xml version=\"1.0\"?><ParallelsVirtualMachine/>").unwrap();
    let typed = format!("{} -o OUT", quoted(&config));
    follow(&scratch, &typed, 1, &Right::Bytes(disk)).says(["of the bundle"]);

    let containers = vec![
        write("private/101/root.hdd", 3),
        write("private/102/root.hdd", 4),
    ];
    let typed = format!("{} -o OUT", quoted(&scratch.source().join("private")));
    follow(&scratch, &typed, 1, &Right::OneOf(containers)).says(["101, 102"]);
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
fn a_file_of_another_kind_leads_to_the_disk_beside_it_or_away() {
    let scratch = Scratch::new();
    let chain = three(&scratch, false);
    let other = chain.dir.join("harddisk.hdd");
    fs::write(&other, divided(pattern(3, 0, 4096))).unwrap();
    let typed = format!("{} -o OUT", quoted(&other));
    let right = Right::Bytes(content(&chain, 2));
    follow(&scratch, &typed, 1, &right).says(["DiskDescriptor.xml beside it"]);
}

#[test]
fn a_simfs_container_leads_to_an_archive_of_its_files() {
    let scratch = Scratch::new();
    let root = scratch.source().join("301");
    for dir in ["etc", "usr", "var", "bin"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::write(root.join("etc/hostname"), "ct\n").unwrap();
    let run = Program::new([&root]).args(["-o", "x"]).run();
    let run = run.refused(1, &["simfs", "tar --numeric-owner"]);
    let command = run
        .stderr
        .lines()
        .find_map(|line| line.find("tar --").map(|at| &line[at..]));
    let run = Command::new("sh")
        .args(["-c", command.unwrap()])
        .current_dir(scratch.out())
        .status();
    assert!(run.unwrap().success());
    let archive = scratch.out().join("301.tar");
    let list = Command::new("tar")
        .arg("-tf")
        .arg(archive)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&list.stdout).contains("./etc/hostname"));
}

#[test]
fn a_cluster_that_is_zeros_in_the_file_hides_what_lies_below_in_every_proposed_reading() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&image(1).store_all([0, 1]))
        .child(&image(2).fill(0, Fill::FileHole))
        .write(&scratch.source());
    fs::remove_file(chain.descriptor()).unwrap();
    let right = Right::Bytes(content(&chain, 1));
    follow(&scratch, &format!("info {}", quoted(&chain.dir)), 1, &right);
}

#[test]
fn a_lock_that_says_that_somebody_writes_leads_to_the_same_bytes() {
    let scratch = Scratch::new();
    let chain = three(&scratch, false);
    let _holder = crate::in_use::Holder::new("exec 3<\"$1\"; flock --exclusive 3", &chain.files[2]);
    let typed = format!("{} -o OUT", quoted(&chain.dir));
    let right = Right::OneOf(vec![content(&chain, 2), content(&chain, 1)]);
    follow(&scratch, &typed, 4, &right).says(["add --allow-dirty"]);
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
        .says(["add --cluster-size"]);
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
