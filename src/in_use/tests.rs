//! A host made of text files.

use std::os::unix::fs::{MetadataExt, symlink};

use super::*;

/// A root with empty `/sys` and `/proc`, and two files.
struct Fake {
    dir: tempfile::TempDir,
    base: PathBuf,
    top: PathBuf,
}

impl Fake {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (base, top) = (dir.path().join("root.hds"), dir.path().join("root.hds.{1}"));
        std::fs::write(&base, "base").unwrap();
        std::fs::write(&top, "top").unwrap();
        Self { dir, base, top }
    }

    fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Lets a program have a file open.
    fn opened(&self, pid: u32, file: &Path, flags: &str) {
        self.put(&format!("proc/{pid}/comm"), "some program\n");
        self.put(
            &format!("proc/{pid}/fdinfo/7"),
            format!("pos:\t0\nflags:\t{flags}\n"),
        );
        let fd = self.dir.path().join(format!("proc/{pid}/fd"));
        std::fs::create_dir_all(&fd).unwrap();
        symlink(file, fd.join("7")).unwrap();
    }

    fn signs(&self) -> Vec<String> {
        let watch = |path: &Path, top| Watched {
            path: path.to_owned(),
            top,
        };
        let files = [watch(&self.base, false), watch(&self.top, true)];
        let signs = Host::at(self.dir.path()).signs(&files);
        let name = |sign: &Sign| {
            sign.path
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        };
        signs
            .iter()
            .map(|sign| format!("{}: {}", name(sign), sign.user))
            .collect()
    }
}

#[test]
fn a_quiet_host_shows_no_sign() {
    assert_eq!(Fake::new().signs(), Vec::<String>::new());
}

#[test]
fn a_ploop_device_writes_to_its_last_level_only() {
    let host = Fake::new();
    let (base, top) = (host.base.display(), host.top.display());
    host.put("sys/block/ploop12345/pdelta/0/image", format!("{base}\n"));
    host.put("sys/block/ploop12345/pdelta/1/image", format!("{top}\n"));
    host.put("sys/block/ploop12345/ro", "0\n");
    let expected = "root.hds.{1}: attached as ploop12345, which writes to it";
    assert_eq!(host.signs(), [expected]);

    // A device with another snapshot on top of these two writes to neither.
    host.put("sys/block/ploop12345/pdelta/10/image", "/elsewhere\n");
    assert_eq!(host.signs(), Vec::<String>::new());
    std::fs::remove_dir_all(host.dir.path().join("sys/block/ploop12345/pdelta/10")).unwrap();

    host.put("sys/block/ploop12345/ro", "1\n");
    assert_eq!(host.signs(), Vec::<String>::new());
}

#[test]
fn a_loop_device_is_a_sign_unless_it_is_read_only() {
    let host = Fake::new();
    host.put(
        "sys/block/loop3/loop/backing_file",
        format!("{}\n", host.base.display()),
    );
    host.put("sys/block/loop3/ro", "0\n");
    let expected = "root.hds: open for writing as the loop device loop3";
    assert_eq!(host.signs(), [expected]);
    host.put("sys/block/loop3/ro", "1\n");
    assert_eq!(host.signs(), Vec::<String>::new());
}

#[test]
fn a_program_that_writes_is_a_sign_and_one_that_reads_is_none() {
    let host = Fake::new();
    host.opened(4001, &host.base, "02100000");
    assert_eq!(host.signs(), Vec::<String>::new());
    host.opened(4002, &host.base, "02100002");
    host.opened(4003, &host.top, "02100001");
    let mut signs = host.signs();
    signs.sort();
    let expected = [
        "root.hds.{1}: open for writing in process 4003 (some program)",
        "root.hds: open for writing in process 4002 (some program)",
    ];
    assert_eq!(signs, expected);
}

#[test]
fn a_lock_for_writing_is_a_sign_and_a_shared_one_is_none() {
    let host = Fake::new();
    let meta = std::fs::metadata(&host.base).unwrap();
    let place = format!(
        "{:02x}:{:02x}:{}",
        nix::sys::stat::major(meta.dev()),
        nix::sys::stat::minor(meta.dev()),
        meta.ino()
    );
    host.put("proc/77/comm", "vzctl\n");
    host.put(
        "proc/locks",
        format!("1: POSIX  ADVISORY  READ 77 {place} 0 EOF\n"),
    );
    assert_eq!(host.signs(), Vec::<String>::new());
    host.put(
        "proc/locks",
        format!("1: POSIX  ADVISORY  READ 77 {place} 200 204\n"),
    );
    assert_eq!(
        host.signs(),
        ["root.hds: locked for writing by process 77 (vzctl)"]
    );
    host.put(
        "proc/locks",
        format!("1: OFDLCK ADVISORY  WRITE -1 {place} 0 EOF\n"),
    );
    assert_eq!(host.signs(), ["root.hds: locked for writing by a program"]);
}
