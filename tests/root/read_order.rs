//! In which order a disk is read whose clusters lie in disorder, and of which nothing is in the
//! page cache.

use crate::sharing::file_system;
use crate::support::system::Mounted;
use crate::support::{ImageBuilder, Scratch, SourceGuard, program};
use crate::tools::tool;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const MIB: u64 = 1 << 20;
const CLUSTERS: u32 = 96;

/// Tells the kernel whether the disk under a mounted file system has a head that moves.
fn set_rotational(mounted: &Mounted, rotational: bool) {
    let mut findmnt = Command::new("findmnt");
    findmnt.args(["--noheadings", "--output", "SOURCE", "--mountpoint"]);
    let device = tool("util-linux", findmnt.arg(&mounted.dir));
    let name = Path::new(device.trim()).file_name().unwrap().to_owned();
    // That of the machine may be mounted read-only.
    let sys = Mounted {
        dir: mounted.dir.with_extension("sys"),
    };
    std::fs::create_dir_all(&sys.dir).unwrap();
    let mut mount = Command::new("mount");
    tool("mount", mount.args(["-t", "sysfs", "sysfs"]).arg(&sys.dir));
    let queue = sys.dir.join("block").join(name).join("queue/rotational");
    let said = if rotational { "1" } else { "0" };
    std::fs::write(&queue, said).unwrap();
    assert_eq!(std::fs::read_to_string(&queue).unwrap().trim(), said);
}

/// A call that names a place in a file, as strace writes it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Call {
    /// Tells the kernel to read it soon.
    WillNeed(u64),
    /// Reads it, if that takes no time.
    Read(u64),
}

impl Call {
    fn of(line: &str) -> Option<Self> {
        let (call, arguments) = line.split_once('(')?;
        let (arguments, _) = arguments.rsplit_once(") =")?;
        let number = |text: &str| text.trim().parse().unwrap();
        if call.ends_with("preadv2") {
            let (before, how) = arguments.rsplit_once(", ")?;
            assert_eq!(how, "RWF_NOWAIT", "{line}");
            return Some(Self::Read(number(before.rsplit_once(", ")?.1)));
        }
        let arguments: Vec<_> = arguments.split(", ").collect();
        let will_need = arguments.contains(&"POSIX_FADV_WILLNEED");
        will_need.then(|| Self::WillNeed(number(arguments[1])))
    }

    fn place(self) -> u64 {
        match self {
            Self::WillNeed(place) | Self::Read(place) => place,
        }
    }
}

/// How often the place before lies more than a cluster further on.
fn back(calls: &[Call]) -> usize {
    let pairs = calls.windows(2);
    pairs
        .filter(|pair| pair[0].place() > pair[1].place() + MIB)
        .count()
}

#[test]
fn a_cold_disk_in_disorder_is_read_from_one_end_to_the_other_where_a_head_moves() {
    let scratch = Scratch::new();
    let mounted = file_system(&scratch, "ext4", &[]);
    let image = ImageBuilder::v2().cluster_sectors(2048).clusters(CLUSTERS);
    let image = image.store_all((0..CLUSTERS).map(|number| number * 37 % CLUSTERS));
    let model = image.write(&mounted.dir.join("disk.hdd")).model("");
    mounted.end();

    let _guard = SourceGuard::new(&scratch.path().join("ext4"));
    let target = scratch.path().join("disk.raw");
    for rotational in [true, false] {
        // What was not read since it was mounted is not in the page cache.
        let mounted = Mounted::image(
            &scratch.path().join("ext4"),
            &scratch.path().join("again"),
            "loop,ro",
        );
        set_rotational(&mounted, rotational);
        let output = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=/fadvise,preadv2", "--"])
            .arg(program::path())
            .arg(mounted.dir.join("disk.hdd"))
            .arg("-o")
            .arg(&target)
            .args(["-f", "-v", "--no-sync"])
            .output()
            .unwrap_or_else(|error| panic!("strace: {error}; it is in the Debian package strace"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(std::fs::read(&target).unwrap() == model.content());

        let calls: Vec<_> = said.lines().filter_map(Call::of).collect();
        // A question that is a read makes the kernel read further. It has some clusters by then,
        // and the program asks for these no more.
        let clusters: BTreeSet<u64> = calls.iter().map(|call| call.place() / MIB).collect();
        assert!(clusters.len() >= CLUSTERS as usize, "{said}");
        let order = match rotational {
            true => "the image's files",
            false => "the disk",
        };
        let orders = said.lines().filter(|line| line.contains("in the order of"));
        let expected = format!("{}: 96 MiB read in the order of {order}", target.display());
        let orders: Vec<_> = orders.collect();
        assert!(
            orders.len() == 1 && orders[0].ends_with(&expected),
            "{said}"
        );
        // Once to choose the order, once to copy.
        assert_eq!(back(&calls) <= 1, rotational, "{said}");
    }
}
