//! Descriptors that other systems and producers write: their encodings, their paths, their
//! spellings of one name, and what they leave out.

use crate::support::image::pattern;
use crate::support::{
    Chain, ChainBuilder, ImageBuilder, NO_PARENT, Outcome, Scratch, check, convert, info,
};
use std::fs;
use std::path::Path;

fn two_layers() -> ChainBuilder {
    ChainBuilder::base(&ImageBuilder::v2().seed(1).store_all([0, 2]))
        .child(&ImageBuilder::v2().seed(2).store(1))
}

/// Gives the descriptor other bytes.
fn rewrite(chain: &Chain, change: impl FnOnce(String) -> Vec<u8>) {
    let text = fs::read_to_string(chain.descriptor()).unwrap();
    fs::write(chain.descriptor(), change(text)).unwrap();
}

#[track_caller]
fn reads(scratch: &Scratch, chain: &Chain) -> Outcome {
    let run = convert(&chain.dir, &scratch.target()).run().status(0);
    assert!(fs::read(scratch.target()).unwrap() == chain.model().content());
    fs::remove_file(scratch.target()).unwrap();
    run
}

#[test]
fn a_container_is_found_by_its_uuid_in_any_spelling() {
    const ID: &str = "d0c2f7a0-1111-4222-8333-4444444444ab";
    let upper = ID.to_uppercase();
    for written in [ID, &upper] {
        let scratch = Scratch::new();
        let chain = two_layers().write(&scratch.source().join(written).join("root.hdd"));
        for typed in [ID, &upper, &format!("{{{ID}}}"), &format!("{{{upper}}}")] {
            let run = convert(Path::new(typed), &scratch.target()).arg("-f");
            run.arg("--private-dir").arg(scratch.source()).run().done();
            assert!(fs::read(scratch.target()).unwrap() == chain.model().content());
        }
    }
}

fn wide(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

#[test]
fn a_descriptor_in_any_unicode_encoding_and_padded_with_nuls_is_read() {
    let encodings: [fn(&str) -> Vec<u8>; 8] = [
        |text| ["\r\n\n", text].concat().into_bytes(),
        |text| [text, "\r\n\x1a"].concat().into_bytes(),
        |text| [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        |text| [b"\xff\xfe".to_vec(), wide(text, u16::to_le_bytes)].concat(),
        |text| [b"\xfe\xff".to_vec(), wide(text, u16::to_be_bytes)].concat(),
        |text| wide(text, u16::to_le_bytes),
        |text| [text.as_bytes(), &[0; 4096]].concat(),
        |text| {
            [
                b"\xff\xfe".to_vec(),
                wide(text, u16::to_le_bytes),
                vec![0; 511],
            ]
            .concat()
        },
    ];
    for encode in encodings {
        let scratch = Scratch::new();
        let chain = two_layers().write(&scratch.source());
        rewrite(&chain, |text| {
            encode(&text.replace("encoding=\"UTF-8\"", "encoding=\"UTF-16\""))
        });
        reads(&scratch, &chain);
        // The descriptor itself is an IMAGE too.
        check(&chain.descriptor()).run().status(0);
    }
}

#[test]
fn text_that_is_in_no_unicode_encoding_is_refused() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    rewrite(&chain, |text| {
        text.replace("root.hds<", "caf\u{e9}<")
            .chars()
            .map(|c| c as u8)
            .collect()
    });
    convert(&chain.dir, &scratch.target())
        .run()
        .refused(3, &["neither in UTF-8 nor in UTF-16"]);
}

#[test]
fn paths_of_windows_are_found_beside_the_descriptor() {
    for folder in [
        r"C:\Users\me\Parallels\a.hdd\",
        "C:/Users/me/Parallels/a.hdd/",
        "d:",
        r"\\server\share\",
        r"a.hdd\",
        r".\",
    ] {
        let scratch = Scratch::new();
        let chain = two_layers().write_with(&scratch.source(), |descriptor| {
            for image in descriptor.images() {
                image.file = format!("{folder}{}", image.file);
            }
        });
        reads(&scratch, &chain).says(["moved-file", "beside the descriptor"]);
    }
    let scratch = Scratch::new();
    let chain = two_layers().write_with(&scratch.source(), |descriptor| {
        descriptor.images()[0].file = r"C:\gone.hds".to_owned();
    });
    convert(&chain.dir, &scratch.target())
        .run()
        .refused(3, &["missing", r"C:\gone.hds"]);
}

/// A chain whose base is called `said` in the descriptor and `written` on disk.
fn spelled(scratch: &Scratch, said: &str, written: &[&str]) -> Chain {
    let chain = two_layers().write_with(&scratch.source(), |descriptor| {
        said.clone_into(&mut descriptor.images()[0].file);
    });
    for name in written {
        fs::copy(&chain.files[0], chain.dir.join(name)).unwrap();
    }
    fs::remove_file(&chain.files[0]).unwrap();
    chain
}

#[test]
fn a_name_in_another_unicode_form_or_case_is_taken_where_one_file_has_it() {
    for (said, written) in [
        ("W\u{fc}rfel.hds", "Wu\u{308}rfel.hds"),
        ("Wu\u{308}rfel.hds", "W\u{fc}rfel.hds"),
        ("/Volumes/x/W\u{fc}rfel.hds", "Wu\u{308}rfel.hds"),
        (r"D:\x\WURFEL.HDS", "wurfel.hds"),
    ] {
        let scratch = Scratch::new();
        let chain = spelled(&scratch, said, &[written]);
        reads(&scratch, &chain).says(["moved-file", "spells its name"]);
    }
}

#[test]
fn names_that_only_look_alike_are_shown_letter_by_letter_and_none_is_taken() {
    for (said, written) in [
        (
            "W\u{fc}rfel.hds",
            &["WU\u{308}RFEL.hds", "wu\u{308}rfel.hds"][..],
        ),
        ("a\u{a0}b.hds", &["a b.hds"]),
        ("\u{ff41}.hds", &["a.hds"]),
    ] {
        let scratch = Scratch::new();
        let chain = spelled(&scratch, said, written);
        let run = convert(&chain.dir, &scratch.target()).run();
        let mut words = vec!["missing".to_owned(), said.escape_default().to_string()];
        words.extend(written.iter().map(|name| name.escape_default().to_string()));
        run.status(3).says(words);
        scratch.assert_nothing_left();
    }
}

#[test]
fn a_name_in_no_encoding_is_shown_beside_the_one_that_is_missing() {
    use std::os::unix::ffi::OsStrExt as _;
    let scratch = Scratch::new();
    let chain = spelled(&scratch, "caf\u{e9}.hds", &["x"]);
    let latin = std::ffi::OsStr::from_bytes(b"caf\xe9.hds");
    fs::rename(chain.dir.join("x"), chain.dir.join(latin)).unwrap();
    convert(&chain.dir, &scratch.target())
        .run()
        .refused(3, &[r"caf\u{e9}.hds", r"caf\xe9.hds"]);
}

#[test]
fn an_image_without_a_type_is_what_its_bytes_can_only_be() {
    let strip = |text: String| {
        text.replace("<Type>Compressed</Type>", "")
            .replace("<Type>Plain</Type>", "")
    };
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    rewrite(&chain, |text| strip(text).into_bytes());
    reads(&scratch, &chain);

    let scratch = Scratch::new();
    let chain = ChainBuilder::raw_base(&pattern(4, 0, 4 * 32768), 64)
        .child(&ImageBuilder::v2().seed(2).store(1))
        .write(&scratch.source());
    rewrite(&chain, |text| strip(text).into_bytes());
    reads(&scratch, &chain);

    // A file that begins like an image and is as long as the disk can be both.
    let scratch = Scratch::new();
    let mut bytes = ImageBuilder::v2().store_all([0, 2]).build().bytes();
    bytes.resize(4 * 32768, 0);
    let chain = ChainBuilder::raw_base(&bytes, 64).write(&scratch.source());
    rewrite(&chain, |text| strip(text).into_bytes());
    convert(&chain.dir, &scratch.target())
        .run()
        .refused(3, &["could be both", "--layers root.hds"]);
}

#[test]
fn an_empty_parent_is_that_of_the_base_where_no_other_snapshot_can_be_it() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    rewrite(&chain, |text| text.replace(NO_PARENT, "").into_bytes());
    reads(&scratch, &chain);

    // Of two without a parent, one is not the base, and nothing says which.
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    let parent = format!("<ParentGUID>{}</ParentGUID>", chain.guids[0]);
    rewrite(&chain, |text| {
        text.replace(&parent, "<ParentGUID/>").into_bytes()
    });
    convert(&chain.dir, &scratch.target())
        .run()
        .refused(3, &["has no parent"]);
}

fn snapshots_xml(chain: &Chain, names: &[(&str, &str)], at: &Path) {
    let items: String = names
        .iter()
        .zip(&chain.guids)
        .map(|((name, taken), guid)| {
            format!(
                "<SavedStateItem guid=\"{}\" current=\"no\"><Name>{name}</Name><DateTime>{taken}\
                 </DateTime><Creator/><ScreenShot/><Description/>",
                guid.to_uppercase()
            )
        })
        .collect();
    let ends = "</SavedStateItem>".repeat(names.len());
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ParallelsSavedStates dyn_lists=\"SavedStateItem\">{items}{ends}</ParallelsSavedStates>"
    );
    fs::write(at.join("Snapshots.xml"), text).unwrap();
}

#[test]
fn a_snapshot_is_found_by_the_name_that_people_gave_it() {
    let scratch = Scratch::new();
    let area = scratch.source().join("101");
    let chain = two_layers().write(&area.join("root.hdd"));
    let names = [("before update", "2014-03-01 12:30:00"), ("now", "")];
    snapshots_xml(&chain, &names, &area);
    let snapshot = |name: &str| {
        convert(&area, &scratch.target())
            .args(["--snapshot", name])
            .run()
    };

    snapshot("before update").status(0);
    assert!(fs::read(scratch.target()).unwrap() == chain.model_of(0).content());
    fs::remove_file(scratch.target()).unwrap();
    snapshot("after").refused(
        1,
        &[
            "after",
            "\"before update\" of 2014-03-01 12:30:00",
            "--snapshot",
        ],
    );

    let report = info(&area).run().status(0).json();
    assert_eq!(report["snapshots"][0]["name"], "before update");
    assert_eq!(report["snapshots"][0]["taken"], "2014-03-01 12:30:00");
    assert_eq!(report["snapshots"][1]["taken"], serde_json::Value::Null);
    let text = crate::support::Program::new(["info"])
        .arg(&area)
        .run()
        .status(0);
    text.prints("\"before update\", taken 2014-03-01 12:30:00");
}

#[test]
fn a_name_of_a_snapshot_is_one_name_in_each_form_of_unicode() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    for (written, typed) in [("caf\u{e9}", "cafe\u{301}"), ("cafe\u{301}", "caf\u{e9}")] {
        snapshots_xml(&chain, &[(written, "")], &chain.dir);
        let run = convert(&chain.dir, &scratch.target()).args(["-f", "--snapshot", typed]);
        run.run().status(0);
    }
}

#[test]
fn a_name_that_two_snapshots_have_is_refused_with_both() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    snapshots_xml(
        &chain,
        &[("backup", "1"), ("backup", "2")],
        &scratch.source(),
    );
    let run = convert(&chain.dir, &scratch.target()).args(["--snapshot", "backup"]);
    let bare = chain.guids[0].trim_matches(['{', '}']);
    run.run()
        .refused(1, &["2 snapshots are called backup", bare, "of 2"]);
}

#[test]
fn names_of_snapshots_that_make_no_sense_are_reported_and_change_nothing() {
    for bytes in [
        &b"<broken"[..],
        b"",
        &[0xff; 100],
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    ] {
        let scratch = Scratch::new();
        let chain = two_layers().write(&scratch.source());
        fs::write(chain.dir.join("Snapshots.xml"), bytes).unwrap();
        reads(&scratch, &chain).says(["Snapshots.xml", "[snapshot-names]"]);
    }
}
