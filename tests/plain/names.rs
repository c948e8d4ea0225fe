//! Which files a descriptor may name, where they are looked for, and what they must be.

use crate::support::image::pattern;
use crate::support::samples::two_layers;
use crate::support::{
    Chain, ChainBuilder, Outcome, Scratch, SourceGuard, assert_reads, assert_reads_with, check,
    convert, info,
};
use nix::sys::stat::Mode;
use std::os::unix::fs::symlink;

/// Two layers in `source/disk`, the base called `file` in the descriptor.
fn with_base_named(scratch: &Scratch, file: &str) -> Chain {
    two_layers().write_with(&scratch.source().join("disk"), |descriptor| {
        file.clone_into(&mut descriptor.images()[0].file);
    })
}

/// Moves the base out of the disk's folder, to `source/elsewhere/base.hds`.
fn move_base_out(scratch: &Scratch, chain: &Chain) -> std::path::PathBuf {
    let elsewhere = scratch.source().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let moved = elsewhere.join("base.hds");
    std::fs::rename(&chain.files[0], &moved).unwrap();
    moved
}

#[track_caller]
fn refuse(scratch: &Scratch, chain: &Chain, status: i32, parts: &[&str]) -> Outcome {
    let _guard = SourceGuard::new(&scratch.source());
    let outcome = convert(&chain.dir, &scratch.target())
        .within(20)
        .run()
        .refused(status, parts);
    scratch.assert_nothing_left();
    outcome
}

/// The model with the base's file called otherwise.
fn assert_reads_outside(chain: &Chain) {
    let mut chain = chain.clone();
    "base.hds".clone_into(&mut chain.layers[0].file);
    assert_reads_with(&chain.dir, &["--allow-outside"], &chain.model());
}

#[test]
fn a_moved_disk_with_absolute_names_reads_from_its_new_folder_and_says_so() {
    let scratch = Scratch::new();
    let chain = with_base_named(&scratch, "/vz/private/no-such-container/root.hdd/root.hds");
    let outcome = assert_reads(&chain.dir, &chain.model());
    outcome.says(["root.hds"]);
    check(&chain.dir)
        .run()
        .status(0)
        .finds("moved-file", "warning");
}

#[test]
fn an_absolute_name_inside_the_folder_needs_no_option() {
    let scratch = Scratch::new();
    let inside = scratch.source().join("disk/root.hds");
    let chain = with_base_named(&scratch, inside.to_str().unwrap());
    assert_reads(&chain.dir, &chain.model());
}

#[test]
fn roundabout_names_inside_the_folder_need_no_option() {
    for name in ["./root.hds", "../disk/root.hds", ".//./root.hds"] {
        let scratch = Scratch::new();
        let chain = with_base_named(&scratch, name);
        assert_reads(&chain.dir, &chain.model());
    }
}

#[test]
fn an_absolute_name_outside_the_folder_needs_the_option() {
    let scratch = Scratch::new();
    let outside = scratch.source().join("elsewhere/base.hds");
    let chain = with_base_named(&scratch, outside.to_str().unwrap());
    move_base_out(&scratch, &chain);
    refuse(&scratch, &chain, 1, &["--allow-outside", "base.hds"]);
    assert_reads_outside(&chain);
}

#[test]
fn a_relative_name_outside_the_folder_needs_the_option() {
    let scratch = Scratch::new();
    let chain = with_base_named(&scratch, "../elsewhere/base.hds");
    move_base_out(&scratch, &chain);
    refuse(&scratch, &chain, 1, &["--allow-outside", "base.hds"]);
    assert_reads_outside(&chain);
}

#[test]
fn a_symbolic_link_out_of_the_folder_needs_the_option() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source().join("disk"));
    let moved = move_base_out(&scratch, &chain);
    symlink(&moved, &chain.files[0]).unwrap();
    refuse(&scratch, &chain, 1, &["--allow-outside", "base.hds"]);
    let target = scratch.target();
    convert(&chain.dir, &target)
        .arg("--allow-outside")
        .run()
        .status(0);
    crate::support::assert_file_holds(&target, &chain.model());
}

#[test]
fn a_symbolic_link_among_the_folders_on_the_way_needs_the_option() {
    let scratch = Scratch::new();
    let chain = with_base_named(&scratch, "link/base.hds");
    let moved = move_base_out(&scratch, &chain);
    symlink(moved.parent().unwrap(), chain.dir.join("link")).unwrap();
    refuse(&scratch, &chain, 1, &["--allow-outside"]);
    assert_reads_outside(&chain);
}

#[test]
fn a_symbolic_link_inside_the_folder_needs_no_option() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source().join("disk"));
    std::fs::rename(&chain.files[0], chain.dir.join("real.hds")).unwrap();
    symlink("real.hds", &chain.files[0]).unwrap();
    let target = scratch.target();
    convert(&chain.dir, &target).run().status(0);
    crate::support::assert_file_holds(&target, &chain.model());
}

#[test]
fn a_disk_reached_through_a_symbolic_link_reads() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source().join("disk"));
    let link = scratch.source().join("link");
    symlink(&chain.dir, &link).unwrap();
    assert_reads(&link, &chain.model());
    assert_reads(&link.join("DiskDescriptor.xml"), &chain.model());
}

#[test]
fn a_stolen_file_of_the_host_is_not_read_as_a_raw_base() {
    let scratch = Scratch::new();
    let secret = scratch.source().join("secret");
    std::fs::write(&secret, pattern(1, 0, 4096)).unwrap();
    for name in [secret.to_str().unwrap(), "../secret"] {
        let chain = ChainBuilder::raw_base(&pattern(2, 0, 4096), 64)
            .write_with(&scratch.source().join("disk"), |descriptor| {
                name.clone_into(&mut descriptor.images()[0].file)
            });
        refuse(&scratch, &chain, 1, &["--allow-outside"]);
    }
}

#[test]
fn a_missing_layer_is_damage_and_never_skipped() {
    for missing in [0, 1] {
        let scratch = Scratch::new();
        let chain = two_layers().write(&scratch.source());
        std::fs::remove_file(&chain.files[missing]).unwrap();
        let name = chain.files[missing].file_name().unwrap().to_str().unwrap();
        refuse(&scratch, &chain, 3, &[name]);
        check(&chain.dir)
            .run()
            .status(3)
            .finds("layer-missing", "damage");
        assert_eq!(info(&chain.dir).run().status(3).json()["damaged"], true);
    }
}

#[test]
fn two_layers_may_not_be_one_file() {
    let top_name = |chain: &Chain| chain.files[1].clone();
    // The same name, another spelling of it, a symbolic link, a hard link.
    for way in 0..4 {
        let scratch = Scratch::new();
        let chain = two_layers().write_with(&scratch.source(), |descriptor| match way {
            0 => "root.hds".clone_into(&mut descriptor.images()[1].file),
            1 => "././root.hds".clone_into(&mut descriptor.images()[1].file),
            _ => {}
        });
        std::fs::remove_file(top_name(&chain)).unwrap();
        match way {
            2 => symlink("root.hds", top_name(&chain)).unwrap(),
            3 => std::fs::hard_link(&chain.files[0], top_name(&chain)).unwrap(),
            _ => {}
        }
        refuse(&scratch, &chain, 3, &["root.hds"]);
    }
}

#[test]
fn a_fifo_in_the_place_of_a_layer_is_refused_without_waiting() {
    for number in [0, 1] {
        let scratch = Scratch::new();
        let chain = two_layers().write(&scratch.source());
        std::fs::remove_file(&chain.files[number]).unwrap();
        nix::unistd::mkfifo(&chain.files[number], Mode::S_IRWXU).unwrap();
        refuse(&scratch, &chain, 1, &["root.hds"]);
    }
}

#[test]
fn a_fifo_in_the_place_of_a_raw_base_is_refused_without_waiting() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::raw_base(&pattern(2, 0, 4096), 64).write(&scratch.source());
    std::fs::remove_file(&chain.files[0]).unwrap();
    nix::unistd::mkfifo(&chain.files[0], Mode::S_IRWXU).unwrap();
    refuse(&scratch, &chain, 1, &["root.hds"]);
}

#[test]
fn a_fifo_in_the_place_of_the_descriptor_is_refused_without_waiting() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    std::fs::remove_file(chain.descriptor()).unwrap();
    nix::unistd::mkfifo(&chain.descriptor(), Mode::S_IRWXU).unwrap();
    refuse(&scratch, &chain, 1, &["DiskDescriptor.xml"]);
    convert(&chain.descriptor(), &scratch.target())
        .within(20)
        .run()
        .refused(1, &["DiskDescriptor.xml"]);
}

#[test]
fn a_folder_in_the_place_of_a_layer_is_refused() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    std::fs::remove_file(&chain.files[0]).unwrap();
    std::fs::create_dir(&chain.files[0]).unwrap();
    refuse(&scratch, &chain, 1, &["root.hds"]);
}

#[test]
fn an_empty_file_in_the_place_of_a_layer_is_damage() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    std::fs::write(&chain.files[0], b"").unwrap();
    refuse(&scratch, &chain, 3, &["root.hds"]);
}

#[test]
fn a_name_that_is_no_files_is_refused() {
    for (name, status) in [
        (".", 1),
        ("..", 1),
        ("/", 1),
        ("root.hds/", 3),
        ("root.hds/more", 3),
        ("DiskDescriptor.xml", 3),
        ("file:///etc/passwd", 3),
        ("$HOME", 3),
        ("/dev/zero", 1),
        ("/proc/self/mem", 1),
    ] {
        let scratch = Scratch::new();
        let chain = with_base_named(&scratch, name);
        refuse(&scratch, &chain, status, &[]);
    }
}

#[test]
fn a_socket_in_the_place_of_a_layer_is_refused() {
    let scratch = Scratch::new();
    let chain = with_base_named(&scratch, "socket");
    let _listener = std::os::unix::net::UnixListener::bind(chain.dir.join("socket")).unwrap();
    refuse(&scratch, &chain, 1, &["socket"]);
}

#[test]
fn a_name_of_any_length_is_refused() {
    for name in ["n".repeat(5000), "n/".repeat(3000) + "n"] {
        let scratch = Scratch::new();
        let chain = with_base_named(&scratch, &name);
        let outcome = convert(&chain.dir, &scratch.target()).run();
        assert!(matches!(outcome.status, Some(1 | 3)), "{outcome:?}");
        scratch.assert_nothing_left();
    }
}

/// Puts `a` in the place of `b` and `b` in that of `a`, over and over, until it is dropped.
struct Swapping {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Swapping {
    fn start(a: std::path::PathBuf, b: std::path::PathBuf) -> Self {
        use std::sync::atomic::{AtomicBool, Ordering};
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let swap = move || {
            let mut swaps = 0;
            while !seen.load(Ordering::Relaxed) {
                let how = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
                let here = nix::fcntl::AT_FDCWD;
                nix::fcntl::renameat2(here, &a, here, &b, how).unwrap();
                swaps += 1;
            }
            swaps
        };
        let thread = Some(std::thread::spawn(swap));
        Self { stop, thread }
    }
}

impl Drop for Swapping {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let swaps = self.thread.take().unwrap().join().unwrap();
        assert!(swaps > 0);
    }
}

#[test]
fn a_layer_that_is_swapped_for_a_link_again_and_again_never_gives_out_what_lies_outside() {
    let scratch = Scratch::new();
    let secret = pattern(0x5EC2E7, 0, 65536);
    let elsewhere = scratch.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("secret"), &secret).unwrap();
    let chain = ChainBuilder::raw_base(&pattern(2, 0, 65536), 64).write(&scratch.source());
    let link = chain.dir.join("link");
    symlink(elsewhere.join("secret"), &link).unwrap();
    let swapping = Swapping::start(chain.files[0].clone(), link);
    for _ in 0..60 {
        let output = std::process::Command::new(crate::support::program::path())
            .arg(&chain.dir)
            .args(["-o", "-", "--allow-dirty"])
            .output()
            .unwrap();
        assert!(
            matches!(output.status.code(), Some(0 | 1 | 4)),
            "{output:?}"
        );
        assert!(
            !output.stdout.windows(64).any(|seen| seen == &secret[..64]),
            "what lies outside was read"
        );
    }
    drop(swapping);
}
