//! Where the descriptor is lost: only the order that names and times support is proposed.

use crate::hints_never_read::{assert_never_read, encrypted};
use crate::support::hints::{Right, content, follow, image, quoted, shell, three};
use crate::support::{Chain, ChainBuilder, Fill, Scratch, convert};
use std::fs;

/// Says when each layer was last written to.
fn written_at(chain: &Chain, hours: &[u64]) {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};
    for (file, hour) in chain.files.iter().zip(hours) {
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(hour * 3600);
        let file = fs::File::options().write(true).open(file).unwrap();
        file.set_modified(time).unwrap();
    }
}

fn without_descriptor(scratch: &Scratch, chain: &Chain, right: &Right) {
    let known = matches!(right, Right::Bytes(_));
    fs::remove_file(chain.descriptor()).unwrap();
    let dir = quoted(&chain.dir);
    let said = follow(scratch, &format!("info {dir}"), 1, right);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(text.contains("--layers"), known, "{text}");
    assert_eq!(text.contains("not known:"), !known, "{text}");
    // No circle: who has run it is not told to run it.
    assert!(!said.stderr.contains("ploopconv info"), "{}", said.stderr);
    follow(scratch, &format!("{dir} -o OUT"), 1, right);
    follow(scratch, &format!("check {dir}"), 1, right);
}

#[test]
fn without_a_descriptor_one_layer_over_a_base_is_proposed_unless_the_times_contradict() {
    for (hours, known) in [([1, 2], true), ([2, 2], true), ([3, 2], false)] {
        let scratch = Scratch::new();
        let chain = ChainBuilder::base(&image(1).store_all([0, 2])).child(&image(2).store(1));
        let chain = chain.write(&scratch.source());
        written_at(&chain, &hours);
        let right = if known {
            Right::Bytes(content(&chain, 1))
        } else {
            Right::Nothing
        };
        without_descriptor(&scratch, &chain, &right);
    }
}

#[test]
fn without_a_descriptor_no_order_of_two_layers_is_proposed_for_they_may_be_siblings() {
    for hours in [[1, 2, 3], [1, 3, 2], [2, 2, 2], [9, 2, 3]] {
        let scratch = Scratch::new();
        let chain = three(&scratch, false);
        written_at(&chain, &hours);
        without_descriptor(&scratch, &chain, &Right::Nothing);
    }
}

#[test]
fn the_backup_of_a_lost_descriptor_is_named_and_shows_the_chain() {
    for backup in ["DiskDescriptor.xml.Backup", "diskdescriptor.xml.backup"] {
        let scratch = Scratch::new();
        let chain = three(&scratch, false);
        fs::rename(chain.descriptor(), chain.dir.join(backup)).unwrap();
        let right = Right::Bytes(content(&chain, 2));
        let dir = quoted(&chain.dir);
        let said = follow(&scratch, &format!("info {dir}"), 1, &Right::Nothing);
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let command = format!("ploopconv info {}", chain.dir.join(backup).display());
        assert!(text.contains(&command), "{text}");
        let shown = shell(&command).status(0);
        assert!(String::from_utf8_lossy(&shown.stdout).contains("layer 2"));
        let read = format!("{} -o OUT", quoted(&chain.dir.join(backup)));
        follow(&scratch, &read, 0, &right);
    }
}

#[test]
fn a_descriptor_whose_name_is_in_another_case_is_the_descriptor() {
    let scratch = Scratch::new();
    let chain = three(&scratch, false);
    fs::rename(chain.descriptor(), chain.dir.join("diskdescriptor.XML")).unwrap();
    let right = Right::Bytes(content(&chain, 2));
    follow(
        &scratch,
        &format!("{} -o OUT", quoted(&chain.dir)),
        0,
        &right,
    );
    convert(&chain.files[0], &scratch.target())
        .arg("-f")
        .run()
        .status(1)
        .says(["layer 0 of a chain of 3"]);

    let scratch = Scratch::new();
    let chain = encrypted(&scratch, 1);
    fs::rename(chain.descriptor(), chain.dir.join("diskdescriptor.xml")).unwrap();
    assert_never_read(&scratch, &chain.dir, &chain.files);
}

#[test]
fn a_cluster_that_is_zeros_in_the_file_hides_what_lies_below_in_every_proposed_reading() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&image(1).store_all([0, 1]))
        .child(&image(2).fill(0, Fill::FileHole))
        .write(&scratch.source());
    fs::remove_file(chain.descriptor()).unwrap();
    let right = Right::Bytes(content(&chain, 1));
    follow(&scratch, &format!("info {}", quoted(&chain.dir)), 1, &right);
}
