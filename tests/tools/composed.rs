//! A disk that is made of disks: a GPT with two ploop chains, a raw file and bytes in it. Whatever
//! works over one disk works over it, by the library alone; and a format that the library does not
//! know is a few lines.

use crate::fake::FakeDisk;
use crate::support::divided::{MIB, Raw, ext4};
use crate::support::{Chain, ChainBuilder, Fill, ImageBuilder, Scratch, field};
use crate::tools::tool;
use ploopconv::compare::compare;
use ploopconv::convert::{ConvertOptions, Input, OpenStream, Resources, Sparse, Target, plan};
use ploopconv::disk::{Concat, DiskError, ExtentKind, LossKind, RawDisk, VirtualDisk, Writable};
use ploopconv::format::qcow2::Qcow2Options;
use ploopconv::format::{Allocation, Format, PlannedFile, TargetFormat};
use ploopconv::hash::Algorithm;
use ploopconv::nbd::{Export, Listener, Log, Server, Stop};
use ploopconv::overlay::Overlay;
use ploopconv::ploop::{IfInUse, OpenOptions, examine};
use ploopconv::salvage::View;
use ploopconv::sink::TargetError;
use ploopconv::sink::{FileSink, FileSinkOptions, IfExists, Partials, Reflink, Sink};
use ploopconv::{Result, Workers, partition};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const SIZE: u64 = 32 * MIB;
/// Where the partitions begin, and how long each is.
const PARTS: [u64; 3] = [MIB, 9 * MIB, 17 * MIB];
const PART: u64 = 8 * MIB;

/// A disk of a GPT and three partitions, and the bytes that it has.
struct Composed {
    disk: Arc<dyn VirtualDisk>,
    bytes: Vec<u8>,
    _scratch: Scratch,
    _file: Raw,
}

fn chain(scratch: &Scratch, name: &str, seed: u64, base: &ImageBuilder) -> Chain {
    let top = ImageBuilder::v1().cluster_sectors(2048).clusters(8);
    ChainBuilder::base(base)
        .child(&top.seed(seed + 1).store_all([2, 6]))
        .write(&scratch.source().join(name))
}

fn opened(chain: &Chain, salvage: bool) -> Arc<dyn VirtualDisk> {
    let options = OpenOptions {
        salvage,
        host: None,
        ..OpenOptions::default()
    };
    let examined = examine(&chain.dir, &options).unwrap();
    Arc::new(examined.into_disk(IfInUse::Refuse).unwrap())
}

/// `damage` spoils the first chain before it is opened for salvage.
fn composed(damage: Option<&dyn Fn(&Chain)>) -> Composed {
    let scratch = Scratch::new();
    let parts = ["--new=1:2048:+8M", "--new=2:18432:+8M", "--new=3:34816:+8M"];
    let table = Raw::sgdisk(SIZE, &parts);
    let file = Raw::new(PART);
    file.fill(0, PART, ext4("composed"));

    let base = ImageBuilder::v2().cluster_sectors(2048).clusters(8);
    let base = base.seed(1).store_all([5, 0, 2]).fill(7, Fill::Byte(0));
    let first = chain(&scratch, "first", 1, &base);
    let second = chain(&scratch, "second", 5, &base.clone().seed(4));
    let contents = [&first, &second].map(|chain| chain.model().content());
    if let Some(damage) = damage {
        damage(&first);
    }

    let mut disk = Concat::default();
    disk.bytes("the GPT", table.read(0, MIB)).unwrap();
    disk.disk(opened(&first, damage.is_some())).unwrap();
    disk.disk(opened(&second, false)).unwrap();
    let raw = Arc::new(RawDisk::open(&file.path).unwrap());
    disk.part(raw, 0..PART).unwrap();
    let tail = PARTS[2] + PART;
    disk.zeros(SIZE - 64 * 512 - tail).unwrap();
    let backup = table.read(SIZE - 64 * 512, 64 * 512);
    disk.bytes("the backup of the GPT", backup.clone()).unwrap();

    let mut bytes = table.read(0, MIB);
    bytes.extend(&contents[0]);
    bytes.extend(&contents[1]);
    bytes.extend(file.read(0, PART));
    bytes.resize((SIZE - 64 * 512) as usize, 0);
    bytes.extend(backup);
    Composed {
        disk: Arc::new(disk),
        bytes,
        _scratch: scratch,
        _file: file,
    }
}

fn read(disk: &dyn VirtualDisk, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0xee; len];
    disk.read_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn workers() -> Workers {
    Workers::new(2).unwrap()
}

/// Converts by the library, with all its promises.
fn converted(input: Input, target: &Path, options: ConvertOptions) -> ploopconv::convert::Done {
    let (workers, stop, partials) = (workers(), AtomicBool::new(false), Arc::default());
    let resources = Resources {
        workers: &workers,
        stop: &stop,
        partials: &partials,
        progress: &(),
    };
    let target = Target::at(target, options.if_exists).unwrap();
    let plan = plan(input, target, options, &resources).unwrap();
    plan.run(&resources).unwrap()
}

/// The error of a conversion that cannot be planned.
fn refused(input: Input, target: Target, options: ConvertOptions) -> ploopconv::Error {
    let (workers, stop, partials) = (workers(), AtomicBool::new(false), Arc::default());
    let resources = Resources {
        workers: &workers,
        stop: &stop,
        partials: &partials,
        progress: &(),
    };
    plan(input, target, options, &resources).unwrap_err()
}

#[test]
fn every_edge_reads_as_the_pieces_do() {
    let composed = composed(None);
    let disk = composed.disk.as_ref();
    assert_eq!(disk.size(), SIZE);
    assert!(read(disk, 0, SIZE as usize).unwrap() == composed.bytes);
    let edges = PARTS.into_iter().chain([PARTS[2] + PART, SIZE - 64 * 512]);
    for edge in edges {
        for (before, after) in [(1, 1), (512, 0), (0, 512), (70_000, 70_001)] {
            let start = (edge - before) as usize;
            let len = ((before + after) as usize).min(composed.bytes.len() - start);
            let found = read(disk, edge - before, len).unwrap();
            assert!(found == composed.bytes[start..start + len], "{edge}");
        }
    }
    assert!(read(disk, SIZE - 1, 2).is_err());
    assert!(read(disk, SIZE, 1).is_err());
}

#[test]
fn extents_are_gapless_and_their_stores_hold_what_is_read() {
    let composed = composed(None);
    let disk = composed.disk.as_ref();
    let mut at = 0;
    let mut names = Vec::new();
    for extent in disk.extents() {
        let extent = extent.unwrap();
        assert_eq!(extent.offset, at);
        at = extent.end();
        let from = extent.offset as usize;
        let expected = &composed.bytes[from..from + extent.len as usize];
        match extent.kind {
            ExtentKind::Data { store, host_offset } => {
                let store = disk.store(store).unwrap();
                let mut held = vec![0; expected.len()];
                store.read_at(&mut held, host_offset).unwrap();
                assert!(held == expected, "{store}");
                names.push(store.to_string());
            }
            ExtentKind::Hole => assert!(expected.iter().all(|&byte| byte == 0)),
            other => panic!("{other:?}"),
        }
        assert_eq!(disk.extent_at(extent.offset).unwrap().kind, extent.kind);
    }
    assert_eq!(at, SIZE);
    names.dedup();
    assert_eq!(names[0], "the GPT");
    assert!(names.iter().any(|name| name == "root.hds, layer 0"));
    assert!(names.iter().any(|name| name.ends_with(", layer 1")));
    assert_eq!(names.last().unwrap(), "the backup of the GPT");
    // A range begins and ends inside extents.
    for (start, end) in [(1, 2), (MIB - 1, MIB + 1), (5 * MIB + 7, 20 * MIB + 3)] {
        let part = disk.extents_in(start..end).map(|extent| extent.unwrap());
        let ends: Vec<_> = part.map(|extent| (extent.offset, extent.end())).collect();
        assert_eq!((ends[0].0, ends.last().unwrap().1), (start, end));
        assert!(ends.windows(2).all(|two| two[0].1 == two[1].0));
    }
}

#[test]
fn its_table_and_the_file_systems_in_it_are_found() {
    let composed = composed(None);
    let layout = partition::read(composed.disk.as_ref()).unwrap();
    assert!(layout.warnings.is_empty(), "{:?}", layout.warnings);
    let starts: Vec<_> = layout.partitions.iter().map(|part| part.start).collect();
    assert_eq!(starts, PARTS);
    let content = layout.partitions[2].content.as_ref().unwrap();
    assert_eq!(content.label.as_deref(), Some("composed"));
    let third = layout.partitions[2].of(Arc::clone(&composed.disk)).unwrap();
    let bytes = &composed.bytes[PARTS[2] as usize..(PARTS[2] + PART) as usize];
    assert!(read(&third, 0, PART as usize).unwrap() == bytes);
}

#[test]
fn it_is_converted_to_every_format_with_every_promise() {
    let composed = composed(None);
    let input = || Input::of(Arc::clone(&composed.disk), "composed");
    for (name, sparse) in [
        ("disk.raw", Sparse::Auto),
        ("disk.raw", Sparse::Always),
        ("disk.raw", Sparse::Never),
        ("disk.qcow2", Sparse::Auto),
        ("disk.qcow2", Sparse::Always),
    ] {
        for checksum in [None, Some(Algorithm::Sha256), Some(Algorithm::Blkhash)] {
            let scratch = Scratch::new();
            let target = scratch.path().join(name);
            let done = converted(
                input(),
                &target,
                ConvertOptions {
                    sparse,
                    checksum,
                    read_back: true,
                    ..ConvertOptions::for_name(&target)
                },
            );
            let made = done.images[0].planned.input.disk().size();
            assert_eq!(made, SIZE);
            let raw = scratch.path().join("check.raw");
            let format = if name.ends_with("raw") {
                "raw"
            } else {
                "qcow2"
            };
            let mut command = Command::new("qemu-img");
            command.args(["convert", "-f", format, "-O", "raw"]);
            tool("qemu-utils", command.arg(&target).arg(&raw));
            assert!(
                fs::read(&raw).unwrap() == composed.bytes,
                "{name} {sparse:?}"
            );
        }
    }
}

#[test]
fn its_partitions_become_images_of_their_own() {
    let composed = composed(None);
    let scratch = Scratch::new();
    let dir = scratch.path().join("parts");
    let input = Input::of(Arc::clone(&composed.disk), "composed");
    let options = ConvertOptions::for_name("x.raw".as_ref());
    let (workers, stop, partials) = (workers(), AtomicBool::new(false), Arc::default());
    let resources = Resources {
        workers: &workers,
        stop: &stop,
        partials: &partials,
        progress: &(),
    };
    let plan = plan(input, Target::Directory(dir.clone()), options, &resources).unwrap();
    let done = plan.run(&resources).unwrap();
    assert_eq!(done.images.len(), 3);
    for (number, start) in (1..).zip(PARTS) {
        let image = fs::read(dir.join(format!("p{number}.raw"))).unwrap();
        assert!(image == composed.bytes[start as usize..(start + PART) as usize]);
    }
}

#[test]
fn it_is_compared_with_other_disks() {
    let composed = composed(None);
    let scratch = Scratch::new();
    let file = scratch.path().join("same.raw");
    let mut bytes = composed.bytes.clone();
    fs::write(&file, &bytes).unwrap();
    let stop = AtomicBool::new(false);
    let found = |file: &Path| {
        let other = RawDisk::open(file).unwrap();
        let disk = composed.disk.as_ref();
        compare(disk, &other, &workers(), &stop, &()).unwrap()
    };
    assert_eq!(found(&file).first_difference, None);
    bytes[(9 * MIB + 5) as usize] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert_eq!(found(&file).first_difference, Some(9 * MIB + 5));
}

struct Silent;

impl Log for Silent {
    fn event(&self, _event: &ploopconv::nbd::Event<'_>) {}
}

#[test]
fn it_is_served_with_its_holes() {
    let composed = composed(None);
    let scratch = Scratch::new();
    let socket = scratch.path().join("socket");
    let stop = Arc::new(Stop::new().unwrap());
    let listener = Listener::unix(&socket).unwrap();
    let export = Arc::new(Export::new(Arc::clone(&composed.disk)));
    let server = Server::new(listener, export, 2, Arc::new(Silent), Arc::clone(&stop));
    let server = std::thread::spawn(move || server.run());
    let uri = format!("nbd+unix:///?socket={}", socket.display());
    let copied = scratch.path().join("copied.raw");
    tool("libnbd-bin", Command::new("nbdcopy").arg(&uri).arg(&copied));
    let map = Command::new("nbdinfo")
        .args(["--map", &uri])
        .output()
        .unwrap();
    stop.stop();
    server.join().unwrap().unwrap();
    assert!(fs::read(&copied).unwrap() == composed.bytes);
    let map = String::from_utf8(map.stdout).unwrap();
    assert!(map.contains("hole,zero"), "{map}");
}

#[test]
fn a_private_layer_takes_writes_over_it() {
    let composed = composed(None);
    let scratch = Scratch::new();
    let path = scratch.path().join("layer");
    let file = fs::File::options();
    let file = file
        .clone()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path);
    let overlay = Overlay::new(Arc::clone(&composed.disk), file.unwrap(), &path).unwrap();
    let mut bytes = composed.bytes.clone();
    for offset in [0, MIB - 3, 9 * MIB + 100, SIZE - 6] {
        overlay.write_at(b"change", offset).unwrap();
        bytes[offset as usize..offset as usize + 6].copy_from_slice(b"change");
    }
    assert!(read(&overlay, 0, SIZE as usize).unwrap() == bytes);
    let stores = overlay.stores().len();
    assert_eq!(stores, composed.disk.stores().len() + 1);
    let mut at = 0;
    for extent in overlay.extents() {
        let extent = extent.unwrap();
        assert_eq!(extent.offset, at);
        at = extent.end();
        if let ExtentKind::Data { store, .. } = extent.kind {
            assert!(overlay.store(store).is_some());
        }
    }
    assert_eq!(at, SIZE);
}

/// The entry of cluster 5 of the first chain's base points past the end of the file.
fn spoil(chain: &Chain) {
    let file = fs::File::options()
        .write(true)
        .open(&chain.files[0])
        .unwrap();
    use std::os::unix::fs::FileExt;
    file.write_all_at(&9999u32.to_le_bytes(), field::entry(5))
        .unwrap();
}

#[test]
fn what_a_piece_lost_is_lost_at_its_place_of_the_whole() {
    let composed = composed(Some(&spoil));
    let lost = PARTS[0] + 5 * MIB..PARTS[0] + 6 * MIB;
    let mut bytes = composed.bytes.clone();
    bytes[lost.start as usize..lost.end as usize].fill(0);

    let error = read(composed.disk.as_ref(), lost.start + 1, 1).unwrap_err();
    assert!(
        matches!(error.detail(), Some(DiskError::Lost { offset, .. }) if *offset == lost.start + 1)
    );
    let view = View::over_damage(Arc::clone(&composed.disk));
    assert!(read(view.disk().as_ref(), 0, SIZE as usize).unwrap() == bytes);
    let losses: Vec<_> = view
        .disk()
        .losses_in(0..SIZE)
        .map(|loss| loss.unwrap())
        .map(|loss| (loss.offset..loss.end(), loss.kind))
        .collect();
    assert_eq!(losses, [(lost.clone(), LossKind::Missing)]);
    assert!(read(view.trusted().as_ref(), lost.start, 512).is_err());
    let after = read(view.trusted().as_ref(), lost.end, 512).unwrap();
    assert!(after == bytes[lost.end as usize..lost.end as usize + 512]);
    // Half of it lies in this part.
    let part = view.part(lost.start + MIB / 2, MIB).unwrap();
    let inside: Vec<_> = part
        .disk()
        .losses_in(0..MIB)
        .collect::<Result<_>>()
        .unwrap();
    assert_eq!((inside[0].offset, inside[0].len), (0, MIB / 2));

    let scratch = Scratch::new();
    let target = scratch.path().join("disk.raw");
    let input = Input::new(view, Vec::new(), "composed");
    let done = converted(input, &target, ConvertOptions::for_name(&target));
    assert!(fs::read(&target).unwrap() == bytes);
    let account = done.images[0].account.as_ref().unwrap();
    assert_eq!(account.lost.zeros, MIB);
    assert_eq!(account.parts[0].number, Some(1));
    assert!(scratch.path().join("disk.raw.lost").exists());
}

/// A format that the library does not know: every byte is turned over.
#[derive(Debug)]
struct Inverted;

#[derive(Debug)]
struct PlannedInverted(u64);

struct InvertedSink(FileSink);

impl Format for Inverted {
    fn name(&self) -> &'static str {
        "inverted"
    }
    fn buffer_for_each(&self) -> Option<u64> {
        None
    }
    fn plan(
        &self,
        disk: &dyn VirtualDisk,
        _allocation: Allocation,
        _workers: &Workers,
    ) -> Result<Box<dyn PlannedFile>> {
        Ok(Box::new(PlannedInverted(disk.size())))
    }
    fn open(&self, path: &Path) -> Result<Box<dyn VirtualDisk>> {
        let bytes = fs::read(path)
            .unwrap()
            .iter()
            .map(|byte| !byte)
            .collect::<Vec<_>>();
        Ok(Box::new(RawDisk::over(Arc::new(bytes), path)?))
    }
}

impl PlannedFile for PlannedInverted {
    fn data_bytes(&self) -> u64 {
        self.0
    }
    fn needed_bytes(&self) -> u64 {
        self.0
    }
    fn create(
        self: Box<Self>,
        target: &Path,
        options: FileSinkOptions,
        partials: &Arc<Partials>,
    ) -> Result<Box<dyn Sink>> {
        let sink = FileSink::create(target, self.0, options, partials)?;
        Ok(Box::new(InvertedSink(sink)))
    }
}

impl Sink for InvertedSink {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let turned: Vec<u8> = data.iter().map(|byte| !byte).collect();
        self.0.write_at(&turned, offset)
    }
    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        self.0.write_at(&vec![0xff; len as usize], offset)
    }
    fn complete(&self) -> Result<()> {
        self.0.complete()
    }
    fn readable_at(&self) -> Option<&Path> {
        self.0.readable_at()
    }
    fn finish(self: Box<Self>) -> Result<()> {
        Box::new(self.0).finish()
    }
}

#[test]
fn a_third_format_is_a_few_lines_and_keeps_every_promise() {
    let composed = composed(None);
    let scratch = Scratch::new();
    let target = scratch.path().join("disk.inverted");
    let options = ConvertOptions {
        format: Inverted.into(),
        read_back: true,
        reflink: Reflink::Never,
        ..ConvertOptions::for_name(&target)
    };
    let input = || Input::of(Arc::clone(&composed.disk), "composed");
    let names = || fs::read_dir(scratch.path()).unwrap().count();
    let before = names();
    converted(input(), &target, options.clone());
    let made = fs::read(&target).unwrap();
    assert!(
        made.iter()
            .zip(&composed.bytes)
            .all(|(made, byte)| *made == !byte)
    );
    assert_eq!(made.len() as u64, SIZE);

    // What is there stays, and nothing is left of the second run.
    let again = Target::at(&target, IfExists::Refuse).unwrap();
    let refused = refused(input(), again, options);
    assert!(matches!(refused.detail(), Some(TargetError::Exists { .. })));
    assert_eq!(names(), before + 1);
}

#[test]
fn a_format_that_is_not_the_bytes_of_the_disk_goes_to_no_stream() {
    let composed = composed(None);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let stream = || {
        Target::Open(OpenStream {
            name: "stream".into(),
            out: Box::new(Shared(Arc::clone(&sent))),
            identity: None,
            kept_in: None,
        })
    };
    let formats: [Arc<dyn Format>; 2] = [Arc::new(Inverted), Arc::new(Qcow2Options::default())];
    for format in formats {
        let options = ConvertOptions {
            format: TargetFormat::Disk(format),
            ..ConvertOptions::for_name("stream".as_ref())
        };
        let input = Input::of(Arc::clone(&composed.disk), "composed");
        let refused = refused(input, stream(), options);
        assert_eq!(refused.code(), "target-kind");
    }
    assert!(sent.lock().unwrap().is_empty());
}

/// A stream whose bytes can be looked at afterwards.
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(data)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_conversion_walks_over_the_extents_once() {
    let composed = composed(None);
    for name in ["disk.raw", "disk.qcow2"] {
        for checksum in [None, Some(Algorithm::Sha256)] {
            let disk = Arc::new(FakeDisk::counting(Arc::clone(&composed.disk)));
            let scratch = Scratch::new();
            let target = scratch.path().join(name);
            let options = ConvertOptions {
                checksum,
                ..ConvertOptions::for_name(&target)
            };
            let input = Input::of(Arc::clone(&disk) as Arc<dyn VirtualDisk>, "counted");
            converted(input, &target, options);
            assert_eq!(disk.walks.load(Ordering::Relaxed), 1, "{name} {checksum:?}");
        }
    }
}
