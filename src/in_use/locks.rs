//! Locks that say that somebody writes.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};

use super::process::{Process, process};
use super::watched::Identity;

/// The programs that hold such a lock on a file.
pub(super) fn for_writing(proc: &Path, path: &Path, (device, inode): Identity) -> Vec<Process> {
    let Ok(locks) = std::fs::read_to_string(proc.join("locks")) else {
        return Vec::new();
    };
    // The kernel names the device of the file system, which on btrfs and overlayfs is not the
    // device that stat(2) gives.
    let mounts = std::fs::read(proc.join("self/mountinfo")).unwrap_or_default();
    let real = path.canonicalize();
    let device = real
        .ok()
        .and_then(|real| device_of(&mounts, &real))
        .unwrap_or_else(|| (major(device), minor(device)));
    locks
        .lines()
        .filter_map(Lock::parse)
        .filter(|lock| (lock.device, lock.inode) == (device, inode) && lock.says_writing())
        .map(|lock| match lock.pid {
            Some(pid) => process(proc, pid),
            // Every program that has this open file holds it, and that may be many.
            None => Process {
                id: None,
                name: String::new(),
            },
        })
        .collect()
}

/// A line of `/proc/locks` (proc_locks(5)) that is no waiter.
#[derive(Debug, PartialEq, Eq)]
struct Lock {
    /// Whether it covers a range of the file; flock(2) covers all of it.
    ranged: bool,
    exclusive: bool,
    pid: Option<u32>,
    /// Major and minor number.
    device: (u64, u64),
    inode: u64,
    start: u64,
    /// The last byte.
    end: u64,
}

impl Lock {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let _number = words.next()?;
        // A waiter has an arrow in this place.
        let ranged = match words.next()? {
            "POSIX" | "OFDLCK" => true,
            "FLOCK" => false,
            _ => return None,
        };
        let _advisory = words.next()?;
        let exclusive = words.next()? == "WRITE";
        let pid = words.next()?.parse().ok();
        let mut place = words.next()?.split(':');
        let hex = |text: Option<&str>| u64::from_str_radix(text?, 16).ok();
        let device = (hex(place.next())?, hex(place.next())?);
        let inode = place.next()?.parse().ok()?;
        let start = words.next()?.parse().ok()?;
        let end = words.next()?.parse().unwrap_or(u64::MAX); // the word EOF
        Some(Self {
            ranged,
            exclusive,
            pid,
            device,
            inode,
            start,
            end,
        })
    }

    /// QEMU says what it does with an image by shared locks on single bytes (file-posix.c): those
    /// from 100 on are what it may do, where 101 is writing and 103 resizing; those from 200 on
    /// are what others may not do. libploop (8.0.59 and later) takes all of 200 to 204, and 300
    /// to 304 for what takes long: other programs may not even read. A QEMU that only reads lets
    /// others read.
    fn says_writing(&self) -> bool {
        let within = |from: u64| self.start >= from && self.end <= from + 4;
        let covers = |byte: u64| self.start <= byte && byte <= self.end;
        self.exclusive
            || self.ranged
                && (within(100) && (covers(101) || covers(103))
                    || within(200) && covers(200)
                    || within(300))
    }
}

/// The device of the file system that a path without links lies on, by `/proc/self/mountinfo`
/// (proc_pid_mountinfo(5)).
fn device_of(mountinfo: &[u8], path: &Path) -> Option<(u64, u64)> {
    let mut found: Option<(usize, (u64, u64))> = None;
    for line in mountinfo.split(|&byte| byte == b'\n') {
        let mut words = line.split(|&byte| byte == b' ');
        let (Some(device), Some(dir)) = (words.nth(2), words.nth(1)) else {
            continue;
        };
        let dir = unescaped(dir);
        let Some(device) = std::str::from_utf8(device).ok().and_then(|device| {
            let (major, minor) = device.split_once(':')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        }) else {
            continue;
        };
        let depth = dir.as_os_str().len();
        // What was mounted later in the same place hides what was there.
        if path.starts_with(&dir) && found.is_none_or(|(before, _)| depth >= before) {
            found = Some((depth, device));
        }
    }
    found.map(|(_, device)| device)
}

/// White space in a path is written as a backslash and three octal digits.
fn unescaped(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| byte == b'\\');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says_writing(line: &str) -> bool {
        Lock::parse(line).is_some_and(|lock| lock.says_writing())
    }

    #[test]
    fn those_who_write_are_told_from_those_who_read() {
        for line in [
            "1: POSIX  ADVISORY  WRITE 77 fd:01:12 0 EOF",
            "2: FLOCK  ADVISORY  WRITE 77 fd:01:12 0 EOF",
            // QEMU, open for writing: 100 and 101 are one range of the kernel's.
            "3: OFDLCK ADVISORY  READ -1 fd:01:12 100 101",
            "4: OFDLCK ADVISORY  READ -1 fd:01:12 103 103",
            // libploop.
            "5: POSIX  ADVISORY  READ 77 fd:01:12 200 204",
            "6: POSIX  ADVISORY  READ 77 fd:01:12 300 304",
        ] {
            assert!(says_writing(line), "{line}");
        }
        for line in [
            "1: POSIX  ADVISORY  READ 77 fd:01:12 0 EOF",
            "2: FLOCK  ADVISORY  READ 77 fd:01:12 0 EOF",
            // QEMU, reading.
            "3: OFDLCK ADVISORY  READ -1 fd:01:12 100 100",
            "4: OFDLCK ADVISORY  READ -1 fd:01:12 201 201",
            "5: OFDLCK ADVISORY  READ -1 fd:01:12 203 203",
            "6: LEASE  ACTIVE    WRITE 77 fd:01:12 0 EOF",
            // A waiter.
            "7: -> POSIX  ADVISORY  WRITE 77 fd:01:12 0 EOF",
            "",
            "nonsense",
        ] {
            assert!(!says_writing(line), "{line}");
        }
    }

    #[test]
    fn a_line_is_read_whole() {
        let lock = Lock::parse("12: OFDLCK ADVISORY  READ -1 103:0a:99 100 101").unwrap();
        assert_eq!((lock.device, lock.inode), ((0x103, 0x0a), 99));
        assert_eq!((lock.start, lock.end, lock.pid), (100, 101, None));
    }

    #[test]
    fn the_mount_that_is_seen_says_the_device() {
        let mounts = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            30 22 0:41 / /vz rw - btrfs /dev/sdb rw\n\
            31 22 0:42 / /vz rw - btrfs /dev/sdc rw\n\
            32 22 0:43 / /vz/my\\040disk rw - tmpfs tmpfs rw\n";
        let device = |path: &str| device_of(mounts, Path::new(path));
        assert_eq!(device("/etc/passwd"), Some((8, 1)));
        assert_eq!(device("/vz/root.hdd"), Some((0, 42)));
        assert_eq!(device("/vzx/root.hdd"), Some((8, 1)));
        assert_eq!(device("/vz/my disk/root.hdd"), Some((0, 43)));
        assert_eq!(device_of(b"", Path::new("/")), None);
    }
}
