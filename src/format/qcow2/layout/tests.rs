//! Layouts of disks that are awkward on purpose.

use super::super::Compression;
use super::*;
use crate::disk::DiskError;

const GIB: u64 = 1 << 30;

fn options(cluster_size: u64) -> Qcow2Options {
    Qcow2Options {
        cluster_size: Qcow2ClusterSize::from_bytes(cluster_size).unwrap(),
        compression: None,
    }
}

fn plan(size: u64, cluster_size: u64, ranges: &[Range<u64>]) -> Qcow2Layout {
    Qcow2Layout::plan(size, options(cluster_size), ranges.iter().cloned().map(Ok)).unwrap()
}

fn placed(layout: &Qcow2Layout, range: Range<u64>) -> String {
    let data = layout.data_offset();
    let parts: Vec<_> = layout
        .placed(range)
        .map(|(part, place)| match place {
            Some(place) => format!("{}..{} at +{}", part.start, part.end, place - data),
            None => format!("{}..{} nowhere", part.start, part.end),
        })
        .collect();
    parts.join(", ")
}

#[test]
fn every_cluster_that_a_range_touches_has_a_place_in_the_order_of_the_disk() {
    let layout = plan(
        100_000,
        4096,
        &[10..20, 30..4097, 20_000..20_001, 99_999..100_000],
    );
    assert_eq!(layout.clusters(), 4);
    assert_eq!(layout.stored_bytes(), 10 + 4067 + 1 + 1);
    assert_eq!(layout.virtual_size(), 100_352);
    // Header, four clusters, one L2 table, the L1 table, refcount table and block.
    assert_eq!(layout.data_offset(), 4096);
    assert_eq!(layout.tables_offset(), 5 * 4096);
    assert_eq!(layout.l1_offset(), 6 * 4096);
    assert_eq!(layout.file_len(), 9 * 4096);
    assert_eq!(
        placed(&layout, 0..100_000),
        "0..8192 at +0, 8192..16384 nowhere, 16384..20480 at +8192, 20480..98304 nowhere, \
         98304..100000 at +12288"
    );
    assert_eq!(placed(&layout, 4097..4098), "4097..4098 at +4097");
    assert_eq!(placed(&layout, 8192..8192), "");
}

#[test]
fn ranges_that_share_a_cluster_plan_it_once() {
    let layout = plan(
        8192,
        4096,
        &[0..1, 1..2, 4000..4096, 4096..4097, 5000..5001],
    );
    assert_eq!(layout.clusters(), 2);
    assert_eq!(placed(&layout, 0..8192), "0..8192 at +0");
}

#[test]
fn a_run_goes_on_over_the_border_of_a_table() {
    // A table of 4 KiB clusters covers 2 MiB.
    let border = 2 << 20;
    let layout = plan(
        16 * border,
        4096,
        &[border - 4096..border, border..border + 1],
    );
    assert_eq!(layout.tables().count(), 2);
    assert_eq!(
        placed(&layout, border - 1..border + 4096),
        format!(
            "{}..{border} at +4095, {border}..{} at +4096",
            border - 1,
            border + 4096
        )
    );
    let entries: Vec<Vec<_>> = (0..2).map(|k| layout.planned_in(k).collect()).collect();
    assert_eq!(entries, [[(511, 0)], [(0, 1)]]);
}

#[test]
fn a_disk_of_16_tib_with_little_data_has_a_small_plan() {
    let size = 16 << 40;
    let far = size - 65536;
    let layout = plan(size, 65536, &[0..1, 8 * GIB..8 * GIB + 65537, far..size]);
    assert_eq!((layout.tables.len(), layout.runs.len()), (3, 3));
    assert_eq!(layout.l1_entries(), 32768);
    assert_eq!(
        layout.tables().map(|(index, _)| index).collect::<Vec<_>>(),
        [0, 16, 32767]
    );
    // Header, two blocks of the L1 table, one of each L2 table, refcounts, and the data.
    assert!(
        layout.needed_bytes() <= 65538 + 65537 + 12 * BLOCK,
        "{}",
        layout.needed_bytes()
    );
    assert_eq!(
        placed(&layout, far..size),
        format!("{far}..{size} at +{}", 3 * 65536)
    );
    assert_eq!(
        placed(&layout, GIB..GIB + 1),
        format!("{GIB}..{} nowhere", GIB + 1)
    );
}

#[test]
fn every_other_cluster_costs_8_bytes_and_no_more() {
    let clusters = 3000u64;
    let ranges: Vec<_> = (0..clusters).map(|k| k * 8192..k * 8192 + 1).collect();
    let layout = plan(clusters * 8192, 4096, &ranges);
    assert_eq!(size_of::<Run>(), 8);
    assert_eq!(layout.runs.len() as u64, clusters);
    for k in 0..clusters {
        let place = layout.placed(k * 8192..k * 8192 + 1).next().unwrap().1;
        assert_eq!(place, Some(layout.place(k)));
        assert_eq!(layout.rank_of(layout.place(k) + 4095), k);
    }
}

#[test]
fn where_clusters_are_compressed_only_tables_are_planned() {
    let options = Qcow2Options {
        compression: Some(Compression::Zstd),
        ..options(65536)
    };
    let ranges = [0..1, 5 * GIB..6 * GIB];
    let layout = Qcow2Layout::plan(8 * GIB, options, ranges.map(Ok)).unwrap();
    assert_eq!(layout.clusters(), 1 + GIB / 65536);
    assert!(layout.runs.is_empty());
    assert_eq!(layout.tables().count(), 3);
    let tables = layout.tables_offset();
    assert_eq!(
        (layout.l1_offset(), tables, layout.data_offset()),
        (65536, 2 * 65536, 5 * 65536)
    );
    assert_eq!(layout.entry_offset(0), Some(tables));
    assert_eq!(layout.entry_offset(3 * GIB / 65536), None);
    assert_eq!(
        layout.entry_offset(5 * GIB / 65536 + 3),
        Some(tables + 65536 + 24)
    );
}

#[test]
fn a_disk_without_bytes_has_a_layout() {
    let layout = plan(0, 65536, &[]);
    assert_eq!((layout.l1_entries(), layout.clusters()), (1, 0));
    assert_eq!(layout.file_len(), 4 * 65536);
}

#[test]
fn a_disk_beyond_the_bound_is_refused_with_the_size_that_would_do() {
    let too_large = |size, cluster_size| {
        let error = Qcow2Layout::plan(size, options(cluster_size), []).unwrap_err();
        assert_eq!(error.to_string(), "planning the qcow2 file");
        error.detail::<LayoutError>().unwrap().to_string()
    };
    assert_eq!(
        too_large((8 << 40) + 1, 4096),
        "a disk of 8796093022209 bytes is too large for clusters of 4K; clusters of 8K would do"
    );
    assert_eq!(
        too_large((32 << 40) + 1, 4096),
        "a disk of 35184372088833 bytes is too large for clusters of 4K; clusters of 16K would do"
    );
    assert_eq!(
        too_large(u64::MAX, 2 << 20),
        "a disk of 18446744073709551615 bytes is too large for clusters of 2M"
    );
    plan(8 << 40, 4096, &[]);
    plan(2 << 60, 2 << 20, &[]);
}

#[test]
fn a_file_that_cannot_be_counted_is_refused() {
    // 8 TiB of data fit into the L1 table; with the tables there is more than can be counted.
    let size = 8 << 40;
    let error = Qcow2Layout::plan(size, options(4096), [Ok(0..size)]).unwrap_err();
    let source = error.detail::<LayoutError>().unwrap();
    assert!(
        source.to_string().ends_with("clusters of 8K would do"),
        "{source}"
    );
}

#[test]
fn an_error_of_the_disk_is_an_error_of_the_plan() {
    let lost: Error = DiskError::Lost { offset: 5, len: 6 }.into();
    let error = Qcow2Layout::plan(100, options(4096), [Ok(0..1), Err(lost)]).unwrap_err();
    assert_eq!(error.detail(), Some(&DiskError::Lost { offset: 5, len: 6 }));
}
