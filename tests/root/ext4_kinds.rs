//! The files of every kind of ext2, ext3 and ext4, against what the kernel lists of the same image.

use crate::ext4_free;
use crate::ext4_witness;
use crate::file_tree;
use crate::support::Scratch;
use crate::support::ext4_kinds::{KINDS, named};
use crate::support::unlike::{differences, errors};

/// Asserts that the reader shows what the kernel does.
fn same_as_the_kernel(name: &str) {
    let scratch = Scratch::new();
    let image = scratch.path().join("image");
    let kernel = named(name).make(&image);
    assert_eq!(errors(&kernel), [""; 0]);
    let ours = file_tree::list_of(&image).unwrap();
    let differences = differences(&kernel, &ours);
    assert!(differences.is_empty(), "{name}: {}", differences.join("\n"));
    ext4_witness::assert_agrees(name, &image, &kernel);
    ext4_free::assert_free(name, &image, &kernel);
}

/// A test for each kind, so that they run beside each other.
macro_rules! each {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            same_as_the_kernel(stringify!($name));
        })*

        #[test]
        fn every_kind_has_a_test() {
            let kinds: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
            assert_eq!([$(stringify!($name)),*].as_slice(), kinds);
        }
    };
}

each! {
    openvz7 openvz6 ext2 ext2_1k ext2_rev0 ext2_bare ext3 ext3_linear ext3_1k ext4 ext4_1k ext4_2k
    inode128 inode512 inode1024 inode_is_a_block no_64bit no_flex_bg flex_bg meta_bg meta_bg_64
    sparse_super2 packed no_sparse_super uninit_bg csum_seed csum_new_uuid inline_data
    inline_data_1024 inline_data_plain ea_inode ea_inode_1k ea_inode_inline bigalloc bigalloc_1k
    large_dir dir_nlink quota mmp fast_commit no_journal orphan_file no_filetype no_extent
    no_huge_file stable_inodes casefold
}
