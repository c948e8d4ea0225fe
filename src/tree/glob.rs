//! Patterns for the names of files in a tree, for people whose shell does not see it.

use glob::{MatchOptions, Pattern};

use super::path::names;
use super::{Ancestors, FileType, LastLink, PathError, Tree, resolve, sorted_entries};
use crate::error::Result;

/// As a shell matches one name of a path: `*` does not begin with the dot of a hidden name.
const AS_A_SHELL: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: false,
    require_literal_leading_dot: true,
};

/// The paths that a pattern stands for, by their bytes.
///
/// `*`, `?` and `[…]` are as in a shell, inside one name; `**` as a whole name stands for any
/// number of directories, none too. Hidden names have to begin with a dot in the pattern as well.
/// A path that exists as it was typed stands for itself, and so does a path without such signs,
/// whether it exists or not.
///
/// # Errors
///
/// [`PathError::NoMatch`], and what the tree says.
pub fn expand(tree: &dyn Tree, pattern: &[u8]) -> Result<Vec<Vec<u8>>> {
    let is_plain = !pattern.iter().any(|byte| b"*?[".contains(byte));
    if is_plain || resolve(tree, pattern, LastLink::Keep).is_ok() {
        return Ok(vec![pattern.to_vec()]);
    }
    let start = if pattern.starts_with(b"/") { "/" } else { "" };
    let mut found = vec![start.as_bytes().to_vec()];
    for name in names(pattern) {
        let mut next = Vec::new();
        for folder in &found {
            descend(tree, folder, &name, &mut next)?;
        }
        next.sort_unstable();
        // `**` twice finds everything many times.
        next.dedup();
        found = next;
    }
    if pattern.ends_with(b"/") {
        found.iter_mut().for_each(|path| path.push(b'/'));
    }
    // A directory that `**` leaves out has no names in it; what a link leads to may not be there.
    found.retain(|path| !path.is_empty() && resolve(tree, path, LastLink::Keep).is_ok());
    if found.is_empty() {
        return Err(PathError::NoMatch(pattern.to_vec()).into());
    }
    Ok(found)
}

/// Adds what one name of a pattern stands for in `folder` to `found`.
fn descend(tree: &dyn Tree, folder: &[u8], name: &[u8], found: &mut Vec<Vec<u8>>) -> Result<()> {
    let pattern = (name.iter().any(|byte| b"*?[".contains(byte)))
        .then(|| Pattern::new(&letters(name)).ok())
        .flatten();
    // What is no pattern after all, as `[`, is a name.
    let Some(pattern) = pattern else {
        found.push(below(folder, name));
        return Ok(());
    };
    let Ok(start) = resolve(tree, folder, LastLink::Follow) else {
        return Ok(());
    };
    if name == b"**" {
        return every_folder(tree, start.inode, folder, found);
    }
    let node = tree.node(start.inode)?;
    let (entries, problem) = sorted_entries(&*node);
    if let Some(problem) = problem {
        return Err(problem);
    }
    let fits = entries.iter().map(|entry| &entry.name);
    let fits = fits.filter(|name| pattern.matches_with(&letters(name), AS_A_SHELL));
    found.extend(fits.map(|name| below(folder, name)));
    Ok(())
}

/// Adds `folder` and every directory below it; links are not followed.
fn every_folder(
    tree: &dyn Tree,
    inode: u64,
    folder: &[u8],
    found: &mut Vec<Vec<u8>>,
) -> Result<()> {
    let mut seen = Ancestors::default();
    let mut todo = vec![(inode, folder.to_vec())];
    while let Some((inode, path)) = todo.pop() {
        seen.enter(inode)?;
        let node = tree.node(inode)?;
        if node.metadata().file_type != FileType::Directory {
            continue;
        }
        let (entries, problem) = sorted_entries(&*node);
        if let Some(problem) = problem {
            return Err(problem);
        }
        let may_be = |file_type| matches!(file_type, None | Some(FileType::Directory));
        let folders = entries
            .iter()
            .filter(|entry| may_be(entry.file_type) && !entry.name.starts_with(b"."));
        todo.extend(folders.map(|entry| (entry.inode, below(&path, &entry.name))));
        found.push(path);
    }
    Ok(())
}

fn below(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let slash = !folder.is_empty() && folder != b"/";
    [folder, if slash { b"/" } else { b"" }, name].concat()
}

/// A name as text, so that `?` stands for a letter of several bytes. A byte that is no UTF-8 is
/// one of the last characters of all, which no name has, so that `*` and `?` fit it too.
fn letters(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text += chunk.valid();
        let bytes = chunk.invalid().iter();
        text.extend(bytes.filter_map(|byte| char::from_u32(0x0010_ff00 | u32::from(*byte))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testing::Memory;

    fn tree() -> Memory {
        let mut tree = Memory::new();
        for path in [
            "etc/passwd",
            "etc/passwd-",
            "etc/.pwd.lock",
            "etc/a.d/x.conf",
            "etc/a.d/deep/y.conf",
            "etc/ä",
            "odd/[x]",
            "odd/x",
            "odd/*",
            "odd/[",
            "usr/lib/one.so",
            ".hidden/z.conf",
        ] {
            tree.file(path, b"");
        }
        let latin = tree.file("latin/x", b"");
        let folder = tree.folder("latin");
        tree.enter_raw(folder, b"caf\xe9", latin);
        tree.link("lib", "usr/lib");
        tree.link("dangling", "nowhere");
        tree
    }

    fn found(pattern: &str) -> String {
        match expand(&tree(), pattern.as_bytes()) {
            Ok(paths) => paths
                .iter()
                .map(|path| String::from_utf8_lossy(path).into_owned())
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_pattern_stands_for_the_names_that_a_shell_would_find() {
        for (pattern, expected) in [
            ("etc/passwd", "etc/passwd"),
            ("missing", "missing"),
            ("etc/pass*", "etc/passwd etc/passwd-"),
            ("/etc/pass*", "/etc/passwd /etc/passwd-"),
            ("etc/passwd?", "etc/passwd-"),
            ("etc/?", "etc/ä"),
            ("etc/.p*", "etc/.pwd.lock"),
            ("etc/*.lock", "no file in the image fits etc/*.lock"),
            ("e*/[!a-o]*wd", "etc/passwd"),
            ("lib/*.so", "lib/one.so"),
            ("**/*.conf", "etc/a.d/deep/y.conf etc/a.d/x.conf"),
            ("etc/**/y.conf", "etc/a.d/deep/y.conf"),
            ("**/passwd", "etc/passwd"),
            ("etc/*/", "etc/a.d/"),
            ("latin/caf?", "latin/caf\u{fffd}"),
            ("d*", "dangling"),
            ("*/*/*/*/*", "no file in the image fits */*/*/*/*"),
            ("etc/passwd/*", "no file in the image fits etc/passwd/*"),
            ("../*tc", "../etc"),
            ("/", "/"),
        ] {
            assert_eq!(found(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn a_name_that_exists_wins_over_a_pattern() {
        assert_eq!(found("odd/[x]"), "odd/[x]");
        assert_eq!(found("odd/*"), "odd/*");
        assert_eq!(found("odd/["), "odd/[");
        assert_eq!(found("od?/["), "odd/[");
        assert_eq!(found("od?/[x]"), "odd/x");
    }

    #[test]
    fn directories_in_a_circle_are_an_error_and_no_hang() {
        let mut tree = tree();
        let inner = tree.folder("etc/a.d");
        let outer = tree.folder("etc");
        tree.enter_raw(inner, b"again", outer);
        let error = expand(&tree, b"**/passwd").unwrap_err();
        assert_eq!(error.code(), "file-system");
    }
}
