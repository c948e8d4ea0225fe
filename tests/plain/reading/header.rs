//! Words of the header that say little or nothing: states, flags, extensions, old sizes.

use super::assert_ordinary;
use crate::support::image::{SECTOR, Version};
use crate::support::spoiled::written;
use crate::support::{ImageBuilder, Scratch, check, field};

#[test]
fn closed_states_of_every_product_read() {
    for version in Version::BOTH {
        for word in [
            0,
            0x312E_3276,
            u32::from_le_bytes(*b"pd17"),
            u32::from_le_bytes(*b"pd22"),
        ] {
            assert_ordinary(
                &ImageBuilder::new(version)
                    .in_use(word)
                    .store_all([2, 0])
                    .build(),
            );
        }
    }
}

#[test]
fn an_unknown_state_word_is_worth_a_note_and_nothing_more() {
    for word in [1, 0x746F_6E58, u32::MAX] {
        let image = ImageBuilder::v2().in_use(word).store_all([2, 0]).build();
        assert_ordinary(&image);
        let scratch = Scratch::new();
        check(&written(&scratch, &image))
            .run()
            .status(0)
            .finds("unknown-state", "info");
    }
}

#[test]
fn the_empty_flag_is_not_believed() {
    for version in Version::BOTH {
        let image = ImageBuilder::new(version)
            .flags(1)
            .store_all([2, 0])
            .build();
        assert_ordinary(&image);
        let scratch = Scratch::new();
        assert_eq!(
            check(&written(&scratch, &image)).run().status(0).codes(),
            Vec::<String>::new()
        );
    }
}

#[test]
fn unknown_flags_are_a_warning() {
    for flag in [4, 0x8000_0000] {
        let image = ImageBuilder::v2().flags(flag).store_all([2, 0]).build();
        assert_ordinary(&image);
        let scratch = Scratch::new();
        check(&written(&scratch, &image))
            .run()
            .status(0)
            .finds("unknown-flags", "warning");
    }
}

#[test]
fn a_format_extension_never_matters_valid_stale_or_nonsense() {
    for version in Version::BOTH {
        for (word, ext_off) in [
            (0, 64),
            (0, u64::MAX),
            (0x312E_3276, 256),
            (0x312E_3276, 1 << 55),
        ] {
            let image = ImageBuilder::new(version)
                .in_use(word)
                .ext_off(ext_off)
                .store_all([2, 0, 1]);
            let mut image = image.build();
            // The extension's cluster, and a bitmap piece after it: no entry refers to them.
            image.put_u64(256 * SECTOR, 0xAB23_4CEF_23DC_EA87);
            image.set_len(256 * SECTOR + 2 * 32768);
            assert_ordinary(&image);
        }
    }
}

#[test]
fn the_unused_size_word_of_v1_is_not_read() {
    let mut image = ImageBuilder::v1().store_all([2, 0]).build();
    image.put_u32(field::SECTORS_HIGH, 0xDEAD_BEEF);
    assert_ordinary(&image);
    let scratch = Scratch::new();
    check(&written(&scratch, &image))
        .run()
        .status(0)
        .finds("size-high-word", "warning");
}

#[test]
fn the_guests_geometry_is_not_read() {
    for version in Version::BOTH {
        let mut image = ImageBuilder::new(version).store_all([2, 0]).build();
        image.put_u32(20, 0).put_u32(24, u32::MAX);
        assert_ordinary(&image);
    }
}
