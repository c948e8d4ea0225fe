//! Random disks against readers that share no code with the program: `qemu-img` with each layer a
//! node of its own, and Debian's `ploop merge`. Both are given copies.
//!
//! The cases are the same in every run. `PROPTEST_RNG_SEED=N` gives other ones, `PROPTEST_CASES=N`
//! more of them; a failure prints the smallest plan found, from which the disk can be built again.

use crate::sharing::file_system;
use crate::support::image::{SECTOR, Version, divided};
use crate::support::witness::qemu_convert;
use crate::support::{
    Chain, ChainBuilder, Fill, ImageBuilder, Program, Scratch, SourceGuard, assert_file_holds,
    check, map,
};
use crate::tools::{Layers, ploop_check, ploop_grow, ploop_merge, ploop_merge_in_place, qemu_map};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use std::path::{Path, PathBuf};

/// How one layer is to be built. Every value is taken modulo what the layer has room for.
#[derive(Clone, Debug)]
struct LayerPlan {
    version: Version,
    cluster_sectors: u32,
    /// Clusters that the disk has more than in the layer below.
    more: u64,
    /// Sectors that the last cluster is short of.
    short: u64,
    /// Clusters in the order of the file: index, kind of content, unused places in front.
    stored: Vec<(u32, u8, u64)>,
    /// Which of the legal places the data starts at.
    start: u8,
}

/// How a disk is to be built, base first.
#[derive(Clone, Debug)]
struct Plan {
    /// The base is raw, with this many sectors.
    raw: Option<u64>,
    layers: Vec<LayerPlan>,
    /// Threads and sparse mode of the conversion.
    threads: u8,
    sparse: &'static str,
    /// More options: each leads the bytes another way through the program.
    way: &'static [&'static str],
    /// The snapshot that is asked for besides the top.
    snapshot: usize,
}

impl LayerPlan {
    fn build(&self, seed: u64, sectors: u64) -> ImageBuilder {
        let cluster = u64::from(self.cluster_sectors);
        let count = u32::try_from(sectors.div_ceil(cluster)).unwrap();
        let table = (64 + 4 * u64::from(count)).div_ceil(SECTOR);
        let usual = table.next_multiple_of(cluster);
        let mut image = ImageBuilder::new(self.version)
            .cluster_sectors(self.cluster_sectors)
            .sectors(sectors);
        let start = match (self.version, self.start) {
            (_, 0) => usual + cluster,
            (Version::V1, 1) => 0,
            (Version::V1, 2) => table,
            _ => usual,
        };
        image = image.data_off(u32::try_from(start).unwrap()).seed(seed);
        let mut taken = Vec::new();
        for (index, kind, gap) in &self.stored {
            let index = index % count;
            if taken.contains(&index) {
                continue;
            }
            taken.push(index);
            image = image.gap(*gap);
            image = match kind {
                0 => image.fill(index, Fill::Byte(0)),
                1 => image.fill(index, Fill::FileHole),
                2 => image.fill(index, Fill::Byte(0xA0)),
                _ => image.store(index),
            };
        }
        // What ploop's check wants: the Empty flag on an image that stores nothing.
        if taken.is_empty() {
            image.flags(1)
        } else {
            image
        }
    }
}

impl Plan {
    fn write(&self, dir: &Path) -> Chain {
        let mut sectors = self.raw.unwrap_or_default();
        let mut chain = self.raw.map(|sectors| {
            let bytes: Vec<u8> = (0..sectors)
                .flat_map(|sector| [(sector % 251) as u8; 512])
                .collect();
            ChainBuilder::raw_base(&divided(bytes), self.layers[0].cluster_sectors)
        });
        for (seed, layer) in (1..).zip(&self.layers) {
            let cluster = u64::from(layer.cluster_sectors);
            let size =
                (sectors.div_ceil(cluster) + layer.more).max(1) * cluster - layer.short % cluster;
            sectors = size.max(sectors);
            let image = layer.build(seed, sectors);
            chain = Some(match chain {
                None => ChainBuilder::base(&image),
                Some(chain) => chain.child(&image),
            });
        }
        chain.unwrap().write(dir)
    }
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V1), Just(Version::V2)]
}

fn layer(
    version: impl Strategy<Value = Version>,
    cluster: impl Strategy<Value = u32>,
    short: impl Strategy<Value = u64>,
) -> impl Strategy<Value = LayerPlan> {
    let more = prop_oneof![2 => Just(0u64), 1 => 1..20u64];
    let gap = prop_oneof![4 => Just(0u64), 1 => 1..4u64];
    let stored = prop::collection::vec((0..10_000u32, 0..8u8, gap), 0..16);
    (version, cluster, more, short, stored, 0..6u8).prop_map(
        |(version, cluster_sectors, more, short, stored, start)| LayerPlan {
            version,
            cluster_sectors,
            more,
            short,
            stored,
            start,
        },
    )
}

/// From file to file by the kernel, or through the program's memory; in any order, or in that of
/// the disk.
const WAYS: [&[&str]; 6] = [
    &[],
    &["--reflink=never"],
    &["--checksum"],
    &["--checksum=blkhash"],
    &["--checksum", "--reflink=never"],
    &["--verify"],
];

fn plan(
    raw: impl Strategy<Value = Option<u64>>,
    layers: impl Strategy<Value = Vec<LayerPlan>>,
) -> impl Strategy<Value = Plan> {
    let sparse = prop::sample::select(vec!["auto", "always", "never"]);
    let way = prop::sample::select(WAYS.to_vec());
    (raw, layers, 1..5u8, sparse, way, 0..4usize).prop_map(
        |(raw, mut layers, threads, sparse, way, snapshot)| {
            // The lowest layer has some size.
            layers[0].more += 4;
            Plan {
                raw,
                layers,
                threads,
                sparse,
                way,
                snapshot,
            }
        },
    )
}

fn some_sectors() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![3 => Just(None), 1 => (1..600u64).prop_map(Some)]
}

/// Whatever qemu reads: both versions, clusters of any size, all of it mixed in one chain or not.
fn for_qemu() -> impl Strategy<Value = Plan> {
    let odd = || prop::sample::select(vec![1u32, 3, 8, 63, 64, 128, 504]);
    let short = || prop_oneof![1 => Just(0u64), 1 => 0..512u64];
    let alike = (version(), odd()).prop_flat_map(move |(version, cluster)| {
        prop::collection::vec(layer(Just(version), Just(cluster), short()), 1..=4)
    });
    let mixed = prop::collection::vec(layer(version(), odd(), short()), 2..=4);
    plan(some_sectors(), prop_oneof![2 => alike, 1 => mixed])
}

/// What ploop reads: one version, one cluster size that is a power of two, whole clusters.
fn for_ploop() -> impl Strategy<Value = Plan> {
    let alike = (version(), prop::sample::select(vec![64u32, 128, 256]));
    alike.prop_flat_map(|(version, cluster)| {
        let layers = prop::collection::vec(layer(Just(version), Just(cluster), Just(0)), 2..=4);
        // ploop puts the data after the clusters of the table and nowhere else.
        let layers = layers.prop_map(|mut layers| {
            layers.iter_mut().for_each(|layer| layer.start = 5);
            layers
        });
        let raw = (1..20u64).prop_map(move |clusters| Some(clusters * u64::from(cluster)));
        plan(prop_oneof![3 => Just(None), 1 => raw], layers)
    })
}

/// Runs the cases, the same ones every time unless the environment names another seed.
fn run<S: Strategy<Value = Plan>>(cases: u32, strategy: &S, test: impl Fn(&Plan)) {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config.max_shrink_iters = 150;
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    TestRunner::new(config)
        .run(strategy, |plan| {
            test(&plan);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// The layer written last.
fn top_of(chain: &Chain) -> usize {
    chain.files.len() - 1
}

/// Layers as files in `dir`, copies of the chain's, for tools that may change what they open.
fn copies(chain: &Chain, number: usize, dir: &Path) -> Layers {
    std::fs::create_dir_all(dir).unwrap();
    let copy = |(index, (file, raw)): (usize, (PathBuf, bool))| {
        let copy = dir.join(index.to_string());
        std::fs::copy(file, &copy).unwrap();
        (copy, raw)
    };
    chain
        .files_of(number)
        .into_iter()
        .enumerate()
        .map(copy)
        .collect()
}

/// The program's conversion of the snapshot numbered so.
fn convert(plan: &Plan, chain: &Chain, number: usize, target: &Path) {
    let mut program = Program::new([
        "convert".as_ref(),
        chain.dir.as_os_str(),
        "-o".as_ref(),
        target.as_os_str(),
    ])
    .arg(format!("--sparse={}", plan.sparse))
    .arg(format!("-j{}", plan.threads))
    .args(plan.way);
    if number != top_of(chain) {
        program = program.args(["--snapshot", &chain.guids[number]]);
    }
    program.run().status(0);
}

/// Fails where two files differ, and says where.
#[track_caller]
fn assert_same(ours: &Path, theirs: &Path, whose: &str) {
    let (a, b) = (std::fs::read(ours).unwrap(), std::fs::read(theirs).unwrap());
    assert_eq!(a.len(), b.len(), "size, {whose} on the right");
    let differs = a.iter().zip(&b).position(|(a, b)| a != b);
    assert_eq!(
        differs, None,
        "first byte that differs from what {whose} reads"
    );
}

#[test]
fn random_disks_read_as_qemu_reads_them() {
    run(96, &for_qemu(), |plan| {
        let scratch = Scratch::new();
        let chain = plan.write(&scratch.source());
        let _guard = SourceGuard::new(&scratch.source());
        check(&chain.dir).run().status(0);
        let mut numbers = vec![top_of(&chain), plan.snapshot % chain.files.len()];
        numbers.dedup();
        for number in numbers {
            let layers = copies(
                &chain,
                number,
                &scratch.path().join(format!("copy-{number}")),
            );
            let theirs = scratch.path().join(format!("qemu-{number}.raw"));
            qemu_convert(&layers, &theirs);
            assert_file_holds(&theirs, &chain.model_of(number));

            let ours = scratch.out().join(format!("{number}.raw"));
            convert(plan, &chain, number, &ours);
            assert_same(&ours, &theirs, "qemu");
        }
    });
}

/// What [`crate::sharing`] asks of chosen disks: blocks that are shared are the right ones, and
/// what does not lie on whole blocks is copied.
#[test]
fn random_disks_read_as_qemu_reads_them_where_blocks_are_shared() {
    for kind in ["xfs", "btrfs"] {
        let scratch = Scratch::new();
        let place = file_system(&scratch, kind, &[]);
        run(24, &for_qemu(), |plan| {
            let dir = place.dir.join("case");
            // What a case left that failed, when it is made smaller.
            let _ = std::fs::remove_dir_all(&dir);
            let chain = plan.write(&dir.join("source"));
            let layers = copies(&chain, top_of(&chain), &dir.join("copy"));
            let (ours, theirs) = (dir.join("ours.raw"), dir.join("theirs.raw"));
            qemu_convert(&layers, &theirs);
            convert(plan, &chain, top_of(&chain), &ours);
            assert_same(&ours, &theirs, "qemu");
        });
    }
}

#[test]
fn random_disks_map_as_qemu_maps_them() {
    run(96, &for_qemu(), |plan| {
        let scratch = Scratch::new();
        let chain = plan.write(&scratch.source());
        let top = top_of(&chain);
        let layers = copies(&chain, top, &scratch.path().join("copy"));
        let report = map(&chain.dir).run().status(0).json();
        let mut ours = Vec::new();
        for extent in report["extents"].as_array().unwrap() {
            let place = (extent["kind"] == "data").then(|| {
                let layer = usize::try_from(extent["layer"].as_u64().unwrap()).unwrap();
                (layer, extent["host_offset"].as_u64().unwrap())
            });
            ours.push((
                extent["offset"].as_u64().unwrap(),
                extent["length"].as_u64().unwrap(),
                place,
            ));
        }
        assert_eq!(ours, qemu_map(&layers));
    });
}

#[test]
fn random_disks_read_as_ploop_merges_them() {
    run(48, &for_ploop(), |plan| {
        let scratch = Scratch::new();
        let chain = plan.write(&scratch.source());
        let top = top_of(&chain);
        let layers = copies(&chain, top, &scratch.path().join("copy"));
        for (file, _) in layers.iter().filter(|(_, raw)| !raw) {
            ploop_check(file);
        }
        check(&chain.dir).run().status(0);
        let theirs = scratch.path().join("ploop.raw");
        ploop_merge(&layers, &theirs);
        assert_file_holds(&theirs, &chain.model());

        let ours = scratch.target();
        convert(plan, &chain, top, &ours);
        assert_same(&ours, &theirs, "ploop");
    });
}

#[test]
fn random_images_that_ploop_merged_and_grew_read_as_before() {
    run(48, &for_ploop(), |plan| {
        let scratch = Scratch::new();
        let plan = Plan {
            raw: None,
            ..plan.clone()
        };
        let chain = plan.write(&scratch.path().join("chain"));
        let layers = copies(&chain, top_of(&chain), &scratch.source());
        let merged = &layers[0].0;
        let before = chain.model().content();

        // Merging takes a base that is smaller than the top only after it has grown, and growing
        // past the first cluster of the table moves the data that lies there.
        let sectors = chain.model().size() / SECTOR;
        let cluster = u64::from(plan.layers[0].cluster_sectors);
        for (file, _) in &layers {
            ploop_grow(file, sectors + 9000 * cluster);
        }
        ploop_merge_in_place(&layers);

        check(merged).run().status(0);
        Program::new([
            merged.as_os_str(),
            "-o".as_ref(),
            scratch.target().as_os_str(),
        ])
        .run()
        .status(0);
        let found = std::fs::File::open(scratch.target()).unwrap();
        assert_eq!(
            found.metadata().unwrap().len(),
            (sectors + 9000 * cluster) * SECTOR
        );
        let mut start = vec![0; before.len()];
        std::os::unix::fs::FileExt::read_exact_at(&found, &mut start, 0).unwrap();
        assert!(start == before, "content after merging and growing");
    });
}
