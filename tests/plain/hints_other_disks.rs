//! Names that lead to other disks: clones, links, folders of several disks, files of other kinds.

use crate::support::hints::{Right, content, follow, image, quoted, three};
use crate::support::image::{divided, pattern};
use crate::support::{ChainBuilder, Scratch};
use std::fs;
use std::os::unix::fs::symlink;

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
    // Whether that file is the disk's own is for the user to say: no command follows it unasked.
    let typed = format!("{} -o OUT", quoted(&scratch.source().join("101")));
    follow(&scratch, &typed, 1, &Right::Nothing).says(["--allow-outside"]);
    let right = Right::Bytes(content(&chain, 0));
    follow(&scratch, &format!("{typed} --allow-outside"), 0, &right);
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
fn a_file_of_another_kind_leads_to_the_disk_beside_it_or_away() {
    let scratch = Scratch::new();
    let chain = three(&scratch, false);
    let other = chain.dir.join("harddisk.hdd");
    fs::write(&other, divided(pattern(3, 0, 4096))).unwrap();
    let typed = format!("{} -o OUT", quoted(&other));
    let right = Right::Bytes(content(&chain, 2));
    follow(&scratch, &typed, 1, &right).says(["DiskDescriptor.xml beside it"]);
}
