//! `--update` of disks that boot: on devices, on file systems that share blocks, and after a mount.

use crate::sharing::file_system;
use crate::support::SourceGuard;
use crate::support::divided::MIB;
use crate::support::loops::Loop;
use crate::support::machines::Machine;
use crate::support::system::Mounted;
use crate::tools::tool;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A device that is larger than the disk and full of noise.
struct Device {
    device: Loop,
    backing: PathBuf,
}

impl Device {
    fn new(machine: &Machine) -> Self {
        let backing = machine.raw.scratch.path().join("device");
        fs::write(&backing, vec![0xdb; 260 * MIB as usize]).unwrap();
        let device = Loop::new(&backing);
        Self { device, backing }
    }

    fn path(&self) -> &Path {
        &self.device.path
    }

    fn state(&self, machine: &Machine) -> PathBuf {
        let name = self.path().file_name().unwrap().to_str().unwrap();
        machine.out(&format!("{name}.ploopconv"))
    }

    /// It holds a disk, and behind that what was there before.
    #[track_caller]
    fn assert_holds(&self, disk: &Path, what: &str) {
        let mut flush = Command::new("blockdev");
        tool("util-linux", flush.arg("--flushbufs").arg(self.path()));
        let len = fs::metadata(disk).unwrap().len();
        let mut cmp = Command::new("cmp");
        cmp.args(["-n", &len.to_string()])
            .arg(disk)
            .arg(self.path());
        let output = cmp.output().unwrap();
        assert!(output.status.success(), "{what}: {output:?}");
        let all = fs::read(&self.backing).unwrap();
        // Further on than any of the disks ends.
        let end = &all[240 * MIB as usize..];
        assert!(end.iter().all(|&byte| byte == 0xdb), "{what}");
    }
}

#[test]
fn a_device_that_boots_is_brought_up_to_date_after_any_kill() {
    let machine = Machine::new();
    let fresh = [0, 1, 2].map(|number| machine.fresh(number));
    let _guard = SourceGuard::new(&machine.chain.dir);
    let device = Device::new(&machine);
    machine.first(0, device.path(), &["-f"]);
    device.assert_holds(&fresh[0], "first");
    for round in [1, 1, 2, 2] {
        let snapshot = ["--snapshot", &machine.chain.guids[round]];
        let snapshot = if round == 2 { &[][..] } else { &snapshot };
        let update = [&["--update", "-f", "--verify"], snapshot].concat();
        machine.run(device.path(), &update).status(0);
        device.assert_holds(&fresh[round], "updated");
    }
    // What is added is larger at first.
    let small = fs::read(machine.initrd()).unwrap();
    let mut large = small.clone();
    large.resize(80 << 20, 7);
    let begin = || {
        fs::write(machine.initrd(), &large).unwrap();
        machine.first(0, device.path(), &["-f", "-q"]);
        fs::write(machine.initrd(), &small).unwrap();
    };
    let ended = |what: &str| device.assert_holds(&fresh[2], what);
    machine.killed(device.path(), &["-f"], begin, ended);
}

#[test]
fn a_new_file_shares_what_stayed_after_any_kill() {
    let machine = Machine::new();
    let fresh = [0, 1, 2].map(|number| machine.fresh(number));
    for kind in ["xfs", "btrfs"] {
        let mounted = file_system(&machine.raw.scratch, kind, &[]);
        let _guard = SourceGuard::new(&machine.chain.dir);
        let target = mounted.dir.join("101.raw");
        let holds = |number: usize, what: &str| {
            let cmp = Command::new("cmp")
                .arg(&fresh[number])
                .arg(&target)
                .output();
            assert!(cmp.unwrap().status.success(), "{kind}: {what}");
        };
        machine.first(0, &target, &[]);
        for round in [1, 2] {
            let snapshot = ["--snapshot", &machine.chain.guids[round]];
            let snapshot = if round == 2 { &[][..] } else { &snapshot };
            let update = [&["--update", "--json", "-q"], snapshot].concat();
            let report = machine.run(&target, &update).status(0).json();
            assert_eq!(report["replaced"], true, "{report}");
            holds(round, "updated");
        }
        let begin = || machine.first(0, &target, &["-f", "-q"]);
        machine.killed(&target, &[], begin, |what| holds(2, what));
    }
}

/// What a guest does first: it mounts its root, and that is all that is to be seen.
#[test]
fn a_machine_that_was_started_meanwhile_is_refused() {
    let machine = Machine::new();
    let fresh = machine.fresh(2);
    let device = Device::new(&machine);
    let file = machine.out("101.raw");
    let folder = machine.raw.scratch.path().join("mounted");
    let mount = |target: &Path| Mounted::image(target, &folder, "loop,offset=1048576");
    for (target, state) in [
        (file.as_path(), machine.out("101.raw.ploopconv")),
        (device.path(), device.state(&machine)),
    ] {
        for writes in [false, true] {
            machine.first(0, target, &["-f"]);
            let before = fs::read(&state).unwrap();
            let mounted = mount(target);
            if writes {
                fs::write(mounted.dir.join("etc/fstab"), "changed by the guest").unwrap();
            }
            mounted.end();
            let update = machine.run(target, &["--update", "-f", "--json"]);
            let report = update.refused(1, &["was changed"]).json();
            assert_eq!(report["code"], "target-changed", "{report}");
            assert!(fs::read(&state).unwrap() == before);
            machine.run(target, &["-f"]).status(0);
        }
    }
    device.assert_holds(&fresh, "converted");
    // Nothing but the boot partition is written to.
    machine.first(0, device.path(), &["-f"]);
    let dry = ["--update", "-f", "--dry-run", "--json", "-q"];
    let report = machine.run(device.path(), &dry).status(0).json();
    let at = report["machine"]["boot_offset"].as_u64().unwrap();
    let noise = machine.out("noise");
    fs::write(&noise, vec![7; 100_000]).unwrap();
    let mut mcopy = Command::new("mcopy");
    let at = format!("{}@@{at}", device.path().display());
    tool("mtools", mcopy.arg("-i").arg(at).arg(noise).arg("::"));
    let update = machine.run(device.path(), &["--update", "-f"]);
    update.refused(1, &["was changed"]);
}

/// The time of a file can be put back; its file system still says that it was mounted.
#[test]
fn a_target_whose_time_is_put_back_is_known_by_what_its_file_system_says() {
    let machine = Machine::new();
    let target = machine.out("101.raw");
    machine.first(0, &target, &[]);
    let modified = fs::metadata(&target).unwrap().modified().unwrap();
    let folder = machine.raw.scratch.path().join("mounted");
    Mounted::image(&target, &folder, "loop,offset=1048576").end();
    let file = File::options().write(true).open(&target).unwrap();
    file.set_modified(modified).unwrap();
    drop(file);
    let update = machine.run(&target, &["--update", "--json"]);
    let report = update.refused(1, &["was changed"]).json();
    assert_eq!(report["code"], "target-changed", "{report}");
}
