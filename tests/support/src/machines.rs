//! A container's disk that changes between one snapshot and the next, to be made into a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::divided::{MIB, Raw};
use super::hints::quoted;
use super::kernels::{RELEASE, container, initramfs, kernel, with_kernel};
use super::tools::tool;
use super::updates::killed;
use super::{Chain, ChainBuilder, Fill, ImageBuilder, Outcome, SourceGuard, program};

const CLUSTER: usize = 64 << 10;

/// A disk in three layers, and what a machine of it starts with. In each layer other files are
/// there, other changes of the first boot follow, and old blocks are left behind.
pub struct Machine {
    pub raw: Raw,
    pub chain: Chain,
    pub kernel: PathBuf,
}

impl Machine {
    pub fn new() -> Self {
        let raw = container("ext4");
        let states = states(&raw);
        Self::of(raw, &states)
    }

    /// Of a disk in these states.
    pub fn of(raw: Raw, states: &[Vec<u8>]) -> Self {
        let chain = layered(states).write(&raw.scratch.source().join("101"));
        let boot = raw.scratch.path().join("boot");
        let kernel = kernel(&boot, true);
        initramfs(&boot);
        Self { raw, chain, kernel }
    }

    /// Converts the disk to `target`, for a machine.
    pub fn run(&self, target: &Path, options: &[&str]) -> Outcome {
        let run = with_kernel(&self.chain.dir, target, &self.kernel);
        run.directory(self.raw.scratch.out()).args(options).run()
    }

    /// Converts snapshot `number`.
    #[track_caller]
    pub fn first(&self, number: usize, target: &Path, options: &[&str]) {
        let snapshot = ["--snapshot", &self.chain.guids[number]];
        self.run(target, &[&snapshot[..], options].concat())
            .status(0);
    }

    /// What a conversion of snapshot `number` makes, as a raw disk.
    #[track_caller]
    pub fn fresh(&self, number: usize) -> PathBuf {
        let target = self.raw.scratch.path().join(format!("fresh-{number}.raw"));
        let snapshot = ["--snapshot", &self.chain.guids[number], "--no-state", "-f"];
        self.run(&target, &snapshot).status(0);
        target
    }

    /// The initramfs beside the kernel.
    pub fn initrd(&self) -> PathBuf {
        self.kernel.with_file_name(format!("initrd.img-{RELEASE}"))
    }

    /// The command that does it, as a user types it.
    pub fn line(&self, target: &Path, options: &str) -> String {
        let [dir, target, kernel] = [&self.chain.dir, target, &self.kernel].map(quoted);
        format!("ploopconv {dir} -o {target} --for kvm --modules none --kernel {kernel} {options}")
    }

    /// Ends updates of `target` at random moments, each time followed by one that is left alone,
    /// and then by `ended`; `begin` brings back what an earlier conversion made.
    pub fn killed(&self, target: &Path, options: &[&str], begin: impl Fn(), ended: impl Fn(&str)) {
        let _guard = SourceGuard::new(&self.chain.dir);
        let start = || {
            let mut update = Command::new(program::path());
            update.current_dir(self.raw.scratch.out());
            update.arg(&self.chain.dir).arg("-o").arg(target);
            update.args(["--for", "kvm", "--modules", "none", "--kernel"]);
            update.arg(&self.kernel).args(["--update", "-q"]);
            let update = update.args(options).stderr(Stdio::null());
            update.spawn().unwrap()
        };
        let again = |what: &str| {
            assert!(start().wait().unwrap().success(), "{what}");
            ended(what);
        };
        begin();
        again("left alone");
        killed(8, begin, start, |_| {}, again);
    }

    pub fn out(&self, name: &str) -> PathBuf {
        self.raw.scratch.out().join(name)
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// Three states of a disk whose file system begins at 1 MiB.
pub fn states(raw: &Raw) -> Vec<Vec<u8>> {
    let whole = || fs::read(&raw.path).unwrap();
    let before = whole();
    let fstab = "/dev/simfs / simfs defaults 0 0\ntmpfs /srv/one tmpfs size=1m 0 0\n";
    write(raw, "etc", "fstab", fstab.as_bytes());
    write(raw, "srv", "one", &vec![0x11; 1_500_000]);
    let between = whole();
    debugfs(raw, &["rm srv/data"]);
    let fstab = format!("{fstab}tmpfs /srv/two tmpfs size=2m 0 0\n");
    write(raw, "etc", "fstab", fstab.as_bytes());
    write(raw, "srv", "two", &vec![0x22; 2_500_000]);
    vec![before, between, whole()]
}

/// Writes a file of the file system at 1 MiB, in the place of one of its name.
pub fn write(raw: &Raw, folder: &str, name: &str, bytes: &[u8]) {
    let file = raw.scratch.path().join("file");
    fs::write(&file, bytes).unwrap();
    let remove = format!("rm {folder}/{name}");
    let write = format!("write {} {name}", file.display());
    debugfs(raw, &[&remove, &format!("cd {folder}"), &write]);
}

/// Lets `debugfs` work on the file system at 1 MiB.
pub fn debugfs(raw: &Raw, requests: &[&str]) {
    let script = raw.scratch.path().join("requests");
    fs::write(&script, requests.join("\n") + "\n").unwrap();
    let mut debugfs = Command::new("debugfs");
    debugfs.arg("-w").arg("-f").arg(&script);
    let device = format!("{}?offset={MIB}", raw.path.display());
    tool("e2fsprogs", debugfs.arg(device));
}

/// A chain of these states, base first: each layer stores the clusters that have changed.
pub fn layered(states: &[Vec<u8>]) -> ChainBuilder {
    let mut below: &[u8] = &[];
    let mut chain: Option<ChainBuilder> = None;
    for state in states {
        let image = ImageBuilder::v2().cluster_sectors(128);
        let mut image = image.sectors(state.len() as u64 / 512);
        for (number, cluster) in state.chunks(CLUSTER).enumerate() {
            let at = number * CLUSTER;
            let was = below.get(at..at + cluster.len());
            let stays = match was {
                Some(was) => was == cluster,
                None => cluster.iter().all(|byte| *byte == 0),
            };
            if !stays {
                image = image.fill(number as u32, Fill::Bytes(cluster.to_vec()));
            }
        }
        chain = Some(match chain {
            None => ChainBuilder::base(&image),
            Some(chain) => chain.child(&image),
        });
        below = state;
    }
    chain.unwrap()
}

/// A target and what is known of it, as they are now.
pub struct Saved {
    pairs: Vec<(PathBuf, PathBuf)>,
}

impl Saved {
    pub fn of(machine: &Machine, target: &Path, state: &Path) -> Self {
        let folder = machine.raw.scratch.path().join("saved");
        fs::create_dir_all(&folder).unwrap();
        let pairs = [target, state].map(Path::to_owned).map(|file| {
            let copy = folder.join(file.file_name().unwrap());
            copy_all(&file, &copy);
            (file, copy)
        });
        Self {
            pairs: pairs.into(),
        }
    }

    pub fn restore(&self) {
        for (file, copy) in &self.pairs {
            copy_all(copy, file);
        }
    }
}

/// With times and holes.
fn copy_all(from: &Path, to: &Path) {
    let mut cp = Command::new("cp");
    cp.args(["--preserve=timestamps", "--sparse=always"]);
    tool("coreutils", cp.arg(from).arg(to));
}
