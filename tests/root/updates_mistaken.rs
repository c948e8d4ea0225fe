//! Targets that an update could take for what an earlier one left, and targets that somebody else
//! changes at the same time.

use crate::support::loops::Loop;
use crate::support::updates::{large, layers};
use crate::support::{
    Chain, ChainBuilder, ImageBuilder, Outcome, Scratch, SourceGuard, convert, program, qcow2,
};
use crate::tools::tool;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

struct Made {
    /// Looks at the source before that goes.
    _guard: SourceGuard,
    scratch: Scratch,
    chain: Chain,
}

impl Made {
    fn new() -> Self {
        Self::of(&layers(false))
    }

    fn of(chain: &ChainBuilder) -> Self {
        let scratch = Scratch::new();
        let chain = chain.write(&scratch.source().join("101"));
        let _guard = SourceGuard::new(&scratch.source());
        Self {
            _guard,
            scratch,
            chain,
        }
    }

    fn run(&self, target: &Path, options: &[&str]) -> Outcome {
        let run = convert(&self.chain.dir, target).args(options);
        run.directory(self.scratch.out()).run()
    }

    fn first(&self, target: &Path) {
        let snapshot = ["--snapshot", &self.chain.guids[0], "-f"];
        self.run(target, &snapshot).done();
    }

    /// The same with `strace`, which lets calls fail or take long.
    fn injected(&self, image: &Path, target: &Path, options: &[&str], inject: &str) -> Command {
        let mut strace = Command::new("strace");
        strace
            .current_dir(self.scratch.out())
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e"])
            .arg(format!("inject=pwrite64:{inject}"))
            .arg(program::path())
            .arg(image)
            .arg("-o")
            .arg(target)
            .args(["-j1", "-f"])
            .args(options)
            .stderr(Stdio::piped());
        strace
    }

    /// An update that ends with an error in its middle.
    fn interrupted(&self, target: &Path) {
        let update = ["--update", "--reflink=never"];
        let output = self
            .injected(&self.chain.dir, target, &update, "error=EIO:when=4")
            .output()
            .unwrap();
        assert_fails(&output);
        assert!(String::from_utf8_lossy(&output.stderr).contains("again makes it right"));
    }

    fn content(&self) -> Vec<u8> {
        self.chain.model().content()
    }

    fn assert_on(&self, device: &Loop) {
        let content = self.content();
        assert!(device.bytes()[..content.len()] == content);
    }

    /// A device that is large enough, with noise behind the disk.
    fn device(&self) -> Loop {
        let size = self.content().len().next_multiple_of(4096) + (64 << 10);
        Loop::noisy(&self.scratch, size as u64, &[])
    }
}

#[track_caller]
fn assert_fails(output: &Output) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_device_on_which_another_copy_was_cut_short_is_not_what_an_update_left() {
    let made = Made::new();
    let device = made.device();
    let other = made.scratch.path().join("other.hdd");
    ImageBuilder::v2()
        .cluster_sectors(128)
        .clusters(80)
        .seed(77)
        .store_all(0..80)
        .write(&other);
    made.first(&device.path);
    made.interrupted(&device.path);
    let cut = made
        .injected(&other, &device.path, &[], "error=EIO:when=9")
        .output();
    assert_fails(&cut.unwrap());
    made.run(&device.path, &["--update", "-f"]).done();
    made.assert_on(&device);
}

#[test]
fn what_is_new_and_empty_is_not_what_an_update_left() {
    let made = Made::new();
    let device = made.device();
    made.first(&device.path);
    made.interrupted(&device.path);
    fs::write(&device.path, vec![0; 4 << 20]).unwrap();
    made.run(&device.path, &["--update", "-f"]).done();
    made.assert_on(&device);

    let anew = |name: &str| {
        let target = made.scratch.out().join(name);
        made.first(&target);
        made.interrupted(&target);
        let size = fs::metadata(&target).unwrap().len();
        fs::remove_file(&target).unwrap();
        File::create(&target).unwrap().set_len(size).unwrap();
        target
    };
    let raw = anew("disk.raw");
    made.run(&raw, &["--update"]).done();
    assert!(fs::read(&raw).unwrap() == made.content());
    // Its tables are zeros, too, and those are what an update goes by.
    let refused = made.run(&anew("disk.qcow2"), &["--update"]);
    refused.refused(1, &["it has another start now"]);
}

#[test]
fn two_devices_of_one_name_are_not_taken_for_each_other() {
    let made = Made::new();
    let (one, other) = (Scratch::new(), Scratch::new());
    let devices = [&one, &other].map(|scratch| Loop::noisy(scratch, 8 << 20, &[]));
    let names = ["vg1", "vg2"].map(|group| {
        let folder = made.scratch.out().join(group);
        fs::create_dir(&folder).unwrap();
        folder.join("root")
    });
    for (device, name) in devices.iter().zip(&names) {
        symlink(&device.path, name).unwrap();
        made.first(name);
    }
    let round = ["--snapshot", &made.chain.guids[1], "--update", "-f"];
    made.run(&names[1], &round).done();
    let before = devices[0].bytes();
    let refused = made.run(&names[0], &["--update", "-f"]);
    refused.refused(1, &["is another device"]);
    assert!(devices[0].bytes() == before);
    made.run(&names[1], &["--update", "-f"]).done();
    made.assert_on(&devices[1]);
}

#[test]
fn a_device_that_was_written_to_in_its_middle_is_told() {
    let made = Made::new();
    let device = made.device();
    let elsewhere = made.scratch.path();
    for older in [false, true] {
        let round = ["--snapshot", &made.chain.guids[1], "-f"];
        made.run(&device.path, &round).done();
        if older {
            // With its state in another folder.
            let first = ["--snapshot", &made.chain.guids[0], "-f"];
            let run = convert(&made.chain.dir, &device.path).args(first);
            run.directory(elsewhere).run().done();
        } else {
            let file = File::options().write(true).open(&device.path).unwrap();
            file.write_all_at(b"started", 3 << 20).unwrap();
            file.sync_all().unwrap();
        }
        let refused = made.run(&device.path, &["--update", "-f"]);
        refused.refused(1, &["was changed since it was made"]);
    }
    // The other state is the one that fits.
    let run = convert(&made.chain.dir, &device.path).args(["--update", "-f"]);
    run.directory(elsewhere).run().done();
    made.assert_on(&device);
}

/// A round that takes long, with its state written.
fn slow_round(made: &Made, target: &Path) -> Child {
    let round = [
        "--snapshot",
        &made.chain.guids[1],
        "--update",
        "--reflink=never",
    ];
    let slow = "delay_enter=300000";
    let mut command = made.injected(&made.chain.dir, target, &round, slow);
    let child = command.spawn().unwrap();
    let state = PathBuf::from(format!("{}.ploopconv", target.display()));
    let clock = Instant::now();
    let is_under_way = || fs::read_to_string(&state).is_ok_and(|it| it.contains("way\": true"));
    while !is_under_way() {
        assert!(clock.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[test]
fn two_updates_of_a_file_at_a_time_make_no_mixture() {
    let made = Made::new();
    for name in ["disk.raw", "disk.qcow2"] {
        let target = made.scratch.out().join(name);
        made.first(&target);
        let mut slow = slow_round(&made, &target);
        let refused = made.run(&target, &["--update", "--reflink=never"]);
        refused.refused(1, &["is locked for writing by"]);
        assert!(slow.wait().unwrap().success());
        let held = |number: usize| {
            let mut content = made.chain.model_of(number).content();
            match name {
                "disk.raw" => assert!(fs::read(&target).unwrap() == content),
                _ => {
                    content.resize(content.len().next_multiple_of(512), 0);
                    qcow2::assert_holds(&target, &content, name);
                }
            }
        };
        held(1);
        made.run(&target, &["--update", "--reflink=never"]).done();
        held(2);
    }
}

/// A machine that has a disk and does nothing with it yet.
fn machine(target: &Path, format: &str) -> Child {
    let machine = Command::new("qemu-io")
        .args(["-f", format])
        .arg(target)
        .args(["-c", "read 0 512", "-c", "sleep 600000"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("qemu-io: {error}; it is in the package qemu-utils"));
    std::thread::sleep(Duration::from_secs(1));
    machine
}

#[test]
fn a_disk_that_a_machine_has_open_is_not_changed() {
    let made = Made::new();
    let device = made.device();
    let out = made.scratch.out();
    for (target, format) in [
        (out.join("disk.qcow2"), "qcow2"),
        (out.join("disk.raw"), "raw"),
        (device.path.clone(), "raw"),
    ] {
        made.first(&target);
        let mut machine = machine(&target, format);
        let mut refused = vec![made.run(&target, &["--update", "-f"])];
        if target == device.path {
            refused.push(made.run(&target, &["-f"]));
        }
        machine.kill().unwrap();
        machine.wait().unwrap();
        for refused in refused {
            refused.refused(1, &["is locked for writing by"]);
        }
        made.run(&target, &["--update", "-f"]).done();
    }
    made.assert_on(&device);
}

/// A write to the middle of a disk, after which the file's time is put back.
fn change_in_secret(target: &Path, format: &str) {
    let modified = fs::metadata(target).unwrap().modified().unwrap();
    let mut qemu_io = Command::new("qemu-io");
    qemu_io.args(["-f", format, "-c", "write -P 7 12m 4k"]);
    tool("qemu-utils", qemu_io.arg(target));
    let file = File::options().write(true).open(target).unwrap();
    file.set_modified(modified).unwrap();
}

#[test]
fn what_was_read_back_and_is_wrong_is_not_believed_by_the_next_update() {
    let base = ChainBuilder::base(&large(1).store_all(0..24));
    let made = Made::of(&base.child(&large(2).store_all([5])));
    for format in ["raw", "qcow2"] {
        let target = made.scratch.out().join(format!("disk.{format}"));
        made.first(&target);
        change_in_secret(&target, format);
        let update = ["--update", "--reflink=never"];
        let checked = made.run(&target, &[&update[..], &["--verify"]].concat());
        let again = match format {
            "raw" => "the same command again makes it right",
            _ => "a conversion of all of the disk",
        };
        checked.refused(1, &["was made zeros", again]);
        let again = made.run(&target, &update);
        match format {
            "raw" => {
                again.done();
                assert!(fs::read(&target).unwrap() == made.content());
            }
            _ => {
                again.refused(1, &["it has another start now"]);
                made.run(&target, &["-f"]).done();
                qcow2::assert_holds(&target, &made.content(), "all of the disk");
            }
        }
    }
}

#[test]
fn a_target_that_may_not_be_written_stays_what_it_is_with_its_sums() {
    let made = Made::new();
    let target = made.scratch.target();
    let snapshot = ["--snapshot", &made.chain.guids[0], "--checksum"];
    made.run(&target, &snapshot).done();
    let [state, sums] =
        ["ploopconv", "sha256"].map(|kind| PathBuf::from(format!("{}.{kind}", target.display())));
    let before = [&target, &state, &sums].map(|path| fs::read(path).unwrap());
    for fixed in [&target, &state] {
        let change = |how: &str| {
            let mut chattr = Command::new("chattr");
            tool("e2fsprogs", chattr.arg(how).arg(fixed));
        };
        change("+i");
        let update = made.run(&target, &["--update", "--reflink=never"]);
        change("-i");
        let said = update.refused(1, &["the target is as it was"]).stderr;
        assert!(!said.contains("not complete"), "{said}");
        assert!([&target, &state, &sums].map(|path| fs::read(path).unwrap()) == before);
    }
    // So it is known when somebody uses it.
    let file = File::options().write(true).open(&target).unwrap();
    file.write_all_at(b"started", 3 << 20).unwrap();
    let again = made.run(&target, &["--update"]);
    again.refused(1, &["was changed since it was made"]);
}

#[test]
fn what_is_replaced_keeps_its_owner() {
    let made = Made::new();
    let target = made.scratch.target();
    made.first(&target);
    std::os::unix::fs::chown(&target, Some(107), Some(108)).unwrap();
    made.first(&target);
    let meta = fs::metadata(&target).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (107, 108));
}

#[test]
fn what_a_killed_run_left_beside_a_target_goes_with_the_next_run() {
    let made = Made::new();
    let target = made.scratch.target();
    let left = || {
        let names = crate::support::names_in(&made.scratch.out()).into_iter();
        names.filter(|name| name.contains(".part-")).count()
    };
    let leave = || {
        for kind in ["ploopconv", "sha256", "blkhash"] {
            let name = format!(".disk.raw.{kind}.part-aB3dE6");
            fs::write(made.scratch.out().join(name), "left").unwrap();
        }
        assert_eq!(left(), 3);
    };
    leave();
    made.run(&target, &["--no-state"]).done();
    assert_eq!(left(), 0);
    made.first(&target);
    leave();
    made.run(&target, &["--update"]).done();
    assert_eq!(left(), 0);
}

#[test]
fn the_state_of_a_device_is_not_written_into_the_folder_of_the_image() {
    let made = Made::new();
    let device = made.device();
    let before = device.bytes();
    let run = |options: &[&str]| {
        let run = convert(Path::new("."), &device.path).args(options);
        run.directory(&made.chain.dir).run()
    };
    let snapshot = ["--snapshot", &made.chain.guids[0], "-f"];
    run(&snapshot).refused(2, &["that is the image's own"]);
    run(&["--update", "-f"]).refused(2, &["that is the image's own"]);
    assert!(device.bytes() == before);
    run(&[&snapshot[..], &["--no-state"]].concat()).done();
}
