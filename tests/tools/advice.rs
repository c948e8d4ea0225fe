//! What a message advises fits the command that was typed and what is there: it speaks of no
//! conversion where none was asked for, and proposes no option that was given.

use crate::support::hints::{image, paste, quoted, shell};
use crate::support::{Program, Scratch};

#[test]
fn another_programs_file_that_is_looked_at_is_shown_by_that_program() {
    let scratch = Scratch::new();
    let file = scratch.source().join("disk.vmdk");
    let mut create = std::process::Command::new("qemu-img");
    create
        .args(["create", "-q", "-f", "vmdk"])
        .arg(&file)
        .arg("1M");
    crate::tools::tool("qemu-utils", &mut create);
    for command in ["info", "check", "map"] {
        let typed = format!("ploopconv {command} {}", quoted(&file));
        let run = shell(&typed).status(1);
        let (_, proposed) = run.stderr.split_once("qemu-img reads it: ").unwrap();
        assert!(proposed.starts_with("qemu-img info "), "{proposed}");
        shell(proposed.trim_end()).status(0);
    }
}

#[test]
fn a_resize_leads_to_a_target_of_that_size() {
    let scratch = Scratch::new();
    let file = scratch.source().join("disk.hds");
    image(1).store_all([0, 2]).write(&file);
    let typed = Program::new(["resize"]).arg(&file).arg("10M");
    let run = typed.directory(scratch.out()).run().status(2);
    let disk = scratch.out().join("disk.qcow2");
    Program::new([&file]).arg("-o").arg(&disk).run().done();
    paste(&run, "and that is resized: ", &scratch.out());
    let mut info = std::process::Command::new("qemu-img");
    let info = info.args(["info", "--output=json"]).arg(&disk);
    let info = crate::tools::tool("qemu-utils", info);
    assert!(
        info.contains(&format!("\"virtual-size\": {}", 10 << 20)),
        "{info}"
    );
    // The bytes after the old end are zeros.
    let compare = Program::new(["compare"]).arg(&file).arg(&disk);
    compare.run().status(0).says(["zeros"]);
}
