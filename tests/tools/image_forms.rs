//! What may stand for IMAGE on the command line, and what is named and refused.

use crate::support::Scratch;
use crate::support::samples::assert_refused;
use std::process::Command;

#[test]
fn images_that_qemu_made_in_other_formats_are_named_and_refused() {
    for (format, options, name) in [
        ("qcow2", "", "qcow2"),
        ("qcow", "", "qcow"),
        ("vmdk", "", "VMDK"),
        ("vmdk", "subformat=monolithicFlat", "VMDK"),
        ("vpc", "", "VHD"),
        ("vpc", "subformat=fixed", "VHD"),
        ("vhdx", "", "VHDX"),
        ("vdi", "", "VDI"),
    ] {
        let scratch = Scratch::new();
        let image = scratch.source().join("root.hdd");
        let output = Command::new("qemu-img")
            .args(["create", "-f", format])
            .args(if options.is_empty() {
                vec![]
            } else {
                vec!["-o", options]
            })
            .arg(&image)
            .arg("16M")
            .output()
            .expect("qemu-img runs (Debian package qemu-utils)");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_refused(&scratch, &image, &[name, "qemu-img"]);
    }
}
