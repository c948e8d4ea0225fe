//! How the repository is written: the width of lines, and words that usually stand in for a better
//! subject.

use crate::support::names_in;
use std::path::Path;

const COLUMNS: usize = 100;

/// People who stand in for code, and how often each may do so in the whole repository.
const STAND_INS: [&str; 2] = ["nobody", "whoever"];
const MOST: usize = 5;

/// What a checkout has beside the repository's own files, and the inputs of fuzzers.
const OTHERS: [&str; 6] = [".git", "target", "found", "grown", "corpus", "__pycache__"];

/// The files of the repository, by their path, and the text of each.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for name in names_in(&folder) {
            let path = folder.join(&name);
            if OTHERS.contains(&&*name) || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let path = path.strip_prefix(root).unwrap().display().to_string();
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 300, "{}", files.len());
    files
}

/// The numbers of the lines that are too long. A line may be longer where it is one URL, and in
/// Markdown where a fenced block shows what a program prints.
fn too_long(path: &str, text: &str) -> Vec<usize> {
    let is_markdown = is_markdown(path);
    let mut fenced = false;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if is_markdown && line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let is_output = fenced && !line.starts_with("$ ") && !line.starts_with("# ");
        if line.chars().count() > COLUMNS && !is_output && !is_url(line) {
            found.push(number + 1);
        }
    }
    found
}

fn is_markdown(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "md")
}

/// Whether a line has nothing but a URL, in a comment or a list.
fn is_url(line: &str) -> bool {
    let word = line.trim().trim_start_matches(['/', '!', '-', '#', ' ']);
    word.starts_with("https://") && !word.contains(' ')
}

/// How often a word is in a text, in any case. Letters, digits and `_` belong to a word.
fn count(word: &str, text: &str) -> usize {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words
        .filter(|found| found.eq_ignore_ascii_case(word))
        .count()
}

#[test]
fn no_line_is_longer_than_a_hundred_columns() {
    let mut wrong = Vec::new();
    for (path, text) in files() {
        if path.ends_with(".rs") || is_markdown(&path) {
            let lines = too_long(&path, &text);
            wrong.extend(lines.iter().map(|line| format!("{path}:{line}")));
        }
    }
    assert!(wrong.is_empty(), "too long: {wrong:#?}");
}

/// The functions of a source file, each with its lines: rustfmt ends one with a brace below its
/// first word.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some((before, after)) = line.split_once("fn ") else {
            continue;
        };
        let is_start = before
            .split_whitespace()
            .all(|word| word.starts_with("pub") || ["const", "async", "unsafe"].contains(&word));
        if !is_start {
            continue;
        }
        let end = format!("{}}}", &line[..indent]);
        let rest = lines.iter().skip(at);
        let length = rest.take_while(|line| **line != end).count() + 1;
        let name = after.split(['(', '<']).next().unwrap();
        found.push((name, length));
    }
    found
}

#[test]
fn functions_of_the_command_line_are_short() {
    let mut long = Vec::new();
    for (path, text) in files() {
        if path.starts_with("src/cli") && path.ends_with(".rs") {
            let functions = functions(&text);
            let functions = functions.iter().filter(|(_, lines)| *lines > 60);
            long.extend(functions.map(|(name, lines)| format!("{path}: {name}, {lines} lines")));
        }
    }
    assert!(long.is_empty(), "too long: {long:#?}");
}

#[test]
fn people_do_not_stand_in_for_code() {
    for word in STAND_INS {
        let found: Vec<_> = files()
            .iter()
            .map(|(path, text)| (path.clone(), count(word, text)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let sum: usize = found.iter().map(|(_, count)| count).sum();
        assert!(sum <= MOST, "{word}: {sum}: {found:#?}");
    }
}

#[test]
fn long_lines_and_words_are_found() {
    let long = "x".repeat(COLUMNS + 1);
    let fenced = format!("```text\n{long}\n```\n{long}\n```console\n$ {long}\n{long}\n```\n");
    assert_eq!(too_long("a.md", &fenced), [4, 6]);
    assert_eq!(too_long("a.rs", &fenced), [2, 4, 6, 7]);
    let url = format!("- https://example.org/{long}\n/// https://example.org/{long} and\n");
    assert_eq!(too_long("a.md", &url), [2]);
    assert_eq!(too_long("a.rs", &"é".repeat(COLUMNS)), [0; 0]);
    assert_eq!(count("one", "One, anyone; ONE! one_more one's"), 3);
}
