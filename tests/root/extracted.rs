//! What `extract` restores as root, and what it says as another user, against the kernel's mount of
//! the same file system.

use crate::support::program;
use crate::support::system::Mounted;
use crate::support::{Scratch, SourceGuard};
use crate::tools::tool;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An ext4 with owners, devices, attributes and times that only root makes.
fn disk(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let raw = scratch.path().join("fs.raw");
    fs::File::create(&raw).unwrap().set_len(32 << 20).unwrap();
    let mut mke2fs = Command::new("mke2fs");
    tool(
        "e2fsprogs",
        mke2fs.args(["-q", "-F", "-t", "ext4"]).arg(&raw),
    );
    let mounted = Mounted::image(&raw, &scratch.path().join("mounted"), "loop");
    let script = "set -e
        mkdir -p etc dev 'home/a b' sgid default ro
        echo root > etc/passwd; ln etc/passwd etc/second; chown 1000:1001 'home/a b'
        mknod dev/null c 1 3; mknod dev/sda b 8 0; mknod dev/large c 511 1048575; mkfifo dev/pipe
        chown 5:6 dev/null; chmod 0666 dev/null; ln dev/null dev/again
        echo suid > suid; chown 1000:1001 suid; chmod 6755 suid
        chown 0:50 sgid; chmod 2775 sgid
        echo cap > cap; chown 7:8 cap; setcap cap_net_raw+ep cap
        setfacl -m u:5:r etc/passwd; setfacl -d -m u:6:rwx default; echo x > default/inherits
        setfattr -n user.note -v text ro; setfattr -n trusted.t -v text etc/passwd
        setfattr -h -n trusted.t -v text dev/pipe
        ln -s /etc/passwd link; chown -h 9:10 link; setfattr -h -n trusted.l -v text link
        echo frozen > ro/file; setfattr -n user.note -v text ro/file; chmod 0400 ro/file
        chmod 0555 ro; truncate -s 9G sparse; printf end | dd of=sparse bs=1 seek=5000000000 \
        conv=notrunc status=none
        touch -h -d '1960-01-02 03:04:05.123456789Z' link
        touch -d '2400-05-06 07:08:09.987654321Z' etc/passwd; touch -d '1930-01-01Z' ro";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(&mounted.dir);
    tool("acl attr libcap2-bin", &mut shell);
    drop(mounted);
    let _ = Command::new("e2fsck").arg("-fy").arg(&raw).output();
    let image = scratch.source().join("root.hdd");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-f", "raw", "-O", "parallels"]);
    tool("qemu-utils", convert.args([&raw, &image]));
    (raw, image)
}

/// Everything that the kernel says of a tree.
fn listed(root: &Path) -> String {
    let script = "find . ! -name lost+found -printf '%P|%y|%m|%U|%G|%l|%T@|' \
                  \\( -type d -printf '\\n' -o -printf '%n|%s\\n' \\) | LC_ALL=C sort
        find . \\( -type b -o -type c \\) -exec stat -c '%n %t:%T' {} + | LC_ALL=C sort
        find . ! -name lost+found | LC_ALL=C sort | tr '\\n' '\\0' \
            | xargs -0 getfattr -h -d -m - -e hex --absolute-names | cat -v
        find . -type f -size -9k -exec sha256sum {} + | LC_ALL=C sort
        tail -c 4294967297 sparse | head -c 1000000000 | sha256sum";
    let mut shell = Command::new("sh");
    tool("attr", shell.args(["-c", script]).current_dir(root))
}

#[test]
fn root_gets_what_the_kernel_shows_and_another_user_is_told_what_is_missing() {
    let scratch = Scratch::new();
    let (raw, image) = disk(&scratch);
    let _guard = SourceGuard::new(image.parent().unwrap());
    let out = scratch.out().join("root");
    fs::create_dir(&out).unwrap();
    // What is made here would get an ACL that the image does not have.
    tool(
        "acl",
        Command::new("setfacl")
            .args(["-d", "-m", "u:77:rwx"])
            .arg(&out),
    );
    let mut extract = Command::new(program::path());
    extract.arg("extract").arg(&image).arg("-C").arg(&out);
    tool("ploopconv", &mut extract);
    tool("acl", Command::new("setfacl").arg("-k").arg(&out));
    let theirs = listed(&Mounted::image(&raw, &scratch.path().join("again"), "loop,ro").dir);
    let ours = listed(&out);
    let differ: Vec<_> = theirs
        .lines()
        .zip(ours.lines())
        .filter(|(a, b)| a != b)
        .collect();
    assert!(theirs == ours, "{differ:#?}");
    let sparse = fs::metadata(out.join("sparse")).unwrap();
    assert!(std::os::unix::fs::MetadataExt::blocks(&sparse) < 100);
    let user = scratch.out().join("user");
    fs::create_dir(&user).unwrap();
    fs::set_permissions(&user, fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = scratch.as_nobody();
    command.arg("extract").arg(&image).arg("-C").arg(&user);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    for part in [
        "owners and groups of ",
        "set-user-ID and set-group-ID bits of 1 file were not restored (suid: ",
        "file capabilities of 1 file were not restored (cap: ",
        "4 devices were not made (dev/",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mode = |path: &str| fs::metadata(user.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode("suid"), mode("ro"), mode("ro/file")),
        (0o755, 0o555, 0o400)
    );
}

/// As GNU ls shows them: with a sign where there is an ACL.
#[test]
fn a_list_shows_which_files_have_an_acl() {
    let scratch = Scratch::new();
    let (raw, image) = disk(&scratch);
    let _guard = SourceGuard::new(image.parent().unwrap());
    let mut ls = Command::new(program::path());
    ls.args(["ls", "-lR"]).arg(&image);
    let ours = tool("ploopconv", &mut ls);
    let mounted = Mounted::image(&raw, &scratch.path().join("again"), "loop,ro");
    let mut ls = Command::new("ls");
    ls.args(["-lnR", "--time-style=+"])
        .current_dir(&mounted.dir);
    let theirs = tool("coreutils", &mut ls);
    let signs = |text: &str| {
        let words = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let mode = words.next().filter(|mode| mode.len() > 9)?;
            Some((words.last()?.to_owned(), mode.to_owned()))
        });
        words.collect::<std::collections::BTreeSet<_>>()
    };
    let (ours, theirs) = (signs(&ours), signs(&theirs));
    for file in &theirs {
        assert!(ours.contains(file), "{file:?}: {ours:?}");
    }
    let with_acl = ours.iter().filter(|(_, mode)| mode.ends_with('+')).count();
    assert_eq!(with_acl, 4, "{ours:?}");
}
