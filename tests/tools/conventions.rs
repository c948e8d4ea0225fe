//! What a person expects of any command: help that fits the terminal, manual pages, completions,
//! no colours where none are wanted, and a progress bar that stays on its line.

use crate::support::{ImageBuilder, Outcome, Program, Scratch, names_in};
use crate::tools::tool;
use std::path::Path;
use std::process::Command;

fn help(command: &str, option: &str) -> String {
    let args = [command, option].into_iter().filter(|arg| !arg.is_empty());
    let help = Program::new(args).run().status(0);
    String::from_utf8(help.stdout).unwrap()
}

/// Every command, as the help lists them; the empty one is the conversion.
fn commands() -> Vec<String> {
    let help = help("", "-h");
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let names = list
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned());
    let names: Vec<_> = names.filter(|name| name != "help").collect();
    for fixed in [
        "convert", "info", "check", "map", "compare", "verify", "serve", "man",
    ] {
        assert!(names.iter().any(|name| name == fixed), "{fixed}: {names:?}");
    }
    [vec![String::new()], names].concat()
}

/// The long options that a help text explains.
fn options(help: &str) -> Vec<&str> {
    help.lines()
        .filter(|line| line.starts_with("  -") || line.starts_with("      --"))
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")))
        .map(|word| word.split(['=', '[', ',']).next().unwrap())
        .collect()
}

#[test]
fn help_fits_80_columns() {
    for command in commands() {
        for option in ["-h", "--help"] {
            let help = help(&command, option);
            let long = help.lines().find(|line| line.chars().count() > 80);
            assert_eq!(long, None, "{command} {option}");
            assert!(options(&help).contains(&"--help"), "{help}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page_with_all_its_options() {
    let scratch = Scratch::new();
    let dir = scratch.out().join("man/man1");
    Program::new(["man"]).arg(&dir).run().done();
    let pages = names_in(&dir);
    assert_eq!(pages.len(), commands().len());
    for command in commands() {
        let name = ["ploopconv", &command].join("-");
        let page = dir.join(format!("{}.1", name.trim_end_matches('-')));
        let formatted = tool(
            "man-db",
            Command::new("man")
                .args(["--warnings", "--nh", "--nj", "-l"])
                .arg(&page)
                .env("MANWIDTH", "200")
                .env("LC_ALL", "C.UTF-8"),
        );
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "SEE ALSO",
        ] {
            assert!(formatted.contains(section), "{section} in {formatted}");
        }
        for option in options(&help(&command, "--help")) {
            assert!(formatted.contains(option), "{option} in {}", page.display());
        }
        let complaints = Command::new("man")
            .args(["--warnings", "-l"])
            .arg(&page)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&complaints.stderr).into_owned();
        assert_eq!(complaints, "", "{}", page.display());
    }
    Program::new(["man", "/dev/null/no"])
        .run()
        .refused(1, &["writing the manual", "/dev/null/no"]);
}

/// What bash offers for the last of `words`.
fn bash_offers(script: &Path, words: &[&str]) -> Vec<String> {
    let last = words.len() - 1;
    let before = words[last - 1];
    let complete = format!(
        "source {}; COMP_WORDS=({}); COMP_CWORD={last}; \
         _ploopconv ploopconv '{}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words
            .iter()
            .map(|word| format!("'{word}' "))
            .collect::<String>(),
        words[last],
    );
    let offered = tool("bash", Command::new("bash").args(["-c", &complete]));
    offered.lines().map(str::to_owned).collect()
}

#[test]
fn shells_complete_commands_and_options() {
    let scratch = Scratch::new();
    let script = |shell: &str| {
        let made = Program::new(["completions", shell]).run().done();
        let path = scratch.out().join(shell);
        std::fs::write(&path, made.stdout).unwrap();
        path
    };
    let bash = script("bash");
    assert_eq!(
        bash_offers(&bash, &["ploopconv", "comp"]),
        ["compare", "completions"]
    );
    assert_eq!(
        bash_offers(&bash, &["ploopconv", "x", "--che"]),
        ["--checksum"]
    );
    assert_eq!(
        bash_offers(&bash, &["ploopconv", "map", "--sing"]),
        ["--single-layer"]
    );
    assert!(bash_offers(&bash, &["ploopconv", "x", "-O", ""]).contains(&"qcow2".to_owned()));
    for (shell, check) in [("zsh", "-n"), ("fish", "--no-execute")] {
        tool(shell, Command::new(shell).arg(check).arg(script(shell)));
    }
    let offered = tool(
        "fish",
        Command::new("fish").arg("-c").arg(format!(
            "source {}; complete -C 'ploopconv comp'",
            scratch.out().join("fish").display()
        )),
    );
    let offered: Vec<_> = offered
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    assert_eq!(offered, ["compare", "completions"]);
    Program::new(["completions", "tcsh"]).run().status(2);
}

#[test]
fn the_version_says_what_was_built() {
    let short = help("", "-V");
    let long = help("", "--version");
    assert_eq!(
        short,
        concat!("ploopconv ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert!(long.starts_with(short.trim_end()), "{long}");
    for field in ["commit: ", "target: "] {
        assert!(long.contains(field), "{long}");
    }
}

/// Runs a command line on a terminal with so many columns, and gives all that was shown.
fn on_terminal(columns: u32, environment: &str, arguments: &str) -> String {
    let line = format!(
        "stty cols {columns} rows 24; exec env {environment} {} {arguments}",
        env!("CARGO_BIN_EXE_ploopconv")
    );
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .env("TERM", "xterm");
    tool("bsdutils", command.env_remove("NO_COLOR"))
}

/// A text without what steers the terminal.
fn plain(shown: &str) -> String {
    let mut text = String::new();
    let mut rest = shown;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        text.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';' || c == '?');
        rest = rest.get(1..).unwrap_or_default();
    }
    text + rest
}

fn noise(scratch: &Scratch) -> std::path::PathBuf {
    let image = scratch.source().join("disk.hds");
    let built = ImageBuilder::v2().cluster_sectors(2048).clusters(48);
    built.store_all(0..48).write(&image);
    image
}

#[test]
fn the_progress_bar_stays_on_its_line_and_goes_at_the_end() {
    let scratch = Scratch::new();
    let image = noise(&scratch);
    for columns in [40, 69, 70, 200] {
        let shown = on_terminal(
            columns,
            "",
            &format!("{} -o - --progress always > /dev/null", image.display()),
        );
        let frames: Vec<_> = shown.split(['\r', '\n']).map(plain).collect();
        let bars: Vec<_> = frames
            .iter()
            .filter(|frame| frame.contains("% ["))
            .collect();
        assert!(!bars.is_empty(), "{columns}: {shown:?}");
        for bar in &bars {
            let width = bar.chars().count();
            assert!(width <= columns as usize, "{columns}: {width} in {bar:?}");
            assert!(bar.contains("/s"), "{bar:?}");
            // A bar of some length.
            let (open, close) = (bar.find('[').unwrap(), bar.find(']').unwrap());
            assert!(close - open > 8, "{bar:?}");
        }
        // The cursor never moves up, as it must to take away a second line.
        assert!(!shown.contains("\x1b[1A"), "{columns}: {shown:?}");
        assert!(
            shown.ends_with("\x1b[2K") || shown.trim_end().ends_with("\x1b[2K"),
            "{shown:?}"
        );
    }
}

#[test]
fn a_pipe_gets_lines_and_no_bar() {
    let scratch = Scratch::new();
    let image = noise(&scratch);
    let run = |args: &[&str]| -> Outcome {
        Program::new([&image])
            .arg("-o")
            .arg(scratch.target())
            .args(args)
            .run()
            .status(0)
    };
    let lines = run(&["--progress", "always"]).stderr;
    assert!(lines.lines().next().unwrap().contains("% ("), "{lines}");
    assert!(!lines.contains(['\r', '\x1b']), "{lines:?}");
    // A short conversion says nothing of its progress unasked.
    let quiet = run(&["-f"]).stderr;
    assert!(!quiet.contains('%'), "{quiet}");
    assert_eq!(run(&["-f", "-q"]).stderr, "");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    assert!(on_terminal(80, "", "--help").contains("\x1b["));
    assert!(!on_terminal(80, "NO_COLOR=1", "--help").contains("\x1b["));
    assert!(!help("", "--help").contains('\x1b'));
}
