//! Bad sectors without a bad device: a library in front of the C library that fails reads, for our
//! program and for any other.

use crate::Program;
use crate::tools::tool;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fails every read that touches a bad sector of a file whose name ends so, as a kernel does: read
/// through the page cache the whole page fails, read past it only the sector.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_bad(int fd, size_t len, off_t offset) {
    const char *name = getenv("BAD_FILE"), *sectors = getenv("BAD_SECTORS");
    char link[64], path[4096];
    if (!name || !sectors || len == 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < (ssize_t)strlen(name)) return 0;
    path[n] = 0;
    if (strcmp(path + n - strlen(name), name)) return 0;
    off_t unit = fcntl(fd, F_GETFL) & O_DIRECT ? 512 : 4096;
    off_t from = offset / unit * unit, to = (offset + (off_t)len + unit - 1) / unit * unit;
    while (*sectors) {
        off_t at = strtoll(sectors, (char **)&sectors, 10) * 512;
        if (at + 512 > from && at < to) return 1;
        while (*sectors == ' ') sectors++;
    }
    return 0;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name);

ssize_t pread64(int fd, void *buf, size_t len, off64_t offset) {
    REAL(ssize_t, "pread64", int, void *, size_t, off64_t)
    if (is_bad(fd, len, offset)) { errno = EIO; return -1; }
    return real(fd, buf, len, offset);
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset) { return pread64(fd, buf, len, offset); }

ssize_t read(int fd, void *buf, size_t len) {
    REAL(ssize_t, "read", int, void *, size_t)
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at >= 0 && is_bad(fd, len, at)) { errno = EIO; return -1; }
    return real(fd, buf, len);
}

long syscall(long number, ...) {
    REAL(long, "syscall", long, ...)
    va_list list;
    va_start(list, number);
    long a[6];
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_copy_file_range && a[1] && is_bad(a[0], a[4], *(off64_t *)a[1])) {
        errno = EIO;
        return -1;
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

ssize_t copy_file_range(int in, off64_t *off_in, int out, off64_t *off_out, size_t len,
                        unsigned flags) {
    return syscall(SYS_copy_file_range, in, off_in, out, off_out, len, flags);
}
"#;

/// Sectors of 512 bytes of a file that cannot be read.
#[derive(Debug)]
pub struct BadSectors {
    library: PathBuf,
    name: String,
    sectors: String,
}

impl BadSectors {
    /// Of the file with this name, whatever its folder.
    pub fn of(folder: &Path, name: &str, sectors: &[u64]) -> Self {
        let source = folder.join("bad_sectors.c");
        let library = folder.join("bad_sectors.so");
        std::fs::write(&source, SHIM).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]);
        tool("gcc", cc.arg(&library).arg(&source));
        let sectors = sectors.iter().fold(String::new(), |mut text, sector| {
            let _ = write!(text, "{sector} ");
            text
        });
        Self {
            library,
            name: format!("/{name}"),
            sectors,
        }
    }

    /// Our program meets them.
    pub fn met_by(&self, program: Program) -> Program {
        let environment = self.environment().into_iter();
        environment.fold(program, |program, (key, value)| program.env(key, value))
    }

    /// Another program that meets them.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment());
        command
    }

    fn environment(&self) -> [(&str, &OsStr); 3] {
        [
            ("LD_PRELOAD", self.library.as_os_str()),
            ("BAD_FILE", self.name.as_ref()),
            ("BAD_SECTORS", self.sectors.as_ref()),
        ]
    }
}
