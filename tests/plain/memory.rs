//! Memory: at most 64 MiB beyond the tables, whatever the image.

use crate::support::running::until_it_waits;
use crate::support::{ChainBuilder, Fill, ImageBuilder, Scratch, SourceGuard, field, program};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const MIB: u64 = 1 << 20;

/// The most memory a process has had at once so far, in bytes; `None` once it has ended.
fn peak(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    Some(kib * 1024)
}

/// Runs to the end with this exit status and answers the peak as far as it was seen.
#[track_caller]
fn peak_of(command: &mut Command, status: i32) -> u64 {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut highest = 0;
    while child.try_wait().unwrap().is_none() {
        highest = highest.max(peak(&child).unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(highest > 0, "the run was over before it was looked at");
    highest
}

#[track_caller]
fn assert_converts_within(image: &Path, scratch: &Scratch, limit: u64) {
    let _guard = SourceGuard::new(&scratch.source());
    let mut command = Command::new(program::path());
    let peak = peak_of(command.arg(image).arg("-o").arg(scratch.target()), 0);
    assert!(
        peak <= limit,
        "{} MiB at once, {} are allowed",
        peak / MIB,
        limit / MIB
    );
}

#[test]
fn a_cluster_of_64_mib_does_not_ask_for_a_buffer_of_64_mib() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    let image = ImageBuilder::v2().cluster_sectors(131_072).clusters(3);
    image
        .fill(2, Fill::Byte(2))
        .fill(0, Fill::Byte(1))
        .write(&path);
    assert_converts_within(&path, &scratch, 64 * MIB);
}

#[test]
fn a_disk_of_15_tib_needs_its_table_and_little_more() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    let clusters = 15 << 20;
    ImageBuilder::v2()
        .cluster_sectors(2048)
        .clusters(clusters)
        .store_all([clusters - 1, 0])
        .write(&path);
    assert_converts_within(&path, &scratch, 64 * MIB + 4 * u64::from(clusters));
}

#[test]
fn a_chain_of_256_layers_needs_little() {
    let scratch = Scratch::new();
    let image = |layer: u32| {
        ImageBuilder::v2()
            .clusters(300)
            .seed(u64::from(layer))
            .store(layer)
    };
    let chain = (1..256).fold(ChainBuilder::base(&image(0)), |chain, layer| {
        chain.child(&image(layer))
    });
    let chain = chain.write(&scratch.source());
    assert_converts_within(&chain.dir, &scratch, 64 * MIB);
}

/// What a header claims costs neither memory nor time until the file holds it.
#[test]
fn empty_tables_of_any_size_need_little() {
    let scratch = Scratch::new();
    let sectors_of_table = (64 + 4 * u64::from(u32::MAX)).div_ceil(1 << 20) << 11;
    let mut header = Vec::from(*b"WithouFreSpacExt");
    for word in [2u32, 16, 1024, 2048, u32::MAX] {
        header.extend(word.to_le_bytes());
    }
    header.extend((u64::from(u32::MAX) * 2048).to_le_bytes());
    header.extend(0u32.to_le_bytes());
    header.extend((sectors_of_table as u32).to_le_bytes());
    header.resize(64, 0);
    let names: Vec<String> = (0..8).map(|layer| format!("{layer}.hds")).collect();
    for name in &names {
        let file = std::fs::File::create(scratch.source().join(name)).unwrap();
        file.write_all_at(&header, 0).unwrap();
        file.set_len(sectors_of_table * 512).unwrap();
    }
    let layers = names.join(",");
    let _guard = SourceGuard::quick(&scratch.source());
    for command in ["info", "check", "map"] {
        let mut run = Command::new(program::path());
        let run = run
            .arg(command)
            .args(["--layers", &layers])
            .arg(scratch.source());
        let peak = peak_of(run, 0);
        assert!(peak <= 64 * MIB, "{command}: {} MiB", peak / MIB);
    }
}

#[test]
fn a_slow_reader_of_a_stream_does_not_make_it_pile_up() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    let image = ImageBuilder::v2().cluster_sectors(2048).clusters(160);
    (0..160)
        .rev()
        .fold(image, |image, k| image.fill(k, Fill::Byte(k as u8 | 1)))
        .write(&path);
    let _guard = SourceGuard::new(&scratch.source());
    let mut child = Command::new(program::path())
        .arg(&path)
        .args(["-o", "-", "-j", "8"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 1]).unwrap();
    // All that it reads ahead is read by now.
    until_it_waits(&child);
    let highest = peak(&child).unwrap();
    std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(highest <= 64 * MIB, "{} MiB at once", highest / MIB);
}

#[test]
fn a_table_whose_every_entry_is_damaged_costs_no_more_than_a_good_one() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    let clusters = 4 << 20;
    let image = ImageBuilder::v2().cluster_sectors(2048).clusters(clusters);
    let first = u32::try_from(image.data_start() >> 20).unwrap();
    let last = first + 3;
    // All in one place; all past the end; all inside the table.
    for entry in [first, last + 1000, 1] {
        let mut image = image.clone().store_all(0..4).build();
        let table: Vec<u8> = (0..clusters).flat_map(|_| entry.to_le_bytes()).collect();
        image.put(field::BAT, &table).write(&path);
        for command in ["check", "info"] {
            let _guard = SourceGuard::new(&scratch.source());
            let peak = peak_of(
                Command::new(program::path())
                    .arg(command)
                    .arg(&path)
                    .stdout(Stdio::null()),
                3,
            );
            let limit = 64 * MIB + 4 * u64::from(clusters);
            assert!(
                peak <= limit,
                "{} MiB at once for entry {entry}",
                peak / MIB
            );
        }
    }
}
