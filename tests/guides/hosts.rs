//! `docs/hosts.md`, run on a folder of containers of three kinds.

use crate::support::guide::{Guide, Place};
use crate::support::image::ImageBuilder;
use crate::support::{ChainBuilder, Scratch, repository};
use crate::tools::tool;
use std::fs;
use std::process::Command;

#[test]
fn what_the_page_lists_and_converts_is_listed_and_converted() {
    let scratch = Scratch::new();
    let backup = scratch.source();
    let mut copy = Command::new("cp");
    copy.args(["-r", "--sparse=never"]);
    tool(
        "coreutils",
        copy.arg(repository("fixtures/101")).arg(&backup),
    );
    fs::write(
        backup.join("101/ve.conf"),
        "HOSTNAME=\"www.example.org\"\nIP_ADDRESS=\"192.0.2.10\"\n\
         OSTEMPLATE=\".centos-6-x86_64\"\n",
    )
    .unwrap();
    let running = ImageBuilder::v2().cluster_sectors(2048).clusters(3);
    let running = running.in_use(0x746F_6E59).store(0);
    ChainBuilder::base(&running).write(&backup.join("102/root.hdd"));
    for folder in ["etc", "usr", "bin", "var"] {
        fs::create_dir_all(backup.join("103/fs").join(folder)).unwrap();
    }
    fs::write(
        backup.join("103/ve.conf"),
        "NAME=\"files\"\nOSTEMPLATE=\"debian-8.0-x86_64\"\n",
    )
    .unwrap();
    Place::new(&scratch.path().join("place"))
        .with(&backup, "/backup")
        .with(&scratch.out(), "/root")
        .run(&Guide::read("docs/hosts.md").blocks(&["hosts-list", "hosts-batch"]));
}
