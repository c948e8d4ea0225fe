//! `DiskDescriptor.xml`: every way products write it, and every way it can be wrong.

use crate::support::descriptor::Image;
use crate::support::samples::two_layers;
use crate::support::{
    Chain, ChainBuilder, Descriptor, ImageBuilder, NO_PARENT, Outcome, Program, Scratch, Shot,
    SourceGuard, TOP, assert_reads, check, convert, guid,
};
use std::path::Path;

/// A chain with this change to its descriptor reads as its top.
#[track_caller]
fn assert_reads_when(chain: &ChainBuilder, bend: impl FnOnce(&mut Descriptor)) -> Outcome {
    let scratch = Scratch::new();
    let chain = chain.write_with(&scratch.source(), bend);
    assert_reads(&chain.dir, &chain.model())
}

/// A chain with this descriptor text reads as its top.
#[track_caller]
fn assert_text_reads(text: &str) {
    let scratch = Scratch::new();
    let chain = two_layers().write_text(&scratch.source(), text);
    assert_reads(&chain.dir, &chain.model());
}

#[track_caller]
fn refuse(dir: &Path, status: i32, parts: &[&str]) {
    let scratch = Scratch::new();
    let _guard = SourceGuard::new(dir);
    convert(dir, &scratch.target())
        .within(20)
        .run()
        .refused(status, parts);
    scratch.assert_nothing_left();
}

/// Two layers with this change to their descriptor are refused by `convert` and called damaged
/// by `check`.
#[track_caller]
fn assert_damaged_when(parts: &[&str], bend: impl FnOnce(&mut Descriptor)) {
    let scratch = Scratch::new();
    let chain = two_layers().write_with(&scratch.source(), bend);
    refuse(&chain.dir, 3, parts);
    check(&chain.dir)
        .within(20)
        .run()
        .status(3)
        .finds("descriptor", "damage");
}

#[track_caller]
fn assert_text_damaged(text: &str, parts: &[&str]) {
    let scratch = Scratch::new();
    let chain = two_layers().write_text(&scratch.source(), text);
    refuse(&chain.dir, 3, parts);
    check(&chain.dir)
        .within(20)
        .run()
        .status(3)
        .finds("descriptor", "damage");
}

#[track_caller]
fn assert_unsupported_when(parts: &[&str], bend: impl FnOnce(&mut Descriptor)) {
    let scratch = Scratch::new();
    let chain = two_layers().write_with(&scratch.source(), bend);
    refuse(&chain.dir, 1, parts);
}

#[test]
fn the_root_element_may_have_any_name() {
    for root in ["Parallels_disk_image", "Virtuozzo_disk_image", "disk"] {
        assert_reads_when(&two_layers(), |descriptor| {
            root.clone_into(&mut descriptor.root)
        });
    }
}

#[test]
fn a_declaration_with_an_encoding_a_byte_order_mark_or_none_at_all_reads() {
    for declaration in [
        "",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        "\u{feff}<?xml version='1.0'?>",
    ] {
        assert_reads_when(&two_layers(), |descriptor| {
            declaration.clone_into(&mut descriptor.declaration)
        });
    }
}

#[test]
fn what_other_products_add_is_ignored() {
    let added = "    <LogicSectorSize>512</LogicSectorSize>\n\
        \x20   <PhysicalSectorSize>4096</PhysicalSectorSize>\n\
        \x20   <UID>{11111111-2222-4333-8444-555555555555}</UID>\n    <Name>web &amp; mail</Name>\n\
        \x20   <Max_delta_size>0</Max_delta_size>\n\
        \x20   <Miscellaneous><CompatLevel>level2</CompatLevel>\n\
        \x20   <Bootable>1</Bootable><SuspendState>0</SuspendState></Miscellaneous>\n";
    assert_reads_when(&two_layers(), |descriptor| {
        added.clone_into(&mut descriptor.parameters)
    });
    let text = two_layers().descriptor().xml();
    assert_text_reads(&text.replace(
        "<Storage>",
        "<Storage kind=\"new\"><Preallocated>1</Preallocated>",
    ));
    assert_text_reads(&text.replace(
        "</Snapshots>",
        "<!-- a note --><Future/></Snapshots><SnapshotTree/>",
    ));
}

#[test]
fn white_space_around_texts_does_not_matter() {
    let text = two_layers().descriptor().xml();
    for element in [
        "GUID",
        "ParentGUID",
        "TopGUID",
        "File",
        "Type",
        "Disk_size",
        "Blocksize",
        "Start",
        "End",
    ] {
        let text = text.replace(&format!("<{element}>"), &format!("<{element}>\n\t  "));
        assert_text_reads(&text.replace(&format!("</{element}>"), &format!(" \r\n</{element}>")));
    }
}

#[test]
fn escaped_and_quoted_texts_read() {
    let text = two_layers().descriptor().xml();
    assert_text_reads(&text.replace("<File>root.hds<", "<File>root&#46;h&#x64;s<"));
    assert_text_reads(&text.replace("<File>root.hds<", "<File><![CDATA[root.hds]]><"));
    assert_text_reads(&text.replace("<File>root.hds<", "<File><!-- the base -->root.hds<"));
}

#[test]
fn hexadecimal_numbers_read() {
    let text = two_layers().descriptor().xml();
    assert_text_reads(&text.replace("<Blocksize>64<", "<Blocksize>0x40<"));
}

#[test]
fn guids_compare_without_regard_to_case() {
    assert_reads_when(&two_layers(), Descriptor::upper_case);
    assert_reads_when(&two_layers(), |descriptor| {
        "{5fbaabe3-6958-40FF-92a7-860e329aab41}".clone_into(&mut descriptor.images()[1].guid);
        descriptor.top = Some(TOP.to_ascii_uppercase());
        descriptor.shots[1].parent.make_ascii_uppercase();
    });
}

#[test]
fn document_order_means_nothing() {
    assert_reads_when(&two_layers(), |descriptor| {
        descriptor.images().reverse();
        descriptor.shots.reverse();
    });
    let three = two_layers().child(&ImageBuilder::v2().seed(3).store(0));
    assert_reads_when(&three, |descriptor| {
        descriptor.images().rotate_left(1);
        descriptor.shots.rotate_right(1);
    });
}

#[test]
fn the_top_guid_wins_over_the_constant_on_another_branch() {
    let chain = two_layers()
        .branch(0, &ImageBuilder::v2().seed(3).store(2))
        .top(1);
    assert_reads_when(&chain, |descriptor| {
        descriptor.rename(TOP, &guid(9));
        descriptor.rename(&guid(2), TOP);
    });
}

#[test]
fn the_top_guid_wins_over_the_constant_that_names_the_base() {
    // So it was before 2012-08.
    assert_reads_when(&two_layers(), |descriptor| {
        descriptor.rename(TOP, &guid(9));
        descriptor.rename(&guid(0), TOP);
    });
}

#[test]
fn without_a_top_guid_the_constant_names_the_top() {
    let chain = two_layers()
        .branch(0, &ImageBuilder::v2().seed(3).store(2))
        .top(1);
    assert_reads_when(&chain, |descriptor| descriptor.top = None);
    assert_reads_when(&chain, |descriptor| descriptor.top = Some(String::new()));
    assert_reads_when(&chain, |descriptor| {
        descriptor.top = Some(" \n ".to_owned())
    });
}

#[test]
fn without_any_word_on_the_top_the_only_leaf_is_it_with_a_warning() {
    let outcome = assert_reads_when(&two_layers(), |descriptor| {
        descriptor.rename(TOP, &guid(9));
        descriptor.top = None;
    });
    outcome.says(["warning"]);
}

#[test]
fn without_any_word_on_the_top_two_leaves_are_refused() {
    let scratch = Scratch::new();
    let chain = two_layers()
        .branch(0, &ImageBuilder::v2().seed(3).store(2))
        .top(1);
    let chain = chain.write_with(&scratch.source(), |descriptor| {
        descriptor.rename(TOP, &guid(9));
        descriptor.top = None;
    });
    refuse(&chain.dir, 3, &["--snapshot"]);
}

#[test]
fn one_image_without_any_shot_is_the_whole_chain() {
    let base = ChainBuilder::base(&ImageBuilder::v1().store_all([2, 0]));
    assert_reads_when(&base, |descriptor| descriptor.shots.clear());
    assert_reads_when(&base, |descriptor| {
        descriptor.shots.clear();
        descriptor.top = None;
    });
    // Also under a GUID of its own.
    assert_reads_when(&base, |descriptor| {
        descriptor.rename(TOP, &guid(9));
        descriptor.shots.clear();
    });
}

#[test]
fn sizes_that_the_descriptor_tells_differently_are_warnings() {
    let differs = |bend: fn(&mut Descriptor), code: &str| {
        let scratch = Scratch::new();
        let chain = two_layers().write_with(&scratch.source(), bend);
        assert_reads(&chain.dir, &chain.model());
        check(&chain.dir).run().status(0).finds(code, "warning");
    };
    differs(|descriptor| descriptor.disk_size += 64, "disk-size-differs");
    differs(
        |descriptor| descriptor.storages[0].end -= 1,
        "disk-size-differs",
    );
    differs(
        |descriptor| descriptor.storages[0].blocksize = 2048,
        "block-size-differs",
    );
}

#[test]
fn an_encryption_key_of_the_guests_is_no_obstacle() {
    for parameters in [
        "    <Encryption><KeyId>a-key</KeyId></Encryption>\n",
        "    <Encryption><Engine>{00000000-0000-0000-0000-000000000000}</Engine>\
         <Data/><Salt/></Encryption>\n",
        "    <Encryption/>\n",
    ] {
        assert_reads_when(&two_layers(), |descriptor| {
            parameters.clone_into(&mut descriptor.parameters)
        });
    }
}

#[test]
fn an_encryption_inside_the_clusters_is_refused() {
    assert_unsupported_when(&["encrypt"], |descriptor| {
        descriptor.parameters = format!(
            "    <Encryption><Engine>{}</Engine><Data/><Salt/></Encryption>\n",
            guid(5)
        );
    });
}

#[test]
fn padding_is_refused() {
    assert_unsupported_when(&["padding"], |descriptor| descriptor.padding = 1);
}

#[test]
fn a_disk_that_continues_in_another_folder_is_refused() {
    assert_unsupported_when(&["volume"], |descriptor| {
        descriptor.volume = format!(
            "<Volume><Parent>../base</Parent><SnapshotGUID>{}</SnapshotGUID></Volume>",
            guid(3)
        );
    });
}

#[test]
fn an_image_that_no_shot_has_is_damage_where_the_chain_needs_it() {
    assert_damaged_when(&[&guid(0)], |descriptor| {
        descriptor.shots.remove(0);
    });
}

#[test]
fn a_shot_that_no_image_has_is_damage_where_the_chain_needs_it() {
    assert_damaged_when(&[&guid(0)], |descriptor| {
        descriptor.images().remove(0);
    });
    assert_damaged_when(&[&guid(7)], |descriptor| {
        descriptor.shots[0].parent = guid(7)
    });
}

#[test]
fn a_top_that_nothing_has_is_damage() {
    assert_damaged_when(&[&guid(7)], |descriptor| descriptor.top = Some(guid(7)));
    assert_damaged_when(&[], |descriptor| {
        descriptor.top = Some(NO_PARENT.to_owned())
    });
}

#[test]
fn a_cycle_is_damage_of_any_length() {
    assert_damaged_when(&["is its own ancestor"], |descriptor| {
        TOP.clone_into(&mut descriptor.shots[0].parent)
    });
    assert_damaged_when(&["is its own ancestor"], |descriptor| {
        TOP.clone_into(&mut descriptor.shots[1].parent)
    });
    assert_damaged_when(&["is its own ancestor"], |descriptor| {
        descriptor.shots[0].parent = guid(0)
    });
}

#[test]
fn a_cycle_among_other_snapshots_does_not_matter() {
    assert_reads_when(&two_layers(), |descriptor| {
        for (number, parent) in [(7, 8), (8, 7), (9, 9)] {
            let image = descriptor.images()[0].clone();
            let file = format!("lost-{number}");
            descriptor.images().push(Image {
                guid: guid(number),
                file,
                ..image
            });
            let mark = String::new();
            descriptor.shots.push(Shot {
                guid: guid(number),
                parent: guid(parent),
                mark,
            });
        }
    });
}

#[test]
fn a_guid_used_twice_is_damage() {
    assert_damaged_when(&[TOP], |descriptor| {
        let twin = descriptor.images()[1].clone();
        descriptor.images().push(twin);
    });
    assert_damaged_when(&[TOP], |descriptor| {
        let twin = Shot {
            parent: NO_PARENT.to_owned(),
            ..descriptor.shots[1].clone()
        };
        descriptor.shots.push(twin);
    });
    // In another case it is still the same.
    assert_damaged_when(&[], |descriptor| {
        let mut twin = descriptor.images()[1].clone();
        twin.guid.make_ascii_uppercase();
        descriptor.images().push(twin);
    });
}

#[test]
fn a_text_that_is_no_guid_is_damage() {
    for wrong in [
        "",
        "{}",
        "top",
        "{5fbaabe3-6958-40ff-92a7-860e329aab4}",
        "{5fbaabe3-6958-40ff-92a7-860e329aabzz}",
    ] {
        assert_damaged_when(&["GUID"], |descriptor| {
            wrong.clone_into(&mut descriptor.images()[0].guid)
        });
    }
}

#[test]
fn an_image_without_a_file_is_damage() {
    assert_damaged_when(&["file"], |descriptor| descriptor.images()[0].file.clear());
    let text = two_layers().descriptor().xml();
    assert_text_damaged(&text.replace("<File>root.hds</File>", ""), &["file"]);
}

#[test]
fn a_storage_without_images_is_damage() {
    assert_damaged_when(&[], |descriptor| descriptor.images().clear());
    assert_damaged_when(&[], |descriptor| descriptor.storages.clear());
}

#[test]
fn numbers_that_are_none_are_damage() {
    let text = two_layers().descriptor().xml();
    for wrong in [
        "",
        "many",
        "-64",
        "0x",
        "99999999999999999999999999",
        "64 64",
    ] {
        assert_text_damaged(
            &text.replace("<Blocksize>64<", &format!("<Blocksize>{wrong}<")),
            &["Blocksize"],
        );
    }
}

#[test]
fn a_file_that_is_no_xml_is_damage() {
    for text in [
        "",
        "not xml",
        "<a>",
        "<a></b>",
        "<?xml version=\"1.0\"?>",
        "\0\0\0\0",
        "<a/><b/>",
    ] {
        assert_text_damaged(text, &["DiskDescriptor.xml"]);
    }
}

#[test]
fn xml_of_another_kind_is_no_descriptor() {
    let scratch = Scratch::new();
    let text = "<html><body>moved</body></html>";
    let chain = two_layers().write_text(&scratch.source(), text);
    refuse(&chain.dir, 1, &["DiskDescriptor.xml", "<html>"]);
}

#[test]
fn a_descriptor_cut_off_anywhere_is_damage() {
    let text = two_layers().descriptor().xml();
    for part in 1..8 {
        assert_text_damaged(&text[..text.len() * part / 8], &["DiskDescriptor.xml"]);
    }
}

#[test]
fn bytes_that_are_no_utf_8_are_damage() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    let mut bytes = two_layers().descriptor().xml().into_bytes();
    let at = bytes.len() / 2;
    bytes[at] = 0xFF;
    std::fs::write(chain.descriptor(), bytes).unwrap();
    refuse(&chain.dir, 3, &["DiskDescriptor.xml"]);
}

#[test]
fn entities_are_refused_before_they_grow() {
    let mut bomb = "<?xml version=\"1.0\"?>\n<!DOCTYPE bomb [<!ENTITY a0 \"boom\">".to_owned();
    for level in 1..30 {
        let below = format!("&a{};", level - 1).repeat(10);
        bomb.push_str(&format!("<!ENTITY a{level} \"{below}\">"));
    }
    bomb.push_str("]>\n");
    let body = two_layers()
        .descriptor()
        .xml()
        .replace("<?xml version=\"1.0\"?>\n", "");
    assert_text_damaged(
        &(bomb + &body.replace("root.hds<", "&a29;<")),
        &["DiskDescriptor.xml"],
    );

    let external =
        "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>\n";
    assert_text_damaged(
        &(external.to_owned() + &body.replace("root.hds<", "&f;<")),
        &["DiskDescriptor.xml"],
    );
    let remote = "<!DOCTYPE x SYSTEM \"http://localhost/x.dtd\">\n";
    assert_text_damaged(&(remote.to_owned() + &body), &["DiskDescriptor.xml"]);
}

#[test]
fn a_huge_descriptor_is_refused_without_reading_it_all() {
    let scratch = Scratch::new();
    let chain: Chain = two_layers().write(&scratch.source());
    // Right XML in front of an endless comment, 8 TiB of it.
    let text = two_layers()
        .descriptor()
        .xml()
        .replace("</Snapshots>", "</Snapshots><!--");
    std::fs::write(chain.descriptor(), text).unwrap();
    let file = std::fs::File::options()
        .write(true)
        .open(chain.descriptor())
        .unwrap();
    file.set_len(8 << 40).unwrap();
    refuse(&chain.dir, 3, &["DiskDescriptor.xml"]);
}

#[test]
fn deeply_nested_elements_are_refused_or_ignored_but_never_a_crash() {
    let text = two_layers().descriptor().xml();
    let deep = "<a>".repeat(200_000) + &"</a>".repeat(200_000);
    let scratch = Scratch::new();
    let chain = two_layers().write_text(
        &scratch.source(),
        &text.replace("</Snapshots>", &(deep + "</Snapshots>")),
    );
    let outcome = convert(&chain.dir, &scratch.target()).within(20).run();
    assert!(matches!(outcome.status, Some(0 | 3)), "{outcome:?}");
}

#[test]
fn names_out_of_a_descriptor_are_made_safe_for_the_terminal() {
    // U+009B starts an escape sequence on many terminals; XML allows it.
    let scratch = Scratch::new();
    let chain = two_layers().write_with(&scratch.source(), |descriptor| {
        "gone&#x9b;2J&#10;ploopconv: all is well".clone_into(&mut descriptor.images()[0].file);
    });
    let outcome = convert(&chain.dir, &scratch.target())
        .run()
        .refused(3, &["gone"]);
    assert!(!outcome.stderr.contains('\u{9b}'), "{:?}", outcome.stderr);
    assert!(
        !outcome
            .stderr
            .lines()
            .any(|line| line.starts_with("ploopconv: all is well")),
        "{}",
        outcome.stderr
    );
}

#[test]
fn names_of_files_are_made_safe_in_every_result() {
    let scratch = Scratch::new();
    let odd = "base\u{9b}31m\u{202e}.hds";
    let chain = two_layers().write_with(&scratch.source(), |descriptor| {
        odd.clone_into(&mut descriptor.images()[0].file);
    });
    std::fs::rename(&chain.files[0], chain.dir.join(odd)).unwrap();
    // A warning that names the file.
    let file = std::fs::File::options()
        .append(true)
        .open(chain.dir.join(odd))
        .unwrap();
    std::io::Write::write_all(&mut &file, b"junk").unwrap();
    // A program that has it open for writing uses it.
    drop(file);
    for command in ["info", "map", "check", "convert"] {
        let mut program = Program::new([command.as_ref(), chain.dir.as_os_str()]);
        if command == "convert" {
            program = program.arg("-o").arg(scratch.target()).arg("-v");
        }
        let outcome = program.run().status(0);
        let said = String::from_utf8_lossy(&outcome.stdout).into_owned() + &outcome.stderr;
        assert!(said.contains("base"), "{command}: {said}");
        let unsafe_for_terminals = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.contains(unsafe_for_terminals), "{command}: {said:?}");
    }
}
