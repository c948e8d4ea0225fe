//! Which paths are made, each once.

use crate::tree::Resolved;

/// The paths in their order, without those that lie in another one.
pub(super) fn outermost(paths: &[Resolved]) -> Vec<&Resolved> {
    let mut sorted: Vec<_> = paths.iter().collect();
    // By names, so that what lies in a directory comes after it.
    sorted.sort_by_key(|path| names(&path.path));
    let mut kept: Vec<&Resolved> = Vec::new();
    for path in sorted {
        let is_in = |outer: &&Resolved| names(&path.path).starts_with(&names(&outer.path));
        if !kept.last().is_some_and(is_in) {
            kept.push(path);
        }
    }
    kept
}

/// The names of a path; none of the root.
pub(super) fn names(path: &[u8]) -> Vec<&[u8]> {
    let names = path.split(|byte| *byte == b'/');
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(paths: &[&str]) -> String {
        let resolved = paths.iter().map(|path| Resolved {
            inode: 0,
            path: path.as_bytes().to_vec(),
        });
        let resolved: Vec<_> = resolved.collect();
        let kept = outermost(&resolved).into_iter();
        let texts = kept.map(|path| String::from_utf8(path.path.clone()).unwrap());
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_lies_in_another_path_is_made_with_that() {
        assert_eq!(kept(&["b", "a/x", "a", "a", "a.d", "a/x/y"]), "a a.d b");
        assert_eq!(kept(&["a", "", "b"]), "");
        assert_eq!(kept(&["ab", "a"]), "a ab");
    }
}
