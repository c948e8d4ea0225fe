//! No hint is left out: each that has a command stands here with the test that runs it.

use crate::support::files_of_tests;
use crate::support::imports::rust_files;
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
        "to see what is left, and what is lost",
        "a_damaged_disk_is_converted_only_where_that_was_asked_for",
    ),
    (
        "to compare what is left, with zeros for the rest",
        "a_damaged_disk_is_converted_only_where_that_was_asked_for",
    ),
    (
        "to list what is left",
        "a_damaged_file_system_is_read_only_where_that_was_asked_for",
    ),
    (
        "to read what is left, with zeros for the rest",
        "a_damaged_file_system_is_read_only_where_that_was_asked_for",
    ),
    (
        "to let clients read what is left, and get I/O errors for the rest",
        "a_damaged_disk_is_converted_only_where_that_was_asked_for",
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
        "to read the disk as it is, without what the guest had in memory",
        "a_suspended_machine_uses_its_disks_and_not_its_snapshots",
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
        "to convert without it, so that no update can follow",
        "where_no_state_can_be_written_nothing_is_copied",
    ),
    (
        "once there is room, to write all of it again",
        "a_full_target_is_filled_by_the_command_of_the_message_once_it_has_room",
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
        "without_a_descriptor_one_layer_over_a_base_is_proposed_unless_the_times_contradict",
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
        "to read {text}",
        "several_disks_without_a_choice_lead_to_a_command_for_each",
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

/// Where else hints with commands are made: how many, and the tests that run them.
const ELSEWHERE: &[(&str, usize, &[&str])] = &[
    (
        "src/advice/promise.rs",
        11,
        &[
            "disks_of_other_programs_are_made_by_qemu_img_from_the_served_disk",
            "where_there_is_no_pipe_the_disk_is_made_first",
            "what_a_compressor_makes_comes_through_a_pipe",
            "what_is_encrypted_comes_through_a_pipe",
            "names_of_other_packers_lead_to_archives",
            "a_format_given_overrules_the_name",
            "a_private_layer_takes_the_writes_and_ioctls_do_what_netlink_does",
        ],
    ),
    (
        "src/mistakes.rs",
        1,
        &["a_target_without_its_option_is_told_so"],
    ),
    (
        "src/mistakes/commands.rs",
        1,
        &[
            "what_a_command_of_another_program_leads_to_can_be_typed",
            "a_resize_leads_to_a_target_of_that_size",
        ],
    ),
    (
        "src/advice/hints/compact.rs",
        1,
        &[
            "what_contradicts_itself_is_refused_and_leads_to_the_whole_disk",
            "e2fsck_makes_a_copy_that_can_be_trusted",
            "a_copy_of_a_dirty_file_system_helps_itself",
        ],
    ),
    (
        "src/advice/hints/files.rs",
        9,
        &[
            "what_cannot_be_mounted_is_said_and_leads_to_what_works",
            "a_private_layer_takes_the_writes_and_ioctls_do_what_netlink_does",
            "a_directory_that_is_missing_is_made_by_the_command_of_the_message",
            "files_of_xfs_become_an_archive_by_the_commands_of_the_message",
            "the_file_system_is_the_only_one_or_chosen",
        ],
    ),
    (
        "src/advice/hints/update.rs",
        1,
        &[
            "a_disk_that_boots_is_updated_as_one_by_the_command_of_the_message",
            "a_target_that_was_started_meanwhile_leads_to_a_whole_conversion",
            "other_layers_lead_to_a_whole_conversion",
            "other_options_lead_to_a_whole_conversion",
            "a_state_that_is_missing_damaged_or_of_another_version_leads_to_a_whole_conversion",
        ],
    ),
    (
        "src/mistakes/places.rs",
        3,
        &[
            "an_image_without_a_target_can_be_converted_or_looked_at",
            "a_disk_into_a_redirected_stdout_needs_a_dash",
        ],
    ),
];

fn texts_of_tests() -> String {
    let texts = files_of_tests().into_iter().map(fs::read_to_string);
    texts.map(Result::unwrap).collect()
}

#[test]
fn hints_with_commands_are_made_where_the_tables_say_and_nowhere_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = texts_of_tests();
    for path in rust_files(&root.join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        // Those stand in the other table; the last one has the constructor.
        let other_table = ["hints.rs", "hints/images.rs", "hints/hint.rs"];
        if other_table.iter().any(|file| path.ends_with(file)) {
            continue;
        }
        let number = text.matches("Hint::run(").count();
        let known = ELSEWHERE.iter().find(|(file, ..)| *file == name);
        assert_eq!(number, known.map_or(0, |(_, number, _)| *number), "{name}");
        for test in known.map_or(&[][..], |(_, _, tests)| tests) {
            assert!(tests.contains(&format!("fn {test}()")), "{test}");
        }
    }
}

/// Every text that a function can give stands in the table.
fn assert_each_is_known(source: &str, function: &str) {
    let (_, body) = source.split_once(function).unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    let texts = body.split('"').skip(1).step_by(2);
    let texts: Vec<_> = texts.filter(|text| text.contains(' ')).collect();
    assert!(texts.len() > 1, "{function}");
    for text in texts {
        assert!(TABLE.iter().any(|(known, _)| *known == text), "{text:?}");
    }
}

#[test]
fn every_hint_that_has_a_command_stands_in_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let source = read("src/advice/hints.rs") + &read("src/advice/hints/images.rs");
    let tests = texts_of_tests();
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
            } else if after.starts_with("over_damage(") {
                assert_each_is_known(&source, "fn over_damage(");
                continue;
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
