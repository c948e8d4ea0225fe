//! A page of the documentation, run: the commands that it shows, and what it says that they print.
//!
//! Commands and output stand in fenced blocks of the kind `console`. A line that begins with `# ` is
//! a command for root, one with `$ ` for anybody; lines of a here-document, and those behind a `\` at
//! the end, belong to it. The lines up to the next command are what it prints, on both outputs.
//! `…` stands for any text, and alone on a line for any number of lines. A command has to succeed,
//! unless the next one is `echo $?`.
//!
//! A further word behind `console` says that the block needs something special; who runs the page
//! names the words of the blocks that are run elsewhere, or nowhere.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands between the outputs of two commands.
const MARK: char = '\x1e';

/// A command and what it prints.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Where it is: the page and its line.
    pub(crate) place: String,
    /// Whether the page says that it needs root.
    pub(crate) root: bool,
    /// As it is given to a shell, with all its lines.
    pub(crate) command: String,
    pub(crate) prints: Vec<String>,
}

/// A block of commands.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The last heading above it.
    pub(crate) heading: String,
    /// What its fence says behind `console`.
    pub(crate) word: Option<String>,
    pub(crate) steps: Vec<Step>,
}

/// A page, or some of its blocks.
#[derive(Clone, Debug)]
pub(crate) struct Guide {
    name: String,
    pub(crate) blocks: Vec<Block>,
}

impl Guide {
    /// The page at a path of the repository.
    #[track_caller]
    pub(crate) fn read(path: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let guide = Self::parse(path, &std::fs::read_to_string(file).unwrap());
        assert!(!guide.blocks.is_empty(), "{path} shows no commands");
        guide
    }

    #[track_caller]
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        let mut heading = String::new();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let Some(fence) = line.trim_start().strip_prefix("```") else {
                if line.starts_with('#') {
                    line.trim_start_matches('#').trim().clone_into(&mut heading);
                }
                continue;
            };
            let inside: Vec<(usize, &str)> = lines
                .by_ref()
                .take_while(|(_, line)| line.trim() != "```")
                .collect();
            let mut words = fence.split_whitespace();
            if words.next() != Some("console") {
                // Commands in a block of another kind would never be run.
                let prompt = inside.iter().find(|(_, line)| is_command(line));
                assert!(prompt.is_none(), "{name}:{}: no console block", number + 1);
                continue;
            }
            let steps = steps(name, &inside);
            assert!(!steps.is_empty(), "{name}:{}: no command", number + 1);
            blocks.push(Block {
                heading: heading.clone(),
                word: words.next().map(str::to_owned),
                steps,
            });
        }
        let name = name.to_owned();
        Self { name, blocks }
    }

    /// The blocks below a heading.
    #[track_caller]
    pub(crate) fn below(&self, heading: &str) -> Self {
        self.only(heading, |block| block.heading == heading)
    }

    /// The blocks whose fence says this word.
    #[track_caller]
    pub(crate) fn marked(&self, word: &str) -> Self {
        self.marked_any(&[word])
    }

    /// The blocks whose fence says one of these words.
    #[track_caller]
    pub(crate) fn marked_any(&self, words: &[&str]) -> Self {
        let any = |word: &String| words.contains(&&**word);
        self.only(&words.join(", "), |block| {
            block.word.as_ref().is_some_and(any)
        })
    }

    /// The page for a machine that has something at another path.
    pub(crate) fn at(mut self, path: &str, here: &str) -> Self {
        for step in self.blocks.iter_mut().flat_map(|block| &mut block.steps) {
            step.command = step.command.replace(path, here);
            for line in &mut step.prints {
                *line = line.replace(path, here);
            }
        }
        self
    }

    /// The blocks without a word. Those that have one have to have one of `elsewhere`, and each of
    /// these has to be there.
    #[track_caller]
    pub(crate) fn unmarked(&self, elsewhere: &[&str]) -> Self {
        let mut words: Vec<&str> = self.words();
        words.sort_unstable();
        words.dedup();
        let mut allowed = elsewhere.to_vec();
        allowed.sort_unstable();
        assert_eq!(words, allowed, "words of the blocks of {}", self.name);
        self.only("no word", |block| block.word.is_none())
    }

    fn words(&self) -> Vec<&str> {
        let words = self.blocks.iter().filter_map(|block| block.word.as_deref());
        words.collect()
    }

    #[track_caller]
    fn only(&self, what: &str, keep: impl Fn(&Block) -> bool) -> Self {
        let blocks: Vec<_> = self.blocks.iter().filter(|b| keep(b)).cloned().collect();
        assert!(!blocks.is_empty(), "{} has no block: {what}", self.name);
        let name = self.name.clone();
        Self { name, blocks }
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.blocks.iter().flat_map(|block| &block.steps)
    }

    /// A script for `sh` that runs the commands one after the other, up to the first that fails;
    /// `before` is run first. [`Guide::compare`] reads what it prints.
    pub(crate) fn script(&self, before: &str) -> String {
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

    /// Compares what the script has printed with the page, and tells all that differs.
    #[track_caller]
    pub(crate) fn compare(&self, said: &str) {
        let mut wrong = String::new();
        let mut parts = said.split(MARK);
        let mut last = parts.next().unwrap_or_default();
        let mut steps = self.steps().peekable();
        // Behind each mark stand the status of the command before and the output of the next one.
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
            let (_, more) = lines.next().expect("a line behind the \\");
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
fn matches_lines(page: &[String], found: &[&str]) -> bool {
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
fn matches_line(page: &str, found: &str) -> bool {
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
/// where the page wants something, and mounts that nobody else sees and that end with the shell.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    prepare: String,
    before: String,
}

impl Place {
    /// Keeps what it needs in a folder that does not exist yet.
    pub(crate) fn new(root: &Path) -> Self {
        std::fs::create_dir(root).unwrap();
        Self {
            root: root.to_owned(),
            prepare: String::new(),
            before: "cd /root".to_owned(),
        }
    }

    /// Shows a file or folder at an absolute path of the page. What is at the path is hidden, and
    /// with a first part that this machine does not have it is made.
    pub(crate) fn with(mut self, from: &Path, to: &str) -> Self {
        let (from, kind) = (from.display(), if from.is_dir() { "-d" } else { "-f" });
        let _ = writeln!(self.prepare, "put {kind} '{from}' '{to}'");
        self
    }

    /// Runs shell commands in front of the page's: functions for what the page only supposes.
    pub(crate) fn before(mut self, commands: &str) -> Self {
        let _ = write!(self.before, "\n{commands}");
        self
    }

    /// Runs a page as root, and compares what it prints.
    #[track_caller]
    pub(crate) fn run(self, guide: &Guide) {
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
const ENTER: &str = r#"exec chroot "$root" bash /page"#;

#[test]
fn commands_and_what_they_print_are_read() {
    let page = "# Head\n```console\n$ a \\\n  b\nout …\n# cat <<'EOF'\n$ x\nEOF\n$ false\n\
        $ echo $?\n1\n```\n## Next\n```console vm\n# c   # remark\n```\n```\nno command\n```\n";
    let guide = Guide::parse("page", page);
    let commands: Vec<_> = guide.steps().map(|s| (&*s.place, &*s.command)).collect();
    assert_eq!(
        commands,
        [
            ("page:3", "a \\\n  b"),
            ("page:6", "cat <<'EOF'\n$ x\nEOF"),
            ("page:9", "false"),
            ("page:10", "echo $?"),
            ("page:15", "c   # remark")
        ]
    );
    assert!(guide.steps().nth(1).unwrap().root && !guide.steps().next().unwrap().root);
    assert_eq!(guide.steps().next().unwrap().prints, ["out …"]);
    assert_eq!(guide.below("Next").steps().count(), 1);
    assert_eq!(guide.marked("vm").blocks[0].heading, "Next");
    assert_eq!(guide.unmarked(&["vm"]).steps().count(), 4);
    for wrong in [&[][..], &["vm", "other"]] {
        std::panic::catch_unwind(|| guide.unmarked(wrong)).unwrap_err();
    }
    std::panic::catch_unwind(|| Guide::parse("page", "```\n$ a\n```\n")).unwrap_err();
}

#[test]
fn what_is_left_out_matches_and_nothing_else_does() {
    let page = |lines: &[&str]| {
        lines
            .iter()
            .map(|&line| line.to_owned())
            .collect::<Vec<_>>()
    };
    assert!(matches_line("a…c…e", "abcde") && matches_line("…", "") && matches_line("a…", "a"));
    assert!(!matches_line("a…c", "abd") && !matches_line("a", "ab") && !matches_line("…b", "abc"));
    assert!(matches_lines(
        &page(&["a", "…", "d"]),
        &["a", "b", "c", "d"]
    ));
    assert!(matches_lines(&page(&["…"]), &[]) && matches_lines(&page(&[]), &[]));
    assert!(!matches_lines(&page(&["a", "…", "d"]), &["a", "b"]));
    assert!(!matches_lines(&page(&[]), &["a"]));
}

#[test]
fn a_page_is_run_and_compared() {
    let scratch = super::Scratch::new();
    std::fs::write(scratch.source().join("name"), "content\n").unwrap();
    let run = |name: &str, page: &str| {
        let place = Place::new(&scratch.path().join(name));
        let place = place.with(&scratch.source(), "/vz/private/1");
        let page = format!("```console\n{page}```\n");
        std::panic::catch_unwind(|| place.before("known=yes").run(&Guide::parse("page", &page)))
    };
    let works = "$ cd /vz/private/1 && cat name   # remark\ncontent\n$ echo $known; pwd\nyes\n\
        /vz/private/1\n$ cat missing\ncat: missing: No such file or directory\n$ echo $?\n1\n\
        # mount -t tmpfs none /mnt && touch /mnt/here; printf end\nend\n";
    run("works", works).unwrap();
    assert!(!Path::new("/mnt/here").exists() && !Path::new("/vz/private/1/name").exists());
    for (number, wrong) in [
        "$ echo a\nb\n",
        "$ true\nb\n",
        "$ echo a\n",
        "$ false\n",
        "$ exit\n",
    ]
    .into_iter()
    .enumerate()
    {
        run(&format!("wrong{number}"), wrong).unwrap_err();
    }
}
