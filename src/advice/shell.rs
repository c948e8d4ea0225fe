//! Words of a command line as a shell takes them.

use std::ffi::OsStr;
use std::path::Path;

use ploopconv::util::text;

/// A path as a shell and this program take it.
pub(crate) fn quoted(path: &Path) -> String {
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return quoted(&Path::new(".").join(path));
    }
    shell_word(path.as_os_str())
}

/// A word of a command line as a shell takes it.
pub(crate) fn shell_word(word: &OsStr) -> String {
    text::shell_word(&word.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_pasted_into_a_shell() {
        assert_eq!(quoted(Path::new("/vz/private/101")), "/vz/private/101");
        assert_eq!(quoted(Path::new("my disk's")), r"'my disk'\''s'");
        assert_eq!(quoted(Path::new("-o")), "./-o");
        assert_eq!(quoted(Path::new("root.hdd.{a}")), "'root.hdd.{a}'");
    }
}
