//! What may stand for IMAGE on the command line, and what is named and refused.

use crate::support::hints::shell;
use crate::support::samples::{assert_refused, two_layers};
use crate::support::{
    Chain, ChainBuilder, ImageBuilder, Model, Program, Scratch, SourceGuard, assert_file_holds,
    assert_reads, assert_reads_with, check, convert, info, map,
};
use nix::sys::stat::Mode;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

const CONTAINER: &str = "c0ffee00-1234-4abc-8def-0123456789ab";

fn one_layer() -> ChainBuilder {
    ChainBuilder::base(&ImageBuilder::v2().seed(1).store_all([0, 1, 2]))
}

/// What the layer numbered so reads as when it is read alone.
fn alone(chain: &Chain, number: usize) -> Model {
    Model::new(vec![chain.layers[number].clone()])
}

#[track_caller]
fn assert_bytes_refused(bytes: &[u8], parts: &[&str]) {
    let scratch = Scratch::new();
    let image = scratch.source().join("root.hdd");
    std::fs::write(&image, bytes).unwrap();
    assert_refused(&scratch, &image, parts);
}

#[test]
fn an_image_is_known_by_its_magic_whatever_its_name() {
    for name in [
        "root.hdd",
        "disk",
        "harddisk.hdd.0.{5fbaabe3-6958-40ff-92a7-860e329aab41}.hds",
        "DiskDescriptor",
    ] {
        let scratch = Scratch::new();
        let path = scratch.source().join(name);
        let image = ImageBuilder::v1().store_all([2, 0]).write(&path);
        assert_reads(&path, &image.model(name));
    }
}

#[test]
fn a_name_that_is_no_utf_8_reads() {
    let scratch = Scratch::new();
    let path = scratch.source().join(OsStr::from_bytes(b"disk-\xff.hds"));
    let image = ImageBuilder::v1().store_all([2, 0]).write(&path);
    let target = scratch.out().join(OsStr::from_bytes(b"\xfe.raw"));
    convert(&path, &target).run().status(0);
    assert_file_holds(&target, &image.model(""));
}

#[test]
fn convert_may_be_spelled_out() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    let image = ImageBuilder::v2().store_all([2, 0]).write(&path);
    Program::new([
        "convert".as_ref(),
        path.as_os_str(),
        "--output".as_ref(),
        scratch.target().as_os_str(),
    ])
    .run()
    .done();
    assert_file_holds(&scratch.target(), &image.model(""));
}

#[test]
fn names_are_relative_to_the_current_directory() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    let expected = chain.model().content();
    for image in [
        ".",
        "./",
        "DiskDescriptor.xml",
        "./DiskDescriptor.xml",
        "../source",
    ] {
        Program::new([image, "-o", "../out/disk.raw", "-f"])
            .directory(&chain.dir)
            .run()
            .status(0);
        assert_eq!(std::fs::read(scratch.target()).unwrap(), expected);
    }
}

#[test]
fn a_descriptor_and_the_folder_that_holds_it_are_the_chain_of_the_top() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source().join("root.hdd"));
    assert_reads(&chain.dir, &chain.model());
    assert_reads(&chain.descriptor(), &chain.model());
}

#[test]
fn a_descriptor_is_known_by_its_content_too() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    let copy = chain.dir.join("DiskDescriptor.xml.Backup");
    std::fs::copy(chain.descriptor(), &copy).unwrap();
    // A file that was asked for by name is not "used automatically".
    assert_reads(&copy, &chain.model());
}

#[test]
fn a_containers_private_area_is_its_root_disk() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source().join("root.hdd"));
    let _guard = SourceGuard::new(&scratch.source());
    std::fs::write(scratch.path().join("ve.conf"), "ONBOOT=yes").unwrap();
    assert_reads(&scratch.source(), &chain.model());
}

#[test]
fn a_parallels_desktop_disk_reads() {
    let scratch = Scratch::new();
    let dir = scratch.source().join("harddisk.hdd");
    let chain = one_layer().write(&dir);
    std::fs::write(dir.join("harddisk.hdd"), b"").unwrap();
    std::fs::write(dir.join("harddisk.hdd.drh"), b"unknown").unwrap();
    std::fs::copy(chain.descriptor(), dir.join("DiskDescriptor.xml.Backup")).unwrap();
    assert_reads(&dir, &chain.model());
}

#[test]
fn an_image_that_its_descriptor_knows_as_the_only_layer_reads() {
    let scratch = Scratch::new();
    let chain = one_layer().write(&scratch.source());
    assert_reads(&chain.files[0], &chain.model());
}

#[test]
fn a_lone_layer_of_a_chain_is_refused_with_the_command_that_would_work() {
    for number in [0, 1] {
        let scratch = Scratch::new();
        // A name that a shell would take apart.
        let chain = two_layers().write(&scratch.source().join("it's $HOME root.hdd"));
        let _guard = SourceGuard::new(&scratch.source());
        let layer = &chain.files[number];
        for program in [map(layer), check(layer), info(layer)] {
            program.run().refused(1, &["--single-layer"]);
        }
        let refusal = convert(layer, &scratch.target())
            .run()
            .refused(1, &["--single-layer"]);
        scratch.assert_nothing_left();

        let commands = commands_in(&refusal.stderr);
        assert!(!commands.is_empty(), "no command in: {}", refusal.stderr);
        for command in &commands {
            // The target is the user's to choose.
            let command = if command.contains(" -o ") {
                command.clone()
            } else {
                format!("{command} -o '{}'", scratch.target().display())
            };
            shell(&command).status(0);
            let whole = if command.contains("--single-layer") {
                alone(&chain, number)
            } else {
                chain.model()
            };
            let snapshot = command.contains("--snapshot");
            let expected = if snapshot {
                chain.model_of(number)
            } else {
                whole
            };
            assert_file_holds(&scratch.target(), &expected);
            std::fs::remove_file(scratch.target()).unwrap();
        }
    }
}

/// The command lines that a message tells to type: each from `ploopconv ` to the line's end.
fn commands_in(message: &str) -> Vec<String> {
    message
        .lines()
        .filter_map(|line| {
            line.find("ploopconv ")
                .map(|at| line[at..].trim_end_matches('`').to_owned())
        })
        .collect()
}

#[test]
fn a_lone_layer_reads_alone_when_that_is_asked_for() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    for number in [0, 1] {
        assert_reads_with(
            &chain.files[number],
            &["--single-layer"],
            &alone(&chain, number),
        );
    }
}

#[test]
fn an_image_that_the_descriptor_beside_it_does_not_list_reads_only_when_asked_for_alone() {
    // It may be the newest layer, from a snapshot that was cut short.
    let scratch = Scratch::new();
    two_layers().write(&scratch.source());
    let path = scratch.source().join("root.hds.new");
    let image = ImageBuilder::v2().seed(5).store(3).write(&path);
    assert_refused(&scratch, &path, &["--single-layer"]);
    assert_reads_with(&path, &["--single-layer"], &image.model("root.hds.new"));
}

#[test]
fn an_image_beside_a_broken_descriptor_reads_only_when_asked_for_alone() {
    let scratch = Scratch::new();
    let chain = one_layer().write(&scratch.source());
    std::fs::write(chain.descriptor(), "<broken").unwrap();
    let outcome = convert(&chain.files[0], &scratch.target()).run();
    assert!(matches!(outcome.status, Some(1 | 3)), "{outcome:?}");
    outcome.says(["--single-layer", "DiskDescriptor.xml"]);
    assert_reads_with(&chain.files[0], &["--single-layer"], &alone(&chain, 0));
}

#[test]
fn a_container_id_is_looked_up_in_the_private_directories() {
    for id in ["101", CONTAINER] {
        let scratch = Scratch::new();
        let chain = two_layers().write(&scratch.source().join(id).join("root.hdd"));
        let target = scratch.target();
        let private = ["--private-dir".into(), scratch.source().into_os_string()];
        convert(Path::new(id), &target).args(&private).run().done();
        assert_file_holds(&target, &chain.model());
        let report = map(Path::new(id)).args(&private).run().done().json();
        crate::support::assert_map_matches(&report, &chain.model());
        for command in ["info", "check"] {
            Program::new([command, id]).args(&private).run().status(0);
        }
    }
}

#[test]
fn a_container_id_that_nothing_has_is_refused_naming_where_it_was_looked_for() {
    let scratch = Scratch::new();
    let target = scratch.target();
    let private = scratch.source();
    let ask = |id: &str| {
        convert(Path::new(id), &target)
            .arg("--private-dir")
            .arg(&private)
            .run()
    };
    for id in ["101", CONTAINER] {
        ask(id).refused(1, &[id, private.to_str().unwrap()]);
    }
    // A container without a disk.
    std::fs::create_dir_all(private.join("102")).unwrap();
    ask("102").refused(1, &["102"]);
    convert(Path::new("999999999"), &target)
        .run()
        .refused(1, &["999999999", "/vz/private", "/var/lib/vz/private"]);
    scratch.assert_nothing_left();
}

#[test]
fn a_path_wins_over_a_container_id() {
    let scratch = Scratch::new();
    let near = one_layer().write(&scratch.source().join("101"));
    two_layers().write(&scratch.path().join("private/101/root.hdd"));
    Program::new(["101", "-o", "../out/disk.raw"])
        .args(["--private-dir", "../private"])
        .directory(scratch.source())
        .run()
        .status(0);
    assert_file_holds(&scratch.target(), &near.model());
}

#[test]
fn an_id_is_not_allowed_to_climb_out_of_the_private_directory() {
    let scratch = Scratch::new();
    for id in ["", "..", "10 1", "-1"] {
        let private = scratch.source();
        let outcome = Program::new(["-o".as_ref(), scratch.target().as_os_str()])
            .args([
                "--private-dir".as_ref(),
                private.as_os_str(),
                "--".as_ref(),
                OsStr::new(id),
            ])
            .run();
        assert!(matches!(outcome.status, Some(1 | 2)), "{id:?}: {outcome:?}");
    }
    scratch.assert_nothing_left();
}

#[test]
fn a_luks_device_is_named_and_refused() {
    let mut luks = b"LUKS\xba\xbe\0\x02".to_vec();
    luks.resize(1 << 20, 0);
    assert_bytes_refused(&luks, &["LUKS"]);
}

#[test]
fn raw_disks_are_named_and_refused() {
    let mut mbr = vec![0; 1 << 20];
    mbr[510..512].copy_from_slice(&[0x55, 0xAA]);
    mbr[446..462].copy_from_slice(&[0x80, 0, 2, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 0, 4, 0, 0]);
    assert_bytes_refused(&mbr, &["raw"]);
    let mut gpt = mbr.clone();
    gpt[450] = 0xEE;
    gpt[512..520].copy_from_slice(b"EFI PART");
    assert_bytes_refused(&gpt, &["raw"]);
    let mut ext4 = vec![0; 1 << 20];
    ext4[0x438..0x43A].copy_from_slice(&[0x53, 0xEF]);
    assert_bytes_refused(&ext4, &["raw"]);
    let mut xfs = vec![0; 1 << 20];
    xfs[..4].copy_from_slice(b"XFSB");
    assert_bytes_refused(&xfs, &["raw"]);
}

#[test]
fn compressed_files_are_named_and_refused() {
    for (magic, name) in [
        (&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], "gzip"),
        (b"\xfd7zXZ\0\0\x04", "xz"),
        (b"\x28\xb5\x2f\xfd\x04\0", "zstd"),
        (b"\x04\x22\x4d\x18\x64\x40", "lz4"),
        (b"BZh91AY&SY", "bzip2"),
    ] {
        let mut bytes = magic.to_vec();
        bytes.resize(4096, 0x31);
        assert_bytes_refused(&bytes, &[name]);
    }
}

#[test]
fn xml_of_another_kind_is_named_and_refused() {
    let scratch = Scratch::new();
    let image = scratch.source().join("domain.xml");
    std::fs::write(
        &image,
        "<?xml version=\"1.0\"?>\n<domain type='kvm'><name>web</name></domain>\n",
    )
    .unwrap();
    let _guard = SourceGuard::new(&scratch.source());
    let outcome = convert(&image, &scratch.target()).run().says(["XML"]);
    assert!(matches!(outcome.status, Some(1 | 3)), "{outcome:?}");
    scratch.assert_nothing_left();
}

#[test]
fn bytes_of_no_known_kind_are_refused() {
    assert_bytes_refused(&[0x5A; 70_000], &["ploop"]);
    assert_bytes_refused(&[0; 70_000], &["ploop"]);
    assert_bytes_refused(b"x", &["ploop"]);
    // One letter off.
    let mut near = ImageBuilder::v1().store(0).build().bytes();
    near[15] = b'E';
    assert_bytes_refused(&near, &["ploop"]);
}

#[test]
fn an_empty_file_is_refused() {
    assert_bytes_refused(b"", &["empty"]);
}

#[test]
fn a_missing_file_is_refused() {
    let scratch = Scratch::new();
    assert_refused(
        &scratch,
        &scratch.source().join("gone.hds"),
        &["gone.hds", "no such file"],
    );
    assert_refused(
        &scratch,
        &scratch.source().join("no/such/folder.hds"),
        &["no such file"],
    );
}

#[test]
fn a_folder_without_a_descriptor_is_refused() {
    let scratch = Scratch::new();
    assert_refused(&scratch, &scratch.source(), &["DiskDescriptor.xml"]);
    std::fs::create_dir(scratch.source().join("root.hdd")).unwrap();
    assert_refused(&scratch, &scratch.source(), &["DiskDescriptor.xml"]);
}

#[test]
fn an_openvz_9_container_in_qcow2_is_named_and_refused() {
    let qcow2 = b"QFI\xfb\0\0\0\x03".repeat(512);
    // root.hdd is the image; or a folder that holds one of the same name.
    let scratch = Scratch::new();
    std::fs::write(scratch.source().join("root.hdd"), &qcow2).unwrap();
    assert_refused(&scratch, &scratch.source(), &["qcow2", "qemu-img"]);

    let scratch = Scratch::new();
    let folder = scratch.source().join("root.hdd");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("root.hdd"), &qcow2).unwrap();
    assert_refused(&scratch, &scratch.source(), &["qcow2", "qemu-img"]);
    assert_refused(&scratch, &folder, &["qcow2", "qemu-img"]);
}

#[test]
fn an_image_in_a_folder_that_lost_its_descriptor_is_pointed_out() {
    let scratch = Scratch::new();
    let path = scratch.source().join("root.hdd");
    let image = ImageBuilder::v2().store_all([2, 0]).write(&path);
    let name = path.to_str().unwrap();
    let refused = |program: Program| program.run().refused(1, &["descriptor", name]);
    refused(convert(&scratch.source(), &scratch.target()));
    for command in ["map", "check"] {
        refused(Program::new([command]).arg(scratch.source()));
    }
    let listed = Program::new(["info"]).arg(scratch.source()).run();
    listed
        .status(1)
        .says(["descriptor", name])
        .prints("--layers root.hdd");
    scratch.assert_nothing_left();
    assert_reads(&path, &image.model("root.hdd"));
}

#[test]
fn a_fifo_is_refused_without_waiting() {
    let scratch = Scratch::new();
    let fifo = scratch.source().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    assert_refused(&scratch, &fifo, &["fifo"]);
}

#[test]
fn a_character_device_is_refused() {
    let scratch = Scratch::new();
    for device in ["/dev/null", "/dev/zero"] {
        assert_refused(&scratch, Path::new(device), &[device]);
    }
}

#[test]
fn a_command_line_that_is_wrong_ends_with_status_2() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    ImageBuilder::v2().store(0).write(&image);
    let image = image.to_str().unwrap();
    let target = scratch.target();
    let target = target.to_str().unwrap();
    for args in [
        &[][..],
        &[image],
        &[image, "-o"],
        &["convert", image],
        &["map"],
        &["map", image, image],
        &[image, "-o", target, "--no-such-option"],
        &[image, "-o", target, "-O", "vmdk"],
        &[image, "-o", target, "--sparse=maybe"],
        &[image, "-o", target, "-j", "0"],
        &[image, "-o", target, "-j", "many"],
    ] {
        let outcome = Program::new(args).run().status(2);
        assert_eq!(outcome.stdout, b"", "{args:?}");
    }
    scratch.assert_nothing_left();
}
