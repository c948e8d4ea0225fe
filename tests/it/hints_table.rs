//! No hint is left out: each that has a command stands here with the test that runs it.

use std::fs;
use std::path::Path;

/// Every hint with a command, and the test that runs the command.
const TABLE: &[(&str, &str)] = &[
    (
        "to see everything that is wrong",
        "damage_partitions_targets_and_containers_lead_somewhere",
    ),
    (
        "to convert what is left, with zeros for the rest",
        "damage_partitions_targets_and_containers_lead_somewhere",
    ),
    (
        "to replace it",
        "damage_partitions_targets_and_containers_lead_somewhere",
    ),
    (
        "there is ",
        "damage_partitions_targets_and_containers_lead_somewhere",
    ),
    (
        "the disk as it was at the nearest snapshot below, which is closed and complete",
        "the_snapshot_below_a_top_that_is_in_use_torn_or_missing_is_proposed_and_right",
    ),
    (
        "if it crashed",
        "the_snapshot_below_a_top_that_is_in_use_torn_or_missing_is_proposed_and_right",
    ),
    (
        "if its base is a raw disk and the label is wrong",
        "labels_that_lie_lead_to_the_other_reading",
    ),
    (
        "if the files in the folder of the descriptor are the disk's own",
        "a_clone_leads_to_its_own_file_and_never_to_the_originals",
    ),
    (
        "if its base is a ploop image and the label is wrong",
        "labels_that_lie_lead_to_the_other_reading",
    ),
    (
        "to read on over what the device does not give",
        "only_the_bad_sectors_are_lost_and_an_error_without_the_option",
    ),
    (
        "to read the image all the same, and to be refused at the end if it changed",
        "a_lock_that_says_that_somebody_writes_leads_to_the_same_bytes",
    ),
    (
        "larger clusters can",
        "clusters_that_are_too_small_for_the_disk_lead_to_some_that_are_not",
    ),
    (
        "to see what is attached",
        "a_device_that_is_not_attached_leads_to_the_list_of_those_that_are",
    ),
    (
        "its table was saved before, in {}",
        "an_index_that_was_saved_is_read_by_the_command_that_names_it",
    ),
    (
        "what else is there, and how it is read without a descriptor",
        "a_lone_layer_leads_to_the_disk_and_never_to_itself",
    ),
    (
        "what is there, and how it is read without a descriptor",
        "a_lone_layer_leads_to_the_disk_and_never_to_itself",
    ),
    (
        "the whole disk, as it is now",
        "a_lone_layer_leads_to_the_disk_and_never_to_itself",
    ),
    (
        "the disk up to this layer",
        "a_lone_layer_leads_to_the_disk_and_never_to_itself",
    ),
    (
        "what they are, and how they are read without it",
        "without_a_descriptor_only_an_order_that_names_and_times_support_is_proposed",
    ),
    (
        "there is a DiskDescriptor.xml beside it; to read the disk it describes",
        "a_file_of_another_kind_leads_to_the_disk_beside_it_or_away",
    ),
    (
        "to read the disk of the bundle that it belongs to",
        "several_disks_and_containers_are_named_each_by_its_own_command",
    ),
    (
        "to read {}",
        "several_disks_and_containers_are_named_each_by_its_own_command",
    ),
    (
        "its files go into an archive, which containers elsewhere are made from",
        "a_simfs_container_leads_to_an_archive_of_its_files",
    ),
    (
        "qemu-img reads it",
        "disks_of_other_programs_lead_to_qemu_img_and_the_same_bytes",
    ),
    ("unpack it first", "packed_images_lead_to_what_unpacks_them"),
    (
        "to see what it holds",
        "an_iso_leads_to_what_lists_its_files",
    ),
];

#[test]
fn every_hint_that_has_a_command_stands_in_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let source = read("src/cli/hints.rs") + &read("src/cli/hints/images.rs");
    let tests =
        ["hints", "hints_files", "bad_sectors"].map(|name| read(&format!("tests/it/{name}.rs")));
    let tests = tests.concat();
    let mut found = 0;
    for constructor in ["Hint::run(", "Hint::add(", "Hint::look("] {
        for (at, _) in source.match_indices(constructor) {
            // The text is the next literal, or the one that `text` was given before.
            let (before, after) = source.split_at(at + constructor.len());
            let after = after.trim_start();
            let rest = if after.starts_with("text,") {
                &before[before.rfind("let text = ").unwrap()..]
            } else if after.starts_with("shot_text(") {
                "\"there is \""
            } else {
                after
            };
            let literal = rest.split('"').nth(1).unwrap();
            assert!(
                TABLE.iter().any(|(text, _)| *text == literal),
                "{constructor}: {literal:?}"
            );
            found += 1;
        }
    }
    assert!(found >= 25, "{found}");
    for (text, test) in TABLE {
        assert!(source.contains(text), "no hint says {text:?}");
        assert!(
            tests.contains(&format!("fn {test}()")),
            "no test is called {test}"
        );
    }
}
