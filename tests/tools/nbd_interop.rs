//! Other people's NBD clients on a disk that is served.

use crate::support::served::Served;
use crate::support::{Chain, ChainBuilder, Fill, ImageBuilder, Scratch, SourceGuard};
use crate::tools::tool;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// Three layers with clusters of an odd size, holes of every kind, and an end inside a cluster.
fn builder() -> ChainBuilder {
    let image = |sectors| ImageBuilder::v2().cluster_sectors(63).sectors(sectors);
    ChainBuilder::base(&image(63 * 90).seed(1).store_all([8, 0, 1, 3, 4, 6, 80]))
        .child(
            &image(63 * 110 + 5)
                .seed(2)
                .store_all([4, 10])
                .fill(6, Fill::FileHole),
        )
        .child(
            &image(63 * 120 + 7)
                .seed(3)
                .store_all([120, 2, 9])
                .fill(50, Fill::Byte(0)),
        )
}

/// In the order in which they go: the source is looked at when the server is gone.
struct Case {
    served: Served,
    _guard: SourceGuard,
    chain: Chain,
    scratch: Scratch,
}

impl Case {
    fn new(args: &[&str]) -> Self {
        let scratch = Scratch::new();
        let chain = builder().write(&scratch.source());
        let guard = SourceGuard::new(&scratch.source());
        let served = Served::with(&chain.dir, &scratch, args);
        Self {
            scratch,
            chain,
            served,
            _guard: guard,
        }
    }

    fn content(&self) -> Vec<u8> {
        self.chain.model().content()
    }

    /// What block status is to say: neighbours that are the same are one.
    fn status(&self) -> Vec<(u64, u64, bool)> {
        let mut runs: Vec<(u64, u64, bool)> = Vec::new();
        for extent in self.chain.model().extents() {
            let cluster = 63 * 512;
            // The one cluster that is a hole of its file; aligned for the file system or not, it
            // is followed by data in the file, so how much of it shows depends on blocks.
            let data = extent.stored.is_some();
            assert!(extent.len.is_multiple_of(cluster) || extent.len < cluster);
            match runs.last_mut() {
                Some((_, len, last)) if *last == data => *len += extent.len,
                _ => runs.push((extent.offset, extent.len, data)),
            }
        }
        runs
    }
}

fn nbdinfo(args: &[&str], uri: &str) -> String {
    tool("libnbd-bin", Command::new("nbdinfo").args(args).arg(uri))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn nbdinfo_finds_what_is_promised() {
    let case = Case::new(&[]);
    let uri = &case.served.uri;
    let report = json(&nbdinfo(&["--json"], uri));
    assert_eq!(report["protocol"], "newstyle-fixed");
    assert_eq!(report["structured"], true);
    let export = &report["exports"][0];
    assert_eq!(export["export-name"], "");
    assert_eq!(export["description"], "source");
    assert_eq!(export["contexts"], serde_json::json!(["base:allocation"]));
    assert_eq!(export["export-size"], case.chain.model().size());
    for (promise, expected) in [
        ("is_read_only", true),
        ("can_multi_conn", true),
        ("can_df", true),
        ("is_rotational", false),
        ("can_cache", false),
        ("can_fast_zero", false),
        ("can_flush", false),
        ("can_fua", false),
        ("can_trim", false),
        ("can_zero", false),
    ] {
        assert_eq!(export[promise], expected, "{promise}");
    }
    assert_eq!(export["block_size_minimum"], 1);
    assert_eq!(export["block_size_maximum"], 32 << 20);

    assert_eq!(
        nbdinfo(&["--size"], uri).trim(),
        case.chain.model().size().to_string()
    );
    let list = json(&nbdinfo(&["--list", "--json"], uri));
    assert_eq!(list["exports"][0]["export-name"], "");
    assert_eq!(list["exports"].as_array().unwrap().len(), 1);

    for (question, what, yes) in [
        ("--is", "read-only", true),
        ("--is", "rotational", false),
        ("--can", "connect", true),
        ("--can", "multi-conn", true),
        ("--can", "df", true),
        ("--can", "structured-reply", true),
        ("--can", "write", false),
        ("--can", "trim", false),
        ("--can", "zero", false),
        ("--can", "flush", false),
        ("--can", "fua", false),
        ("--can", "cache", false),
    ] {
        let status = Command::new("nbdinfo")
            .args([question, what])
            .arg(uri)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(if yes { 0 } else { 2 }), "{what}");
    }
    case.served.stop();
}

/// What nbdinfo prints as the map of the disk: offset, length, and whether it is data.
fn nbdinfo_map(uri: &str) -> Vec<(u64, u64, bool)> {
    let map = json(&nbdinfo(&["--map", "--json"], uri));
    let mut runs: Vec<(u64, u64, bool)> = Vec::new();
    for extent in map.as_array().unwrap() {
        let number = |name: &str| extent[name].as_u64().unwrap();
        let data = match number("type") {
            0 => true,
            3 => false,
            other => panic!("type {other}"),
        };
        match runs.last_mut() {
            Some((_, len, last)) if *last == data => *len += number("length"),
            _ => runs.push((number("offset"), number("length"), data)),
        }
    }
    runs
}

#[test]
fn the_map_is_that_of_the_layers() {
    let case = Case::new(&[]);
    let found = nbdinfo_map(&case.served.uri);
    let size = case.chain.model().size();
    assert_eq!(found.iter().map(|(_, len, _)| len).sum::<u64>(), size);
    // What no layer stores is a hole; of what one stores, the holes of its file may be.
    let cluster = 63 * 512;
    let stored = case.status();
    let is_stored = |offset| {
        let mut at = stored.iter();
        at.any(|&(start, len, data)| data && (start..start + len).contains(&offset))
    };
    for (offset, len, data) in &found {
        for at in [*offset, offset + len - 1] {
            let file_hole = at / cluster == 6;
            assert!(
                *data == is_stored(at) || (file_hole && !data),
                "{at:#x} of {found:x?}, stored are {stored:x?}"
            );
        }
    }
    let hole = found.iter().find(|(offset, len, data)| {
        !data && (*offset..offset + len).contains(&(6 * cluster + cluster / 2))
    });
    assert!(hole.is_some(), "the hole of a file is one of the disk too");

    let totals = json(&nbdinfo(&["--map", "--totals", "--json"], &case.served.uri));
    let total = |kind: u64| {
        let mut totals = totals.as_array().unwrap().iter();
        totals.find(|total| total["type"] == kind).unwrap()["size"].clone()
    };
    let sum = |wanted| {
        let of_kind = found.iter().filter(|(_, _, data)| *data == wanted);
        of_kind.map(|(_, len, _)| len).sum::<u64>()
    };
    assert_eq!(total(0), sum(true));
    assert_eq!(total(3), sum(false));
    case.served.stop();
}

#[test]
fn nbdcopy_copies_every_byte_and_keeps_the_holes() {
    for args in [
        &[][..],
        &["--connections=4", "--requests=64"],
        &["--synchronous"],
        &["--connections=1", "--request-size=33554432"],
    ] {
        let case = Case::new(&["--trace"]);
        let copy = case.scratch.target();
        let mut nbdcopy = Command::new("nbdcopy");
        tool(
            "libnbd-bin",
            nbdcopy.args(args).arg(&case.served.uri).arg(&copy),
        );
        let content = case.content();
        assert!(std::fs::read(&copy).unwrap() == content, "{args:?}");
        let trace = case.served.stop().stderr;
        let read: u64 = trace
            .lines()
            .filter_map(|line| line.split_once(": read of ")?.1.split_once(" bytes at"))
            .map(|(bytes, _)| bytes.parse::<u64>().unwrap())
            .sum();
        let stored = case.chain.model().data_bytes();
        // Requests are of a size that the client chooses, and all of one is read where part of it
        // is data.
        let large = args.iter().any(|arg| arg.contains("request-size"));
        assert!(
            large || (read < content.len() as u64 / 2 && read > stored / 2),
            "{args:?}: {read} bytes were read, {stored} are stored"
        );
    }
}

#[test]
fn qemu_img_converts_compares_and_maps() {
    let case = Case::new(&[]);
    let uri = &case.served.uri;
    let qemu_img = |args: &[&str]| tool("qemu-utils", Command::new("qemu-img").args(args));
    let expected = case.scratch.out().join("expected.raw");
    std::fs::write(&expected, case.content()).unwrap();
    let expected = expected.to_str().unwrap();

    let raw = case.scratch.target();
    let raw = raw.to_str().unwrap();
    qemu_img(&["convert", "-f", "raw", "-O", "raw", uri, raw]);
    assert!(std::fs::read(raw).unwrap() == case.content());

    let said = qemu_img(&["compare", "-f", "raw", "-F", "raw", uri, expected]);
    assert!(said.contains("identical"), "{said}");

    let packed = case.scratch.out().join("disk.qcow2");
    let packed = packed.to_str().unwrap();
    qemu_img(&["convert", "-c", "-f", "raw", "-O", "qcow2", uri, packed]);
    let said = qemu_img(&["compare", packed, expected]);
    assert!(said.contains("identical"), "{said}");

    let map = json(&qemu_img(&["map", "--output=json", "-f", "raw", uri]));
    let mut runs: Vec<(u64, u64, bool)> = Vec::new();
    for extent in map.as_array().unwrap() {
        let number = |name: &str| extent[name].as_u64().unwrap();
        let data = extent["data"] == true;
        assert_eq!(extent["zero"], !data);
        match runs.last_mut() {
            Some((_, len, last)) if *last == data => *len += number("length"),
            _ => runs.push((number("start"), number("length"), data)),
        }
    }
    // QEMU counts in sectors, and so does the disk.
    assert_eq!(runs, nbdinfo_map(uri));

    let info = json(&qemu_img(&["info", "--output=json", "-f", "raw", uri]));
    assert_eq!(info["virtual-size"], case.chain.model().size());
    case.served.stop();
}

#[test]
fn qemu_io_reads_at_odd_offsets_and_may_not_write() {
    let case = Case::new(&[]);
    let content = case.content();
    let cluster = 63 * 512;
    for (offset, len) in [
        (1, 3),
        (cluster - 1, 2),
        (cluster * 3 - 5, cluster * 2 + 11),
        (content.len() - 1, 1),
    ] {
        let command = format!("read -v {offset} {len}");
        let said = tool(
            "qemu-utils",
            Command::new("qemu-io")
                .args(["-r", "-f", "raw", "-c", &command])
                .arg(&case.served.uri),
        );
        // Lines of an offset, up to 16 bytes, and the same as text.
        let dump = said.lines().filter_map(|line| line.split_once(":  "));
        let bytes = dump.flat_map(|(_, bytes)| bytes.split("  ").next().unwrap().split(' '));
        let bytes: Vec<_> = bytes
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        assert!(bytes == content[offset..offset + len], "{said}");
    }
    let output = Command::new("qemu-io")
        .args(["-f", "raw", "-c", "write 0 512"])
        .arg(&case.served.uri)
        .output()
        .unwrap();
    assert!(!output.status.success());
    case.served.stop();
}

#[test]
fn nbd_client_lists_the_export() {
    let case = Case::new(&[]);
    let mut nbd_client = Command::new("nbd-client");
    let said = tool(
        "nbd-client",
        nbd_client.args(["-l", "-unix"]).arg(&case.served.socket),
    );
    assert!(said.contains("source"), "{said}");
    case.served.stop();
}

/// nbdkit's plugin is a parser of the protocol that shares nothing with libnbd's users above but
/// the library; through it the disk comes out of another server.
#[test]
fn nbdkit_passes_it_on() {
    let case = Case::new(&[]);
    let socket = case.scratch.path().join("nbdkit");
    let mut nbdkit = Command::new("nbdkit");
    let mut child = nbdkit
        .args(["--foreground", "--exit-with-parent", "--unix"])
        .arg(&socket)
        .args(["--filter=error", "nbd", "error=EIO", "error-rate=0%"])
        .arg(format!("uri={}", case.served.uri))
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("nbdkit: {error}; it is in the Debian package nbdkit"));
    let uri = format!("nbd+unix:///?socket={}", socket.display());
    let start = std::time::Instant::now();
    while !socket.exists() {
        assert!(start.elapsed().as_secs() < 30, "nbdkit does not serve");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(nbdinfo_map(&uri), nbdinfo_map(&case.served.uri));
    let copy = case.scratch.target();
    tool("libnbd-bin", Command::new("nbdcopy").arg(&uri).arg(&copy));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(std::fs::read(&copy).unwrap() == case.content());
    case.served.stop();
}

/// Runs a script with libnbd's Python; `uri`, `expected` (a file of the disk's bytes) and `size`
/// are there for it.
fn nbdsh(case: &Case, script: &str) -> String {
    let expected = case.scratch.out().join("expected.raw");
    std::fs::write(&expected, case.content()).unwrap();
    let prelude = format!(
        "uri = {:?}\nexpected = open({:?}, 'rb').read()\nsize = len(expected)\n",
        case.served.uri, expected
    );
    tool(
        "python3-libnbd",
        crate::tools::nbdsh().args(["-c", &prelude, "-c", script]),
    )
}

#[test]
fn libnbd_sees_every_extent_whatever_it_asks_for() {
    let case = Case::new(&[]);
    nbdsh(
        &case,
        r#"
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.connect_uri(uri)
assert h.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION)

def status(offset, count, flags=0):
    found = []
    def extents(context, at, entries, error):
        assert context == nbd.CONTEXT_BASE_ALLOCATION and at == offset, (context, at)
        found.extend(zip(entries[0::2], entries[1::2]))
    h.block_status(count, offset, extents, flags)
    assert found
    return found

whole = {}
at = 0
for length, flags in status(0, size):
    assert length > 0 and flags in (0, 3), (length, flags)
    if flags == 3:
        assert not any(expected[at:at + length]), at
    whole[at] = (length, flags)
    at += length
assert at == size, at

# From every start of an extent, and from its middle and last byte; to the end, and for one byte.
for start, (length, flags) in whole.items():
    for offset in start, start + 1, start + length // 2, start + length - 1:
        left = start + length - offset
        if left <= 0:
            continue
        one = status(offset, size - offset, nbd.CMD_FLAG_REQ_ONE)
        assert len(one) == 1 and one[0] == (left, flags), (offset, one, left)
        assert status(offset, 1) == [(1, flags)]
        many = status(offset, size - offset)
        assert sum(length for length, _ in many) == size - offset
        assert many[0] == (left, flags)

# Reads of all sizes across all of these edges.
for start in whole:
    for offset in start - 1, start, start + 1:
        for count in 1, 2, 511, 512, 4095, 4096, 70001:
            if offset < 0 or offset + count > size:
                continue
            assert h.pread(count, offset) == expected[offset:offset + count], (offset, count)
            one = []
            whole_piece = lambda data, at, kind, error: one.append((at, kind))
            data = h.pread_structured(count, offset, whole_piece, nbd.CMD_FLAG_DF)
            assert data == expected[offset:offset + count]
            assert one == [(offset, nbd.READ_DATA)], one

# In pieces as they come.
pieces = []
def piece(data, offset, kind, error):
    assert kind in (nbd.READ_DATA, nbd.READ_HOLE), kind
    pieces.append((offset, len(data), kind))
data = h.pread_structured(size, 0, piece)
assert data == expected
assert sum(length for _, length, _ in pieces) == size
assert any(kind == nbd.READ_HOLE for _, _, kind in pieces), pieces
h.shutdown()
"#,
    );
    case.served.stop();
}

#[test]
fn libnbd_may_be_impolite() {
    let case = Case::new(&[]);
    nbdsh(
        &case,
        r#"
import errno
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.set_strict_mode(0)
h.connect_uri(uri)

def fails(number, call, *args):
    try:
        call(*args)
    except nbd.Error as error:
        assert error.errnum == number, (call, args, error.errnum, error)
    else:
        assert False, (call, args)

nothing = lambda *args: None
fails(errno.EPERM, h.pwrite, bytearray(4096), 0)
fails(errno.EPERM, h.pwrite, bytearray(4096), size)
fails(errno.EPERM, h.trim, 4096, 0)
fails(errno.EPERM, h.zero, 4096, 0)
fails(errno.EINVAL, h.cache, 4096, 0)
fails(errno.EINVAL, h.pread, 1, size)
fails(errno.EINVAL, h.pread, 2, size - 1)
fails(errno.EINVAL, h.pread, 4096, 2**63)
fails(errno.EINVAL, h.block_status, 1, size, nothing)
fails(errno.EINVAL, h.block_status, 2**32 - 1, 0, nothing)
fails(errno.EINVAL, h.block_status, 0, 0, nothing)
fails(errno.EINVAL, h.pread, 512, 0, nbd.CMD_FLAG_FUA)
fails(errno.EINVAL, h.pread, 512, 0, 1 << 15)
h.flush()
assert h.pread(4096, 0) == expected[:4096]
h.shutdown()
"#,
    );
    case.served.stop();
}

/// A user without root mounts nothing, and has the disk as a file all the same.
#[test]
fn nbdfuse_makes_a_file_of_it() {
    let case = Case::new(&[]);
    let file = case.scratch.path().join("disk.raw");
    std::fs::write(&file, "").unwrap();
    let mut child = Command::new("nbdfuse")
        .arg("--readonly")
        .arg(&file)
        .arg(&case.served.uri)
        .spawn()
        .unwrap_or_else(|error| panic!("nbdfuse: {error}; it is in libnbd-bin"));
    let content = case.content();
    let start = std::time::Instant::now();
    while std::fs::metadata(&file).unwrap().len() != content.len() as u64 {
        assert!(start.elapsed().as_secs() < 30, "nbdfuse does not mount");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let same = std::fs::read(&file).unwrap() == content;
    let unmounted = Command::new("fusermount3").arg("-u").arg(&file).status();
    child.wait().unwrap();
    assert!(same && unmounted.unwrap().success());
    case.served.stop();
}

/// Converted by a program that was never told of ploop, a partition is the same as converted here.
#[test]
fn a_partition_is_served_alone() {
    let scratch = Scratch::new();
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101");
    let _guard = SourceGuard::new(&image);
    let ours = scratch.target();
    crate::support::convert(&image, &ours)
        .args(["--partition", "1"])
        .run()
        .status(0);
    let served = Served::with(&image, &scratch, &["--partition", "1"]);
    let copy = scratch.out().join("copy.raw");
    tool(
        "libnbd-bin",
        Command::new("nbdcopy").arg(&served.uri).arg(&copy),
    );
    assert!(std::fs::read(&copy).unwrap() == std::fs::read(&ours).unwrap());
    let report = json(&nbdinfo(&["--json"], &served.uri));
    assert_eq!(report["exports"][0]["description"], "partition 1 of 101");
    tool("e2fsprogs", Command::new("e2fsck").args(["-fn"]).arg(&copy));
    served.stop();
}

#[test]
fn a_disk_larger_than_a_status_can_say_is_seen_whole() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    // 15 TiB in clusters of 1 MiB, of which three are stored.
    let clusters = 15 << 20;
    let stored = [0, 9_000_000, clusters - 1];
    ImageBuilder::v2()
        .cluster_sectors(2048)
        .clusters(clusters)
        .store_all(stored)
        .write(&path);
    let _guard = SourceGuard::new(&scratch.source());
    let served = Served::new(&path, &scratch);
    let found = nbdinfo_map(&served.uri);
    let data: Vec<_> = found.iter().filter(|(_, _, data)| *data).collect();
    let expected: Vec<_> = stored.iter().map(|&at| u64::from(at) << 20).collect();
    assert_eq!(data.iter().map(|it| it.0).collect::<Vec<_>>(), expected);
    assert!(data.iter().all(|(_, len, _)| *len == 1 << 20));
    assert_eq!(
        found.iter().map(|(_, len, _)| len).sum::<u64>(),
        u64::from(clusters) << 20
    );
    served.stop();
}
