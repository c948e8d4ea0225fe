//! Files that the program mounts; only root may make mounts of its own for a test.

use super::program::{self, Outcome, Program};
use super::running::{ended, signal};
use super::tools::tool;
use nix::mount::{MntFlags, umount2};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

/// Lets every user open `/dev/fuse`, as udev does, or none; for a thread with mounts of its own.
pub fn fuse_for_users(folder: &Path, mode: &str) {
    let dev = folder.join("dev");
    std::fs::create_dir(&dev).unwrap();
    let script =
        "mount -t tmpfs -o mode=0755 tmpfs \"$1\" && mknod -m \"$2\" \"$1/fuse\" c 10 229 &&
        mount --bind \"$1/fuse\" /dev/fuse";
    let mut sh = Command::new("sh");
    sh.args(["-e", "-c", script, "sh"]).arg(dev).arg(mode);
    tool("mount", &mut sh);
}

/// Files that the program mounted, and that are unmounted when this goes out of scope.
#[derive(Debug)]
pub struct Shown {
    pub dir: PathBuf,
}

impl Shown {
    /// Mounts with these arguments on a new folder. Only the folder is printed.
    #[track_caller]
    pub fn new(image: &Path, dir: &Path, args: &[&str]) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let shown = Self {
            dir: dir.to_owned(),
        };
        let mount = Program::new([OsStr::new("mount"), image.as_ref(), dir.as_ref()]);
        let outcome = mount.args(args).run().status(0);
        let printed = String::from_utf8(outcome.stdout).unwrap();
        assert_eq!(
            printed,
            format!("{}\n", dir.display()),
            "{}",
            outcome.stderr
        );
        shown
    }

    /// Takes it away by `detach`.
    #[track_caller]
    pub fn end(self) {
        Program::new([OsStr::new("detach"), self.dir.as_ref()])
            .run()
            .done();
        assert!(!is_mounted(&self.dir));
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = umount2(&self.dir, MntFlags::MNT_DETACH);
    }
}

/// Whether something is mounted on a folder, as this thread sees it.
pub fn is_mounted(dir: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let dir = dir.to_str().unwrap();
    mounts
        .lines()
        .any(|line| line.split(' ').nth(4) == Some(dir))
}

/// The program, which mounts in the foreground.
#[derive(Debug)]
pub struct InForeground {
    pub shown: Shown,
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl InForeground {
    /// Starts it, and waits until the files are there.
    #[track_caller]
    pub fn start(image: &Path, dir: &Path, args: &[&str]) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let shown = Shown {
            dir: dir.to_owned(),
        };
        let mut command = Command::new(program::path());
        command.arg("mount").arg(image).arg(dir).args(args);
        command.arg("--foreground").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut foreground = Self {
            shown,
            child,
            stderr,
        };
        if line != format!("{}\n", dir.display()) {
            panic!("{line:?} {:?}", foreground.message());
        }
        foreground
    }

    /// The next line of its messages; empty where there are no more.
    pub fn message(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for its end, and gives how it ended, with the rest of its messages.
    #[track_caller]
    pub fn ended(mut self) -> Outcome {
        let status = ended(&mut self.child);
        let mut stderr = Vec::new();
        std::io::Read::read_to_end(&mut self.stderr, &mut stderr).unwrap();
        let output = std::process::Output {
            status,
            stdout: Vec::new(),
            stderr,
        };
        Outcome::new(output, "mount --foreground".to_owned())
    }
}
