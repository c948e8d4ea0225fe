//! Options of other programs, and of other commands of this one.

mod table;

use self::table::{HABITS, Habit, Means};
use super::mistake::Mistake;
use super::words::Words;

/// The formats that other programs want to know of an image, in lower case.
pub(super) const DISK_FORMATS: [&str; 14] = [
    "parallels",
    "ploop",
    "raw",
    "qcow2",
    "qcow",
    "vmdk",
    "vdi",
    "vpc",
    "vhd",
    "vhdx",
    "qed",
    "luks",
    "file",
    "img",
];

/// Options that another command has.
pub(super) fn of_another_command(words: &Words, mistake: &mut Mistake) {
    for at in words.unknown() {
        let text = words.text(at);
        let name = text.split('=').next().unwrap_or_default();
        if name == "--update" && words.command().as_deref() == Some("batch") {
            let one = "--update is for one target: name its container and -o TARGET, without batch";
            mistake.says(one.to_owned());
        }
    }
}

/// An option of another program, as it stands in a command line.
struct Met {
    habit: &'static Habit,
    name: &'static str,
    /// The value in the same word.
    joined: Option<String>,
}

fn meet(text: &str, command: &str) -> Option<Met> {
    let of_command = |habit: &&Habit| habit.on.is_empty() || habit.on.contains(&command);
    HABITS.iter().filter(of_command).find_map(|habit| {
        habit.options.iter().find_map(|&name| {
            let rest = text.strip_prefix(name)?;
            let joined = match (name.starts_with("--"), rest) {
                (_, "") => None,
                (true, rest) => Some(rest.strip_prefix('=')?),
                (false, rest) => Some(rest.strip_prefix('=').unwrap_or(rest)),
            };
            (joined.is_none() || habit.has_value).then(|| Met {
                habit,
                name,
                joined: joined.map(str::to_owned),
            })
        })
    })
}

/// Options that other programs have under another name, or that are not needed here.
pub(super) fn habits(words: &mut Words, mistake: &mut Mistake) {
    let command = words.command().unwrap_or_else(|| "convert".to_owned());
    for at in 0..words.len() {
        if !words.is_unknown(at) {
            continue;
        }
        let Some(met) = meet(&words.text(at), &command) else {
            continue;
        };
        let Met {
            habit,
            name,
            joined,
        } = met;
        mistake.says(format!("{name}: {}", habit.says));
        let is_apart = habit.has_value && joined.is_none();
        let value = match joined {
            Some(value) => value,
            None if is_apart => words.text(at + 1).into_owned(),
            None => String::new(),
        };
        if is_apart {
            words.remove(at + 1);
        }
        match habit.means {
            Means::Nothing => words.remove(at),
            Means::Word(word) => words.replace(at, &[word]),
            Means::WithValue(word) => words.replace(at, &[word, &value]),
            Means::Position => words.replace(at, &[&value]),
            Means::Sparse if value.trim_start_matches('0').is_empty() => {
                words.replace(at, &["--sparse=never"]);
            }
            Means::Sparse => words.replace(at, &["--sparse"]),
            Means::Report if value == "json" => words.replace(at, &["--json"]),
            Means::Report => words.remove(at),
            Means::Command(command) if at == 0 => words.replace(0, &[command]),
            Means::Command(command) if words.command().is_some() => {
                words.replace(0, &[command]);
                words.remove(at);
            }
            Means::Command(_) => words.spoil(),
            Means::Snapshot => {
                let known = value.strip_prefix("snapshot.name=");
                let known = known.or(value.strip_prefix("snapshot.id="));
                words.replace(at, &["--snapshot", known.unwrap_or(&value)]);
            }
            Means::Something => words.spoil(),
        }
    }
}

/// `-f parallels`: other programs want to know what an image is.
pub(super) fn formats_of_images(words: &mut Words, mistake: &mut Mistake) {
    for at in 0..words.len() {
        let text = words.text(at).into_owned();
        let option = ["--source-format", "-f", "-F"]
            .into_iter()
            .find(|option| text.starts_with(option));
        let Some(option) = option.filter(|_| words.is_option(at) || words.is_unknown(at)) else {
            continue;
        };
        let next = at + 1;
        let joined = text.strip_prefix(option).unwrap_or_default();
        let joined = joined.strip_prefix('=').unwrap_or(joined);
        let is_apart = joined.is_empty() && words.is_position(next);
        let value = if is_apart {
            words.text(next).into_owned()
        } else {
            joined.to_owned()
        };
        let is_format = DISK_FORMATS.contains(&&*value.to_ascii_lowercase())
            && !(is_apart && std::path::Path::new(&value).exists());
        if !is_format {
            continue;
        }
        let mut line = format!("{option} {value}: what IMAGE is shows in the file itself");
        if option == "-f" && words.is_of_convert() {
            line += "; here -f replaces an existing target";
        }
        mistake.says(line);
        words.remove(at);
        if is_apart {
            words.remove(next);
        }
    }
}

/// `-o cluster_size=64k`: what qemu-img calls options of the format; `-o qcow2`: the format.
pub(super) fn options_of_formats(words: &mut Words, mistake: &mut Mistake) {
    for at in 0..words.len() {
        if words.text(at) == "-of" && DISK_FORMATS.contains(&&*words.text(at + 1)) {
            mistake.says("the format of the target goes after -O");
            words.replace(at, &["-O"]);
        }
        if words.text(at) != "-o" || !words.is_option(at) {
            continue;
        }
        let value = words.text(at + 1).into_owned();
        let is_format = DISK_FORMATS.contains(&&*value) && !words.positions().is_empty();
        if is_format && words.positions().len() > 1 {
            mistake.says("-o names the target; its format goes after -O");
            words.replace(at, &["-O"]);
        }
        let pairs: Option<Vec<_>> = value.split(',').map(|one| one.split_once('=')).collect();
        let is_name = |name: &str| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let Some(pairs) = pairs.filter(|pairs| pairs.iter().all(|(name, _)| is_name(name))) else {
            continue;
        };
        if words.positions().len() < 2 {
            continue;
        }
        mistake.says("-o names the target here, and options have names of their own");
        let mut options = Vec::new();
        for (name, value) in pairs {
            match (name, value) {
                ("cluster_size", size) => {
                    options.extend(["--cluster-size".to_owned(), size.to_ascii_uppercase()]);
                }
                ("compression_type", how) => options.push(format!("--compress={how}")),
                ("compat", "1.1" | "v3") | ("lazy_refcounts" | "preallocation", "off") => {}
                ("preallocation", "full") => options.push("--sparse=never".to_owned()),
                (name, _) => {
                    mistake.says(format!("and there is none like {name}"));
                    words.spoil();
                }
            }
        }
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        words.replace(at, &options);
        words.remove(at + 1);
    }
}
