//! File systems of the ext family with every feature that mke2fs knows, filled with what is hard.
//! mke2fs, tune2fs, debugfs and the kernel make them; only root can.

use super::hard_files::Filling;
use super::listing::{Listing, of_mount};
use super::system::Mounted;
use super::tools::tool;
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// A way to make a file system.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    /// The size in MiB.
    mib: u64,
    /// What mke2fs is given, separated by spaces.
    options: &'static str,
    /// What is filled in.
    pub filling: Filling,
    /// A program and its arguments, for an image that is filled already.
    afterwards: &'static [&'static str],
}

const fn kind(name: &'static str, options: &'static str) -> Kind {
    Kind {
        name,
        mib: 96,
        options,
        filling: Filling::USUAL,
        afterwards: &[],
    }
}

impl Kind {
    const fn mib(mut self, mib: u64) -> Self {
        self.mib = mib;
        self
    }

    const fn names(mut self, names: u32, longest: usize) -> Self {
        self.filling.names = names;
        self.filling.longest = longest;
        self
    }

    const fn extents(mut self, extents: u64) -> Self {
        self.filling.extents = extents;
        self
    }

    const fn directories(mut self, directories: u32) -> Self {
        self.filling.directories = directories;
        self
    }

    const fn attribute(mut self, attribute: usize) -> Self {
        self.filling.attribute = attribute;
        self
    }

    const fn afterwards(mut self, afterwards: &'static [&'static str]) -> Self {
        self.afterwards = afterwards;
        self
    }
}

/// What OpenVZ's ploop sets once a file system is made.
const OPENVZ: &[&str] = &["tune2fs", "-ouser_xattr,acl", "-c0", "-i0", "-eremount-ro"];

/// Every kind that can be mounted while it is filled.
pub const KINDS: &[Kind] = &[
    kind(
        "openvz7",
        "-t ext4 -j -b4096 -Elazy_itable_init,resize=16T -Jsize=128 -O ^metadata_csum,^64bit",
    )
    .mib(2048)
    .names(20_000, 200)
    .extents(6000)
    .afterwards(OPENVZ),
    kind(
        "openvz6",
        "-t ext4 -j -b4096 -i16384 -Elazy_itable_init,resize=16T -Jsize=128 \
         -O ^metadata_csum,^64bit,^metadata_csum_seed,^orphan_file",
    )
    .mib(1024)
    .afterwards(OPENVZ),
    kind("ext2", "-t ext2 -b 4096 -N 4096"),
    kind("ext2_1k", "-t ext2 -b 1024 -N 8192 -I 128").names(20_000, 100),
    kind("ext2_rev0", "-t ext2 -r 0 -b 1024 -N 8192 -O none"),
    kind("ext2_bare", "-t ext2 -b 2048 -N 4096 -O none -I 256"),
    kind("ext3", "-t ext3 -b 4096 -N 8192 -J size=4")
        .names(20_000, 120)
        .extents(6000),
    kind(
        "ext3_linear",
        "-t ext3 -b 4096 -N 4096 -O ^dir_index -J size=4",
    )
    .names(5000, 100),
    kind("ext3_1k", "-t ext3 -b 1024 -N 8192 -I 128 -J size=1"),
    kind("ext4", "-t ext4 -b 4096 -N 4096"),
    kind("ext4_1k", "-t ext4 -b 1024 -N 8192")
        .names(20_000, 200)
        .extents(6000),
    kind("ext4_2k", "-t ext4 -b 2048 -N 4096"),
    kind("inode128", "-t ext4 -b 4096 -N 4096 -I 128"),
    kind("inode512", "-t ext4 -b 4096 -N 4096 -I 512"),
    kind("inode1024", "-t ext4 -b 4096 -N 4096 -I 1024"),
    kind("inode_is_a_block", "-t ext4 -b 4096 -N 4096 -I 4096"),
    kind("no_64bit", "-t ext4 -b 4096 -N 4096 -O ^64bit"),
    kind("no_flex_bg", "-t ext4 -b 1024 -N 8192 -O ^flex_bg"),
    kind("flex_bg", "-t ext4 -b 1024 -g 2048 -N 8192 -G 16"),
    kind(
        "meta_bg",
        "-t ext4 -b 1024 -N 8192 -O meta_bg,^resize_inode,^64bit",
    ),
    kind(
        "meta_bg_64",
        "-t ext4 -b 1024 -g 1024 -N 16384 -O meta_bg,^resize_inode,^flex_bg",
    ),
    kind(
        "sparse_super2",
        "-t ext4 -b 1024 -N 8192 -O sparse_super2,^resize_inode",
    ),
    kind(
        "packed",
        "-t ext4 -b 4096 -N 4096 -O sparse_super2 -E packed_meta_blocks=1",
    ),
    kind(
        "no_sparse_super",
        "-t ext4 -b 1024 -N 8192 -O ^sparse_super,^resize_inode",
    ),
    kind(
        "uninit_bg",
        "-t ext4 -b 1024 -N 16384 -O uninit_bg,^metadata_csum",
    ),
    kind(
        "csum_seed",
        "-t ext4 -b 4096 -N 4096 -O metadata_csum,metadata_csum_seed",
    )
    .afterwards(&["tune2fs", "-U", "6b3b1d3e-0000-4000-8000-00000000000a"]),
    kind("csum_new_uuid", "-t ext4 -b 4096 -N 4096").afterwards(&[
        "tune2fs",
        "-f",
        "-U",
        "6b3b1d3e-0000-4000-8000-00000000000b",
    ]),
    kind("inline_data", "-t ext4 -b 4096 -N 4096 -O inline_data"),
    kind(
        "inline_data_1024",
        "-t ext4 -b 4096 -N 4096 -I 1024 -O inline_data",
    ),
    kind(
        "inline_data_plain",
        "-t ext4 -b 1024 -N 8192 -O inline_data,^metadata_csum,^64bit",
    ),
    kind("ea_inode", "-t ext4 -b 4096 -N 4096 -O ea_inode").attribute(65_535),
    kind(
        "ea_inode_1k",
        "-t ext4 -b 1024 -N 8192 -O ea_inode,^metadata_csum",
    )
    .attribute(65_535),
    kind(
        "ea_inode_inline",
        "-t ext4 -b 4096 -N 4096 -O ea_inode,inline_data,metadata_csum_seed",
    )
    .attribute(65_535),
    kind("bigalloc", "-t ext4 -b 4096 -N 4096 -O bigalloc -C 16384").mib(192),
    kind("bigalloc_1k", "-t ext4 -b 1024 -N 8192 -O bigalloc -C 8192"),
    kind("large_dir", "-t ext4 -b 1024 -N 8192 -O large_dir").names(40_000, 250),
    kind("dir_nlink", "-t ext4 -b 1024 -N 75000 -O dir_nlink")
        .mib(160)
        .directories(65_005),
    kind("quota", "-t ext4 -b 4096 -N 4096").afterwards(&["tune2fs", "-Oquota,project"]),
    kind("mmp", "-t ext4 -b 4096 -N 4096 -O mmp"),
    kind("fast_commit", "-t ext4 -b 4096 -N 4096 -O fast_commit"),
    kind("no_journal", "-t ext4 -b 4096 -N 4096 -O ^has_journal"),
    kind("orphan_file", "-t ext4 -b 4096 -N 4096 -O orphan_file"),
    kind("no_filetype", "-t ext4 -b 4096 -N 4096 -O ^filetype"),
    kind("no_extent", "-t ext4 -b 4096 -N 4096 -O ^extent,^64bit"),
    kind(
        "no_huge_file",
        "-t ext4 -b 4096 -N 4096 -O ^huge_file,^extra_isize",
    ),
    kind(
        "stable_inodes",
        "-t ext4 -b 4096 -N 4096 -O stable_inodes,verity,encrypt",
    ),
    kind("casefold", "-t ext4 -b 4096 -N 4096").afterwards(&[
        "debugfs",
        "-w",
        "-R",
        "feature casefold",
    ]),
];

/// The kind of this name.
pub fn named(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).unwrap()
}

impl Kind {
    /// The same kind, with little in it and a small journal.
    pub fn small(&self) -> Self {
        Self {
            mib: 48,
            filling: Filling::SMALL,
            ..*self
        }
    }

    /// Makes one in a new file, and gives what the kernel lists of it.
    pub fn make(&self, path: &Path) -> Listing {
        let journal = if self.mib < 128 { "size=4" } else { "size=128" };
        mke2fs(
            path,
            self.mib << 20,
            &self.options.replace("size=128", journal),
        );
        let mounted = Mounted::image(path, &path.with_extension("mounted"), "loop");
        self.filling.fill(&mounted.dir);
        mounted.end();
        wait_until_released(path);
        odd_times(path);
        let list = list_of(path);
        if let Some((program, args)) = self.afterwards.split_first() {
            tool("e2fsprogs", Command::new(program).args(args).arg(path));
        }
        list
    }
}

/// Makes a file system of this size in a new file.
pub fn mke2fs(path: &Path, size: u64, options: &str) {
    File::create_new(path).unwrap().set_len(size).unwrap();
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-F"]).args(options.split_whitespace());
    tool("e2fsprogs", mke2fs.arg(path));
}

/// What the kernel lists of an image whose journal is empty; nothing is written to it.
pub fn list_of(path: &Path) -> Listing {
    let mounted = Mounted::image(path, &path.with_extension("mounted"), "loop,ro");
    let list = of_mount(&mounted.dir);
    mounted.end();
    list
}

/// Waits until no mount holds an image: one that another test's processes copied with their
/// namespace ends with them.
fn wait_until_released(path: &Path) {
    for _ in 0..600 {
        let held = tool("mount", Command::new("losetup").arg("-j").arg(path));
        if held.trim().is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{} is still mounted somewhere", path.display());
}

/// Times that no program can set: when an inode was last changed, and when it was made.
fn odd_times(path: &Path) {
    let files = [
        "data/size0",
        "names",
        "links/link60",
        "nodes/fifo",
        "owners",
    ];
    let times = [
        ("@4294967294", 0),
        ("@4294967294", 1),
        ("@5", 2),
        ("@2147483648", 3),
        ("@0", 0xee6b_27fc_u32), // 999999999 nanoseconds
    ];
    let large = tool("e2fsprogs", Command::new("dumpe2fs").arg("-h").arg(path));
    let large = large.contains("Required extra isize");
    let mut script = String::new();
    for (file, (seconds, extra)) in files.into_iter().zip(times) {
        for field in ["ctime", "crtime"] {
            if large || field == "ctime" {
                script += &format!("sif {file} {field} {seconds}\n");
            }
            if large {
                script += &format!("sif {file} {field}_extra {extra}\n");
            }
        }
    }
    let commands = path.with_extension("debugfs");
    std::fs::write(&commands, script).unwrap();
    let mut debugfs = Command::new("debugfs");
    debugfs.args(["-w", "-f"]).arg(&commands).arg(path);
    let said = debugfs.output().unwrap();
    let complaints = String::from_utf8_lossy(&said.stderr).into_owned();
    let complaints: Vec<_> = complaints.lines().skip(1).collect();
    assert_eq!(complaints, Vec::<&str>::new());
}
