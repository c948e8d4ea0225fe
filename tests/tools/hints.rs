//! Every command that a message proposes is run: it gives the bytes that are right for the disk
//! that was meant, or is refused in its turn. A hint that leads to a wrong byte is the worst bug
//! there is.

use crate::support::divided::{MIB, Raw, ext4};
use crate::support::hints::{Right, content, cut_off, follow, image, quoted, three};
use crate::support::{ChainBuilder, ImageBuilder, Scratch};
use std::fs;

#[test]
fn labels_that_lie_lead_to_the_other_reading() {
    // A raw disk that is called an image.
    let scratch = Scratch::new();
    let raw = Raw::sgdisk(8 * MIB, &["--new=1:2048:0"]);
    raw.fill(MIB, 6 * MIB, ext4("raw"));
    let bytes = fs::read(&raw.path).unwrap();
    let top = ImageBuilder::v2().cluster_sectors(2048).clusters(8);
    let chain = ChainBuilder::raw_base(&bytes, 2048)
        .child(&top.store(3))
        .write_with(&scratch.source(), |descriptor| {
            for image in descriptor.images() {
                "Compressed".clone_into(&mut image.kind);
            }
        });
    let typed = format!("{} -o OUT", quoted(&chain.dir));
    let right = Right::Bytes(content(&chain, 1));
    follow(&scratch, &typed, 3, &right).says(["--layers", "raw:root.hds"]);
    for command in ["check", "info"] {
        let said = follow(
            &scratch,
            &format!("{command} {}", quoted(&chain.dir)),
            3,
            &Right::Nothing,
        );
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(text.contains("raw:root.hds"), "{command}: {text}");
    }
    // Cut short besides, it is refused by that other reading too, which says why.
    cut_off(&chain.files[0], 512);
    let said = follow(&scratch, &typed, 3, &Right::Nothing);
    said.says(["--layers", "raw:root.hds"]);

    // An image that is called a raw disk: read as the label says, with a warning.
    let scratch = Scratch::new();
    let base = image(1).store_all([0, 2]);
    let chain = ChainBuilder::base(&base)
        .child(&image(2).store(1))
        .write_with(&scratch.source(), |descriptor| {
            for image in descriptor.images() {
                "Plain".clone_into(&mut image.kind);
            }
        });
    let typed = format!("{} -o OUT", quoted(&chain.dir));
    let right = Right::Bytes(content(&chain, 1));
    let said = follow(&scratch, &typed, 3, &right);
    said.says(["plain-with-header", "--layers"]);
}

#[test]
fn a_lock_that_says_that_somebody_writes_leads_to_the_same_bytes() {
    let scratch = Scratch::new();
    let chain = three(&scratch, false);
    let _holder =
        crate::support::holder::Holder::new("exec 3<\"$1\"; flock --exclusive 3", &chain.files[2]);
    let typed = format!("{} -o OUT", quoted(&chain.dir));
    let right = Right::OneOf(vec![content(&chain, 2), content(&chain, 1)]);
    follow(&scratch, &typed, 4, &right).says(["add --allow-dirty"]);
}
