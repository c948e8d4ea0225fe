//! The command line that was typed, once more, for another image or another way to read it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::advice::lex::{Given, Kind, apart, lex};
use crate::advice::options::{READING, known};
use crate::advice::shell::{quoted, shell_word};

/// Options that choose what of a disk is read, and how: another choice replaces them.
const CHOOSING: [&str; 4] = ["snapshot", "layers", "single_layer", "allow_outside"];

/// What was typed.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    /// The words after the program's name, each with what it is.
    words: Vec<(OsString, Kind)>,
    /// Whether IMAGE is the value of an option.
    is_image_an_option: bool,
    /// The IMAGE that a message is about, as it was given.
    image: OsString,
}

impl Typed {
    /// The command line of this process.
    pub(crate) fn here(image: &Path) -> Self {
        let mut words: Vec<_> = std::env::args_os().skip(1).collect();
        // The command gives this word to a server in the background; the user does not.
        words.retain(|word| word != "--in-background");
        Self::of(words, image)
    }

    fn of(words: Vec<OsString>, image: &Path) -> Self {
        let first = words.first().and_then(|word| word.to_str());
        let kinds = lex(&known(first), &words);
        Self {
            is_image_an_option: first == Some("verify"),
            // Each can be left out or exchanged by itself then.
            words: words
                .into_iter()
                .zip(kinds)
                .flat_map(|(word, kind)| apart(word, kind))
                .collect(),
            image: image.into(),
        }
    }

    /// The command that was typed, where there is a word for it.
    pub(crate) fn command(&self) -> Option<&str> {
        let (word, kind) = self.words.first()?;
        word.to_str().filter(|_| *kind == Kind::Command)
    }

    /// Whether this command was typed.
    pub(crate) fn is_command(&self, name: &str) -> bool {
        self.command() == Some(name)
    }

    /// Whether the disk is to boot.
    pub(crate) fn is_for_machine(&self) -> bool {
        self.value("host").is_some_and(|host| host == "kvm")
    }

    /// The last value of an option that was given; `None` for an option that was not, or that has
    /// no value. By the names of the parser, which have underscores.
    pub(crate) fn value(&self, id: &str) -> Option<&OsStr> {
        let places = (0..self.words.len()).rev();
        places.into_iter().find_map(|at| self.value_at(at, id))
    }

    fn value_at(&self, at: usize, id: &str) -> Option<&OsStr> {
        let (word, kind) = self.words.get(at)?;
        let Kind::Option(given) = kind else {
            return None;
        };
        if given.ids.last().is_none_or(|last| last != id) {
            return None;
        }
        match self.words.get(at.saturating_add(1)) {
            Some((next, Kind::Value)) => Some(next),
            _ => given.value(word),
        }
    }

    /// Whether an option was given, with a value or without.
    pub(crate) fn has(&self, id: &str) -> bool {
        let mut kinds = self.words.iter().map(|(_, kind)| kind);
        kinds.any(|kind| matches!(kind, Kind::Option(given) if given.has(id)))
    }

    /// The target that was named, as a shell takes it, or a word that stands for one.
    pub(crate) fn target(&self) -> String {
        match self.target_path() {
            Some(target) => quoted(&target),
            None => "TARGET".to_owned(),
        }
    }

    /// The target that was named, where it is no stream.
    pub(crate) fn target_path(&self) -> Option<PathBuf> {
        let target = self.value("output").filter(|target| *target != "-");
        target.map(PathBuf::from)
    }

    /// IMAGE and every option of reading, for another command that reads the same disk.
    pub(crate) fn what_is_read(&self) -> String {
        let words = self.without(|given| !READING.iter().any(|id| given.has(id)));
        let options = words
            .iter()
            .filter(|(_, kind)| matches!(kind, Kind::Option(_) | Kind::Value));
        let options = options.map(|(word, _)| shell_word(word));
        let image = quoted(self.image());
        let words: Vec<_> = std::iter::once(image).chain(options).collect();
        words.join(" ")
    }

    /// The IMAGE that a message is about, as it was given.
    pub(crate) fn image(&self) -> &Path {
        Path::new(&self.image)
    }

    /// Whether an option that is typed after all the words is one, and the only one of its name.
    pub(super) fn can_be_followed_by(&self, option: &str) -> bool {
        let has_dashes = self.words.iter().any(|(_, kind)| *kind == Kind::Dashes);
        !has_dashes && !self.has(&id_of(option))
    }

    /// The same command with one more option, in the place of the same option with another value.
    pub(crate) fn adding(&self, option: &str) -> String {
        let id = id_of(option);
        let kept = self.without(|given| given.has(&id));
        let mut said = vec!["ploopconv".to_owned()];
        let mut option = Some(option.to_owned());
        for (word, kind) in &kept {
            if *kind == Kind::Dashes {
                // What follows is no option.
                said.extend(option.take());
            }
            said.push(shell_word(word));
        }
        said.extend(option);
        said.join(" ")
    }

    /// The same command with an option in the place of another one.
    pub(crate) fn exchanging(&self, id: &str, option: &str) -> String {
        let words = self.without(|given| given.has(id));
        let rest = Self {
            words,
            ..self.clone()
        };
        rest.adding(option)
    }

    /// The same command without an option, by its name in the parser.
    pub(crate) fn dropping(&self, id: &str) -> String {
        let kept = self.without(|given| given.has(id));
        let words = kept.iter().map(|(word, _)| shell_word(word));
        let said: Vec<_> = std::iter::once("ploopconv".to_owned())
            .chain(words)
            .collect();
        said.join(" ")
    }

    /// The same command for another image, a folder, of which the same is read.
    pub(crate) fn again(&self, folder: &Path) -> String {
        self.replacing(folder, &[], |given| given.has("single_layer"))
    }

    /// The same command for another image, read by these options and not by those that were given.
    pub(crate) fn with(&self, image: &Path, options: &[String]) -> String {
        let chooses = |given: &Given| CHOOSING.iter().any(|id| given.has(id));
        self.replacing(image, options, chooses)
    }

    /// The words for another image, with these options and without those that are not wanted.
    fn replacing(
        &self,
        image: &Path,
        options: &[String],
        is_unwanted: impl Fn(&Given) -> bool,
    ) -> String {
        // Of another image the same name chooses another disk, or none.
        let is_other = image != self.image();
        let words = self.without(|given| is_unwanted(given) || is_other && given.has("disk_name"));
        let mut options = Some(options);
        let mut said = vec!["ploopconv".to_owned()];
        let place = self.place_of_image(&words);
        for (at, (word, kind)) in words.iter().enumerate() {
            let is_image = place == Some(at);
            match kind {
                Kind::Option(given) if is_image => {
                    let name = given.with_value(word, OsStr::new(""));
                    said.push(shell_word(&name) + &quoted(image));
                }
                // What follows is no option.
                Kind::Dashes => {
                    said.extend(options.take().unwrap_or_default().iter().cloned());
                    said.push(shell_word(word));
                }
                _ if is_image => said.push(quoted(image)),
                _ => said.push(shell_word(word)),
            }
            if is_image {
                said.extend(options.take().unwrap_or_default().iter().cloned());
            }
        }
        said.join(" ")
    }

    /// The word that is the image that the message is about, or has it as its value.
    fn place_of_image(&self, words: &[(OsString, Kind)]) -> Option<usize> {
        let mut of_image = false;
        words.iter().position(|(word, kind)| {
            let is_value = std::mem::take(&mut of_image);
            match kind {
                Kind::Option(given) if self.is_image_an_option && given.has("image") => {
                    of_image = true;
                    given.value(word) == Some(&self.image)
                }
                Kind::Value => is_value && *word == self.image,
                Kind::Position => !self.is_image_an_option && *word == self.image,
                _ => false,
            }
        })
    }

    /// The words without some of the options, and their values.
    fn without(&self, is_unwanted: impl Fn(&Given) -> bool) -> Vec<(OsString, Kind)> {
        let mut kept: Vec<(OsString, Kind)> = Vec::new();
        let mut was_unwanted = false;
        for (word, kind) in &self.words {
            was_unwanted = match kind {
                Kind::Option(given) => is_unwanted(given),
                Kind::Value => was_unwanted,
                _ => false,
            };
            if !was_unwanted {
                kept.push((word.clone(), kind.clone()));
            }
        }
        kept
    }
}

/// What the parser calls an option, as `cluster_size` for `--cluster-size 8K`.
fn id_of(option: &str) -> String {
    let name = option.split([' ', '=']).next().unwrap_or_default();
    match name {
        "-f" => "force".to_owned(),
        name => name.trim_start_matches('-').replace('-', "_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(words: &str) -> Typed {
        typed_for(words, "101")
    }

    fn typed_for(words: &str, image: &str) -> Typed {
        let words = words.split(' ').map(OsString::from).collect();
        Typed::of(words, Path::new(image))
    }

    #[test]
    fn another_image_takes_the_place_of_the_first_and_keeps_the_options() {
        let typed = typed("convert 101 -o out.raw --sparse --snapshot old");
        assert_eq!(
            typed.again(Path::new("/vz/a b")),
            "ploopconv convert '/vz/a b' -o out.raw --sparse --snapshot old"
        );
        assert!(typed.is_command("convert") && !typed.is_command("info"));
    }

    #[test]
    fn an_option_that_is_dropped_takes_its_value_along() {
        let typed = typed("-o x --compact 101 --partition 2 -f");
        assert_eq!(
            typed.dropping("compact"),
            "ploopconv -o x 101 --partition 2 -f"
        );
        assert_eq!(
            typed.dropping("partition"),
            "ploopconv -o x --compact 101 -f"
        );
    }

    #[test]
    fn an_option_takes_the_place_of_another() {
        for (given, expected) in [
            ("101 -o x --update", "ploopconv 101 -o x -f"),
            ("-f --update -o x -- 101", "ploopconv -o x -f -- 101"),
            ("101 -fo x --update", "ploopconv 101 -o x -f"),
            ("101 -qfox --update", "ploopconv 101 -q -ox -f"),
        ] {
            assert_eq!(typed(given).exchanging("update", "-f"), expected);
        }
    }

    #[test]
    fn another_image_takes_the_place_of_no_target_and_no_value() {
        for (given, expected) in [
            ("-o 101 101", "ploopconv -o 101 new"),
            ("-o101 101", "ploopconv -o101 new"),
            ("--output=101 101", "ploopconv --output=101 new"),
            ("--snapshot 101 -o x 101", "ploopconv -o x new"),
            ("-o x -- 101", "ploopconv -o x -- new"),
            ("compare 101 102", "ploopconv compare new 102"),
            (
                "verify 101 --against=101",
                "ploopconv verify 101 --against=new",
            ),
            (
                "verify 101 --against 101",
                "ploopconv verify 101 --against new",
            ),
            (
                "verify --against 101 -- 101",
                "ploopconv verify --against new -- 101",
            ),
        ] {
            assert_eq!(typed(given).with(Path::new("new"), &[]), expected);
        }
        let second = typed_for("compare 101 102", "102").with(Path::new("new"), &[]);
        assert_eq!(second, "ploopconv compare 101 new");
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
            let is_first = !given.contains("--cluster-size");
            assert_eq!(typed(given).can_be_followed_by(add), is_first, "{given}");
        }
        let flags = typed("101 --salvage -o a").adding("--salvage");
        assert_eq!(flags, "ploopconv 101 -o a --salvage");
        let sparse = typed("101 --sparse=never -o a").adding("--sparse");
        assert_eq!(sparse, "ploopconv 101 -o a --sparse");
    }

    #[test]
    fn the_choice_of_a_disk_stays_with_its_bundle() {
        for given in ["a.pvm --disk b -o x", "--disk=b a.pvm -o x"] {
            let typed = typed_for(given, "a.pvm");
            let other = typed.with(Path::new("a.pvm/b.hdd"), &["--layers c".to_owned()]);
            assert_eq!(other, "ploopconv a.pvm/b.hdd --layers c -o x");
            let same = typed.with(Path::new("a.pvm"), &["--snapshot c".to_owned()]);
            assert!(
                same.contains("--disk") && same.contains(" --snapshot c"),
                "{same}"
            );
            assert!(typed.what_is_read().contains("--disk"));
        }
    }

    #[test]
    fn no_option_is_added_among_names() {
        let typed = typed("-o a -- 101");
        assert!(!typed.can_be_followed_by("--salvage"));
        assert_eq!(typed.adding("--salvage"), "ploopconv -o a --salvage -- 101");
        assert_eq!(
            typed.with(Path::new("102"), &["--snapshot a".to_owned()]),
            "ploopconv -o a --snapshot a -- 102"
        );
    }

    #[test]
    fn the_target_is_what_was_named() {
        for (given, target) in [
            ("101 -o a.raw --sparse", "a.raw"),
            ("101 -oa.raw", "a.raw"),
            ("101 -o=a.raw", "a.raw"),
            ("101 -qo a.raw", "a.raw"),
            ("101 -qoa.raw", "a.raw"),
            ("101 --output=a.raw", "a.raw"),
            ("--output a.raw 101", "a.raw"),
            ("101 -o -", "TARGET"),
            ("101 --output=-", "TARGET"),
            ("info 101", "TARGET"),
            ("info -- -o", "TARGET"),
        ] {
            assert_eq!(typed(given).target(), target, "{given}");
        }
    }

    #[test]
    fn another_choice_replaces_the_one_that_was_made() {
        for given in [
            "101 --snapshot abc -o x",
            "101 --snapshot=abc -o x",
            "--layers=a,b 101 --allow-outside -o x",
            "--layers a --layers b 101 -o x",
            "101 --single-layer -o x",
        ] {
            assert_eq!(
                typed(given).with(Path::new("101"), &["--snapshot new".to_owned()]),
                "ploopconv 101 --snapshot new -o x"
            );
        }
    }
}
