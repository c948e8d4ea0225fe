//! A command that is proposed is the one that was typed, with one thing changed, however its
//! options were written: `--against=IMAGE`, `-oTARGET`, `-- IMAGE`.

use crate::support::hints::{Right, content, follow, image, proposed, quoted, shell, two};
use crate::support::{ChainBuilder, Scratch, field};
use std::fs;

/// Types each command, with a disk for TARGET and the top layer for LAYER: it is refused, and each
/// command that it proposes does what was asked for.
#[track_caller]
fn refused_and_retried(typed: [&str; 3], says: &str, is_right: impl Fn(&str) -> bool) {
    let scratch = Scratch::new();
    let chain = two(&scratch);
    fs::write(scratch.target(), content(&chain, 1)).unwrap();
    for typed in typed {
        let typed = typed
            .replace("TARGET", &quoted(&scratch.target()))
            .replace("LAYER", &quoted(&chain.files[1]));
        let run = shell(&typed).status(1).says([says]);
        let commands = proposed(&run, &typed);
        assert!(!commands.is_empty(), "{}", run.stderr);
        for command in commands {
            assert!(is_right(&command), "{command} leads to the layer again");
            shell(&command).status(0);
        }
    }
}

#[test]
fn a_layer_after_against_leads_to_the_disk_with_a_space_or_an_equals_sign() {
    let typed = [
        "ploopconv verify TARGET --against=LAYER",
        "ploopconv verify TARGET --against LAYER",
        "ploopconv verify --against=LAYER -- TARGET",
    ];
    let names_no_layer = |command: &str| !command.contains(".{");
    refused_and_retried(typed, "is not the whole disk", names_no_layer);
}

#[test]
fn the_one_of_two_disks_that_was_refused_is_replaced() {
    let typed = [
        "ploopconv compare TARGET LAYER",
        "ploopconv compare LAYER TARGET -q",
        "ploopconv compare -- TARGET LAYER",
    ];
    refused_and_retried(typed, "is not the whole disk", |_| true);
}

#[test]
fn an_option_is_added_where_it_is_one_and_only_once() {
    let scratch = Scratch::new();
    let file = scratch.source().join("root.hds");
    let written = image(1).store(0).in_use(field::DIRTY).write(&file);
    let right = Right::Bytes(written.model("root.hds").content());
    for typed in [
        "-o OUT -- IMAGE",
        "-oOUT IMAGE",
        "-o=OUT IMAGE",
        "--output=OUT -- IMAGE",
        "-qo OUT IMAGE",
    ] {
        let typed = typed.replace("IMAGE", &quoted(&file));
        let said = follow(&scratch, &typed, 4, &right).says(["--allow-dirty"]);
        let is_whole = typed.contains(" -- ");
        let whole = said.stderr.contains("if it crashed: ploopconv ");
        assert_eq!(whole, is_whole, "{}", said.stderr);
        assert!(scratch.target().exists(), "{typed} led nowhere");
    }
    // A target that is there.
    for typed in ["-o OUT -- IMAGE", "--output=OUT IMAGE", "-oOUT IMAGE"] {
        fs::write(scratch.target(), "old").unwrap();
        let typed = format!("ploopconv --allow-dirty {typed}")
            .replace("OUT", &quoted(&scratch.target()))
            .replace("IMAGE", &quoted(&file));
        let run = shell(&typed).status(1);
        let commands = proposed(&run, &typed);
        assert_eq!(commands.len(), 1, "{}", run.stderr);
        shell(&commands[0]).status(0);
        let Right::Bytes(right) = &right else {
            unreachable!()
        };
        assert!(fs::read(scratch.target()).unwrap() == *right, "{typed}");
    }
}

#[test]
fn the_snapshot_that_was_asked_for_is_read_of_each_of_several_disks() {
    let scratch = Scratch::new();
    let mut right = Vec::new();
    for (name, seed) in [("a.hdd", 1), ("b.hdd", 5)] {
        let chain = ChainBuilder::base(&image(seed).store_all([0, 2]))
            .child(&image(seed + 1).store(1))
            .write(&scratch.source().join(name));
        right.push(content(&chain, 0));
    }
    let base = crate::support::guid(0);
    for option in [
        format!("--snapshot '{base}'"),
        format!("--snapshot='{base}'"),
    ] {
        let typed = format!("{} {option} -o OUT", quoted(&scratch.source()));
        let right = Right::OneOf(right.clone());
        follow(&scratch, &typed, 1, &right).says(["a.hdd", "--snapshot"]);
        assert!(scratch.target().exists(), "{typed} led nowhere");
    }
}

#[test]
fn another_choice_replaces_one_with_an_equals_sign() {
    let scratch = Scratch::new();
    let chain = two(&scratch);
    let typed = format!("{} --snapshot=none -o OUT", quoted(&chain.dir));
    let right = Right::OneOf(vec![content(&chain, 0), content(&chain, 1)]);
    follow(&scratch, &typed, 1, &right).says(["--snapshot"]);
    assert!(scratch.target().exists(), "it led nowhere");
}

#[test]
fn a_server_in_the_background_proposes_what_its_user_could_have_typed() {
    let scratch = Scratch::new();
    let chain = two(&scratch);
    let run = shell(&format!("ploopconv attach {}", quoted(&chain.files[1])));
    assert!(!run.stderr.contains("in-background"), "{}", run.stderr);
    assert_eq!(run.status, Some(1), "{}", run.stderr);
}
