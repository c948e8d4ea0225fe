//! A page of the documentation, run: the commands that it shows, and what it says that they print.
//!
//! Commands and output stand in fenced blocks of the kind `console`. A line that begins with `# `
//! is a command for root, one with `$ ` for any user; lines of a here-document, and those after a
//! `\` at the end, belong to it. The lines up to the next command are what it prints, on both
//! outputs. `…` stands for any text, and alone on a line for any number of lines. A command has to
//! succeed, unless the next one is `echo $?`.
//!
//! A comment above the fence gives the block its id, `<!-- block: ID -->`. Tests name the blocks
//! that they run by their ids, so that headings and sentences can change. A block that no test can
//! run is marked `<!-- block: ID (not run) -->`. `pages.rs` checks that every other id is used by a
//! test.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands between the outputs of two commands.
const MARK: char = '\x1e';

/// A command and what it prints.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it is: the page and its line.
    pub place: String,
    /// Whether the page says that it needs root.
    pub root: bool,
    /// As it is given to a shell, with all its lines.
    pub command: String,
    pub prints: Vec<String>,
}

/// A block of commands.
#[derive(Clone, Debug)]
pub struct Block {
    pub id: String,
    /// Whether the page marks it as one that no test can run.
    pub is_run: bool,
    pub steps: Vec<Step>,
}

/// A page, or some of its blocks.
#[derive(Clone, Debug)]
pub struct Guide {
    name: String,
    pub blocks: Vec<Block>,
}

/// The id in a comment above a block, and whether the block is run.
fn id_of(line: &str) -> Option<(&str, bool)> {
    let id = line.strip_prefix("<!-- block: ")?.strip_suffix(" -->")?;
    match id.strip_suffix(" (not run)") {
        Some(id) => Some((id, false)),
        None => Some((id, true)),
    }
}

impl Guide {
    /// The page at a path of the repository.
    #[track_caller]
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(super::repository(path)).unwrap();
        let guide = Self::parse(path, &text);
        assert!(!guide.blocks.is_empty(), "{path} shows no commands");
        guide
    }

    /// Commands, and what they print, that are on no page.
    #[track_caller]
    pub fn of(name: &str, commands: &str) -> Self {
        let fenced = format!("<!-- block: {name} -->\n```console\n{commands}```\n");
        Self::parse(name, &fenced)
    }

    #[track_caller]
    pub fn parse(name: &str, text: &str) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        let mut above = "";
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let comment = id_of(std::mem::replace(&mut above, line));
            let place = format!("{name}:{}", number + 1);
            let Some(fence) = line.trim_start().strip_prefix("```") else {
                assert!(comment.is_none(), "{place}: an id without a block");
                continue;
            };
            let inside: Vec<(usize, &str)> = lines
                .by_ref()
                .take_while(|(_, line)| line.trim() != "```")
                .collect();
            if fence != "console" {
                // Commands in a block of another kind would never be run.
                let prompt = inside.iter().find(|(_, line)| is_command(line));
                assert!(prompt.is_none(), "{place}: no console block");
                continue;
            }
            let (id, is_run) = comment.unwrap_or_else(|| panic!("{place}: a block without an id"));
            let is_new = blocks.iter().all(|block| block.id != id);
            assert!(is_new, "{place}: two blocks have the id {id}");
            let steps = steps(name, &inside);
            assert!(!steps.is_empty(), "{place}: no command");
            let id = id.to_owned();
            blocks.push(Block { id, is_run, steps });
        }
        assert!(id_of(above).is_none(), "{name}: an id without a block");
        let name = name.to_owned();
        Self { name, blocks }
    }

    /// The blocks with these ids, in the order of the page. Each has to be there, and to be one
    /// that is run.
    #[track_caller]
    pub fn blocks(&self, ids: &[&str]) -> Self {
        for id in ids {
            let found = self.blocks.iter().find(|block| block.id == *id);
            let block = found.unwrap_or_else(|| panic!("{} has no block {id}", self.name));
            assert!(block.is_run, "{}: {id} is marked as not run", self.name);
        }
        let mut blocks = self.blocks.clone();
        blocks.retain(|block| ids.contains(&&*block.id));
        let name = self.name.clone();
        Self { name, blocks }
    }

    /// The page for a machine that has something at another path.
    pub fn at(mut self, path: &str, here: &str) -> Self {
        for step in self.blocks.iter_mut().flat_map(|block| &mut block.steps) {
            step.command = step.command.replace(path, here);
            for line in &mut step.prints {
                *line = line.replace(path, here);
            }
        }
        self
    }

    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.blocks.iter().flat_map(|block| &block.steps)
    }

    /// A script for `sh` that runs the commands one after the other, up to the first that fails;
    /// `before` is run first. [`Guide::compare`] reads what it prints.
    pub fn script(&self, before: &str) -> String {
        let mut script = "exec 2>&1\n(set -o pipefail) 2>/dev/null && set -o pipefail\n".to_owned();
        let _ = writeln!(script, "{before}\nprintf '\\036\\n'");
        let steps: Vec<_> = self.steps().collect();
        for (number, step) in steps.iter().enumerate() {
            let next = steps.get(number + 1);
            let asked = next.is_some_and(|next| next.asks_for_status());
            let end = if asked { "" } else { "[ $s = 0 ] || exit $s; " };
            let _ = writeln!(script, "{}", step.command);
            let _ = writeln!(script, "s=$?; printf '\\036%s\\n' $s; {end}(exit $s)");
        }
        script
    }

    /// Compares what the script has printed with the page, and reports all that differs.
    #[track_caller]
    pub fn compare(&self, said: &str) {
        let mut wrong = String::new();
        let mut parts = said.split(MARK);
        let mut last = parts.next().unwrap_or_default();
        let mut steps = self.steps().peekable();
        // After each mark stand the status of the command before and the output of the next one.
        let mut part = parts.next().and_then(|part| part.split_once('\n'));
        while let Some(step) = steps.next() {
            let place = format!("{}: {}", step.place, step.command);
            let Some((_, printed)) = part else {
                let _ = writeln!(wrong, "{place}\nwas not reached: {last}");
                break;
            };
            let found: Vec<&str> = printed.lines().map(str::trim_end).collect();
            if !matches_lines(&step.prints, &found) {
                let page = step.prints.join("\n");
                let found = found.join("\n");
                let _ = writeln!(
                    wrong,
                    "{place}\n--- the page:\n{page}\n--- printed:\n{found}"
                );
            }
            part = parts.next().and_then(|part| part.split_once('\n'));
            let status = part.map_or("none: the shell ended", |(status, _)| status);
            let asked = steps.peek().is_some_and(|next| next.asks_for_status());
            if status != "0" && !asked {
                let _ = writeln!(wrong, "{place}\nstatus {status}: {printed}");
                break;
            }
            last = printed;
        }
        assert!(wrong.is_empty(), "{wrong}");
    }
}

impl Step {
    /// Whether it shows how the command before it ended, which may be badly.
    fn asks_for_status(&self) -> bool {
        self.command.starts_with("echo $?")
    }
}

/// The text of a list, which stands on a page between `<!-- list: ID -->` and
/// `<!-- end of list -->`.
#[track_caller]
pub fn listed(path: &str, id: &str) -> String {
    let text = std::fs::read_to_string(super::repository(path)).unwrap();
    let start = format!("<!-- list: {id} -->\n");
    let list = text.split_once(&start).map(|(_, rest)| rest);
    let list = list.and_then(|rest| rest.split_once("<!-- end of list -->"));
    let (list, _) = list.unwrap_or_else(|| panic!("{path} has no list {id}"));
    list.to_owned()
}

fn is_command(line: &str) -> bool {
    line.starts_with("$ ") || line.starts_with("# ")
}

fn steps(page: &str, lines: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = lines.iter();
    while let Some((number, line)) = lines.next() {
        if !is_command(line) {
            let step = steps.last_mut();
            let step = step.unwrap_or_else(|| panic!("line {}: output first", number + 1));
            step.prints.push(line.trim_end().to_owned());
            continue;
        }
        let mut command = line[2..].to_owned();
        while command.ends_with('\\') {
            let (_, more) = lines.next().expect("a line after the \\");
            command = format!("{command}\n{more}");
        }
        if let Some((_, word)) = command.split_once("<<") {
            let word: String = word
                .trim_start_matches(['-', '\'', '"'])
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            loop {
                let (_, more) = lines.next().expect("the end of the here-document");
                command = format!("{command}\n{more}");
                if more.trim() == word {
                    break;
                }
            }
        }
        steps.push(Step {
            place: format!("{page}:{}", number + 1),
            root: line.starts_with('#'),
            command,
            prints: Vec::new(),
        });
    }
    steps
}

/// Whether lines are those of a page, in which a line of only `…` stands for any number of them.
pub fn matches_lines(page: &[String], found: &[&str]) -> bool {
    match page.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=found.len()).any(|skipped| matches_lines(rest, &found[skipped..]))
        }
        Some((first, rest)) => found
            .split_first()
            .is_some_and(|(line, others)| matches_line(first, line) && matches_lines(rest, others)),
    }
}

/// Whether a line is one of a page, in which `…` stands for any text.
pub fn matches_line(page: &str, found: &str) -> bool {
    let Some((start, rest)) = page.split_once('…') else {
        return page == found;
    };
    let Some(found) = found.strip_prefix(start) else {
        return false;
    };
    let mut ends = found.char_indices().map(|(at, _)| at).chain([found.len()]);
    ends.any(|at| matches_line(rest, &found[at..]))
}

/// A place where a page is run: the file system of this machine, with folders of the test's own
/// where the page wants something, and mounts that only its shell sees and that end with it.
#[derive(Debug)]
pub struct Place {
    root: PathBuf,
    prepare: String,
    before: String,
}

impl Place {
    /// Keeps what it needs in a folder that does not exist yet.
    pub fn new(root: &Path) -> Self {
        std::fs::create_dir(root).unwrap();
        Self {
            root: root.to_owned(),
            prepare: String::new(),
            before: "cd /root".to_owned(),
        }
    }

    /// Shows a file or folder at an absolute path of the page. What is at the path is hidden, and
    /// with a first part that this machine does not have it is made.
    pub fn with(mut self, from: &Path, to: &str) -> Self {
        let (from, kind) = (from.display(), if from.is_dir() { "-d" } else { "-f" });
        let _ = writeln!(self.prepare, "put {kind} '{from}' '{to}'");
        self
    }

    /// Runs shell commands in front of the page's: functions for what the page only supposes.
    pub fn before(mut self, commands: &str) -> Self {
        let _ = write!(self.before, "\n{commands}");
        self
    }

    /// Runs a page as root, and compares what it prints.
    #[track_caller]
    pub fn run(self, guide: &Guide) {
        let script = self.root.join("page");
        std::fs::write(&script, guide.script(&self.before)).unwrap();
        let output = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "bash", "-c"])
            .arg(format!("{PREPARE}\n{}\n{ENTER}", self.prepare))
            .args(["bash".as_ref(), self.root.as_os_str()])
            .arg(super::program::path())
            .env(
                "PATH",
                "/program:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root")
            .env("LC_ALL", "C")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.stderr.is_empty(),
            "{}\n{said}",
            String::from_utf8_lossy(&output.stderr)
        );
        guide.compare(&said);
    }
}

/// Builds a root of everything that is at the root here, but for empty folders of the page's own.
const PREPARE: &str = r#"
set -eu
root=$1/root
mkdir -p "$root"
mount -t tmpfs none "$root"
mkdir "$root/root" "$root/mnt" "$root/program"
cp "$1/page" "$root/"
cp "$2" "$root/program/"
for entry in /*; do
    if [[ -h $entry ]]; then
        cp -P "$entry" "$root/"
    elif [[ -d $entry && ! -e $root$entry ]]; then
        mkdir "$root$entry"
        mount --rbind "$entry" "$root$entry"
    fi
done
put() { # put -d|-f FROM TO
    if [[ $1 == -d ]]; then mkdir -p "$root$3"; else mkdir -p "$root${3%/*}" && : >"$root$3"; fi
    mount --bind "$2" "$root$3"
}
"#;
/// By pivot_root, because the kernel makes no user namespace for what was only put below a chroot.
const ENTER: &str = r#"
mkdir "$root/.before"
cd "$root"
pivot_root . .before
cd /
umount --lazy /.before
rmdir /.before
exec bash /page
"#;
