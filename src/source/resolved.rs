//! Opening a path by the very folders that it names.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

/// Opens an absolute path that has no symbolic link in it, for reading: where one has been put
/// into it since the check, that is an error, and the link is not followed.
///
/// It goes from folder to folder and follows no link. openat2(2) would do the same in one step,
/// but not on the kernels that OpenVZ and Virtuozzo hosts run.
///
/// # Errors
///
/// `ELOOP` or `ENOTDIR` where there is a link now; whatever else the operating system says.
pub(super) fn open_resolved(path: &Path, flags: OFlag) -> io::Result<File> {
    let follow_none = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let folder = OFlag::O_PATH | OFlag::O_DIRECTORY | follow_none;
    let mut at: OwnedFd = openat(AT_FDCWD, "/", folder, Mode::empty())?;
    let mut parts = path.components().peekable();
    if parts.next() != Some(Component::RootDir) {
        return Err(Errno::EINVAL.into());
    }
    while let Some(part) = parts.next() {
        // What was resolved has neither `.` nor `..` in it.
        let Component::Normal(name) = part else {
            return Err(Errno::EINVAL.into());
        };
        if parts.peek().is_none() {
            let file = openat(
                &at,
                name,
                OFlag::O_RDONLY | flags | follow_none,
                Mode::empty(),
            )?;
            return Ok(File::from(file));
        }
        at = openat(&at, name, folder, Mode::empty())?;
    }
    Err(Errno::EISDIR.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    fn open(path: &Path) -> io::Result<File> {
        open_resolved(path, OFlag::O_NONBLOCK)
    }

    #[test]
    fn a_link_that_was_put_in_the_way_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for folder in ["disk/sub", "elsewhere/sub"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
            std::fs::write(dir.join(folder).join("file"), folder).unwrap();
        }
        let path = dir.join("disk/sub/file");
        let mut text = String::new();
        open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "disk/sub");

        std::fs::remove_file(&path).unwrap();
        symlink(dir.join("elsewhere/sub/file"), &path).unwrap();
        let error = open(&path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::ELOOP as i32));

        std::fs::remove_dir_all(dir.join("disk/sub")).unwrap();
        symlink(dir.join("elsewhere/sub"), dir.join("disk/sub")).unwrap();
        let error = open(&path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::ENOTDIR as i32));

        for path in ["/", "relative", "/tmp/../tmp"] {
            open(Path::new(path)).unwrap_err();
        }
    }
}
