//! The command line that was typed, once more, for another image or another way to read it.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::shell_word;

/// Options that choose what of a disk is read, and how: another choice replaces them. Each with
/// whether a value follows.
const CHOOSING: &[(&str, bool)] = &[
    ("--snapshot", true),
    ("--layers", true),
    ("--single-layer", false),
    ("--allow-outside", false),
];

/// What was typed.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    /// The words after the program's name.
    words: Vec<OsString>,
    /// The IMAGE that a message is about, as it was given.
    image: OsString,
}

impl Typed {
    /// The command line of this process.
    pub(crate) fn here(image: &Path) -> Self {
        Self {
            words: std::env::args_os().skip(1).collect(),
            image: image.into(),
        }
    }

    /// The command that was typed, where there is a word for it.
    pub(crate) fn is_command(&self, name: &str) -> bool {
        self.words.first().is_some_and(|word| word == name)
    }

    /// The target that was named, as a shell takes it, or a word that stands for one.
    pub(crate) fn target(&self) -> String {
        let mut words = self.words.iter();
        let target = words.by_ref().find_map(|word| {
            let text = word.to_str()?;
            match text {
                "-o" | "--output" => Some(None),
                _ => text.strip_prefix("--output=").map(Some),
            }
        });
        let target = match target {
            Some(Some(target)) => Some(OsStr::new(target)),
            Some(None) => words.next().map(OsString::as_os_str),
            None => None,
        };
        match target {
            Some(target) if target != "-" => super::quoted(Path::new(target)),
            _ => "TARGET".to_owned(),
        }
    }

    /// The IMAGE that a message is about, as it was given.
    pub(crate) fn image(&self) -> &Path {
        Path::new(&self.image)
    }

    /// The same command with one more option, in the place of the same option with another value.
    pub(crate) fn adding(&self, option: &str) -> String {
        let (name, value) = option.split_once(' ').unwrap_or((option, ""));
        let is_joined = |word: &OsStr| {
            let rest = word.to_str().and_then(|word| word.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with('='))
        };
        let mut said = vec!["ploopconv".to_owned()];
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            if word == name && !value.is_empty() {
                words.next();
            } else if word != name && !is_joined(word) {
                said.push(shell_word(word));
            }
        }
        said.push(option.to_owned());
        said.join(" ")
    }

    /// The same command for another image.
    pub(crate) fn again(&self, image: &Path) -> String {
        self.with(image, &[])
    }

    /// The same command for another image, read by these options and not by those that were given.
    pub(crate) fn with(&self, image: &Path, options: &[String]) -> String {
        let mut new = Some(super::quoted(image));
        let mut said = vec!["ploopconv".to_owned()];
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            if let Some((option, takes_value)) = chooses(word) {
                if takes_value && word == option {
                    words.next();
                }
                continue;
            }
            match new.take_if(|_| *word == self.image) {
                Some(image) => {
                    said.push(image);
                    said.extend(options.iter().cloned());
                }
                None => said.push(shell_word(word)),
            }
        }
        said.join(" ")
    }
}

/// The choosing option that a word is, with or without its value.
fn chooses(word: &OsStr) -> Option<(&'static str, bool)> {
    let text = word.to_str()?;
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    CHOOSING.iter().copied().find(|(option, _)| *option == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(words: &str) -> Typed {
        Typed {
            words: words.split(' ').map(OsString::from).collect(),
            image: "101".into(),
        }
    }

    #[test]
    fn another_image_takes_the_place_of_the_first_and_keeps_the_options() {
        let typed = typed("convert 101 -o out.raw --sparse");
        assert_eq!(
            typed.again(Path::new("/vz/a b")),
            "ploopconv convert '/vz/a b' -o out.raw --sparse"
        );
        assert!(typed.is_command("convert") && !typed.is_command("info"));
    }

    #[test]
    fn an_option_is_added_once() {
        let add = "--cluster-size 8K";
        for given in [
            "101 -o a.qcow2",
            "101 --cluster-size 4K -o a.qcow2",
            "--cluster-size=4K 101 -o a.qcow2",
        ] {
            let expected = "ploopconv 101 -o a.qcow2 --cluster-size 8K";
            assert_eq!(typed(given).adding(add), expected);
        }
        let flags = typed("101 --salvage -o a").adding("--salvage");
        assert_eq!(flags, "ploopconv 101 -o a --salvage");
    }

    #[test]
    fn the_target_is_what_was_named() {
        for (given, target) in [
            ("101 -o a.raw --sparse", "a.raw"),
            ("101 --output=a.raw", "a.raw"),
            ("--output a.raw 101", "a.raw"),
            ("101 -o -", "TARGET"),
            ("info 101", "TARGET"),
        ] {
            assert_eq!(typed(given).target(), target, "{given}");
        }
    }

    #[test]
    fn another_choice_replaces_the_one_that_was_made() {
        for given in [
            "101 --snapshot abc -o x",
            "--layers=a,b 101 --allow-outside -o x",
            "101 --single-layer -o x",
        ] {
            assert_eq!(
                typed(given).with(Path::new("101"), &["--snapshot new".to_owned()]),
                "ploopconv 101 --snapshot new -o x"
            );
        }
    }
}
