//! Which source file uses which: read from the paths that the code spells out.
//!
//! A file uses another where it names, by `crate::`, `super::`, `self::` or the name of a module
//! that it declares, an item that the other defines. What a file only hands on (`pub use`) and
//! does not mention otherwise is not used by it; a file that names it there uses the file that
//! defines it. `mod` declarations are no use either, and tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module's path below the crate's root: `["nbd", "wire"]`.
type Module = Vec<String>;

/// A source file's code, cut into words and signs.
struct File {
    path: PathBuf,
    /// Without the `use` declarations.
    body: Vec<String>,
    uses: Vec<Use>,
    children: BTreeSet<String>,
}

/// One name that a `use` declaration brings in.
struct Use {
    path: Vec<String>,
    /// What the file calls it; `*` for everything.
    name: String,
    hands_on: bool,
}

/// The files below a directory, by the module that each one is.
pub struct Sources {
    files: BTreeMap<Module, File>,
}

impl Sources {
    /// Reads all source files below `src`; the two crate roots count as one.
    pub fn read(src: &Path) -> Self {
        let mut files = BTreeMap::new();
        for path in rust_files(src) {
            let relative = path.strip_prefix(src).unwrap().with_extension("");
            let module: Module = relative
                .iter()
                .map(|part| part.to_str().unwrap().to_owned())
                .collect();
            if module.last().is_some_and(|name| name == "tests") {
                continue;
            }
            let module = match module.join("/").as_str() {
                "main" => continue,
                "lib" => Module::new(),
                _ => module,
            };
            let file = File::read(relative, &std::fs::read_to_string(&path).unwrap());
            files.insert(module, file);
        }
        Self { files }
    }

    /// Every arrow from a file to another that it uses, with one of the names.
    pub fn arrows(&self) -> BTreeMap<(&Path, &Path), String> {
        let mut arrows = BTreeMap::new();
        for (module, file) in &self.files {
            for path in file.paths() {
                let Some(target) = self.find(module, &path, 0) else {
                    continue;
                };
                if target != module {
                    let to = self.files[target].path.as_path();
                    let name = path.last().cloned().unwrap_or_default();
                    arrows.entry((file.path.as_path(), to)).or_insert(name);
                }
            }
        }
        arrows
    }

    /// The arrows that are part of a circle of files.
    pub fn circles(&self) -> Vec<String> {
        let arrows = self.arrows();
        let mut next: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
        for (from, to) in arrows.keys() {
            next.entry(from).or_default().insert(to);
        }
        let reach: BTreeMap<&Path, BTreeSet<&Path>> = next
            .keys()
            .map(|&start| {
                let mut seen = BTreeSet::new();
                let mut open = vec![start];
                while let Some(at) = open.pop() {
                    for &to in next.get(at).into_iter().flatten() {
                        if seen.insert(to) {
                            open.push(to);
                        }
                    }
                }
                (start, seen)
            })
            .collect();
        let back = |a: &Path, b: &Path| reach.get(a).is_some_and(|seen| seen.contains(b));
        arrows
            .iter()
            .filter(|((from, to), _)| back(to, from))
            .map(|((from, to), name)| format!("{} -> {}: {name}", from.display(), to.display()))
            .collect()
    }

    /// The module whose file defines what `path` names, seen from `module`; `None` for what is not
    /// of this crate.
    fn find(&self, module: &[String], path: &[String], depth: usize) -> Option<&Module> {
        let mut at = module.to_vec();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" | "ploopconv" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            name if self.files.get(module)?.children.contains(name) => {
                at.push(name.to_owned());
            }
            _ => return None,
        }
        rest = &rest[1..];
        while let Some(name) = rest.first() {
            if name == "super" {
                at.pop();
            } else if self.files.get(&at)?.children.contains(name) {
                at.push(name.clone());
            } else {
                break;
            }
            rest = &rest[1..];
        }
        let (module, file) = self.files.get_key_value(&at)?;
        let Some(name) = rest.first() else {
            return Some(module);
        };
        // What the module has from elsewhere belongs to where it comes from.
        let from = file.uses.iter().find(|import| import.name == *name);
        match from {
            Some(import) if depth < 9 => {
                let whole = [import.path.as_slice(), &rest[1..]].concat();
                self.find(module, &whole, depth + 1)
            }
            _ => Some(module),
        }
    }
}

impl File {
    fn read(path: PathBuf, text: &str) -> Self {
        let words = words(text);
        let mut file = Self {
            path: path.with_extension("rs"),
            body: Vec::new(),
            uses: Vec::new(),
            children: BTreeSet::new(),
        };
        let mut at = 0;
        while at < words.len() {
            let word = words[at].as_str();
            let is_test = words[at..]
                .starts_with(&["#", "[", "cfg", "(", "test", ")", "]"].map(str::to_owned));
            if is_test {
                // The item that follows: up to its semicolon, or its block.
                at = end_of_item(&words, at + 7);
            } else if word == "use" {
                let end = at + words[at..].iter().position(|word| word == ";").unwrap();
                let hands_on = words[..at]
                    .iter()
                    .rev()
                    .take_while(|word| ![";", "}", "{", "]"].contains(&word.as_str()))
                    .any(|word| word == "pub");
                read_tree(&words[at + 1..end], &[], &mut |path, name| {
                    file.uses.push(Use {
                        path,
                        name,
                        hands_on,
                    });
                });
                at = end;
            } else if word == "mod" && words.get(at + 2).is_some_and(|sign| sign == ";") {
                file.children.insert(words[at + 1].clone());
                at += 2;
            } else {
                file.body.push(word.to_owned());
            }
            at += 1;
        }
        file
    }

    /// The paths that the file uses.
    fn paths(&self) -> Vec<Vec<String>> {
        let mentions = |name: &str| self.body.iter().any(|word| word == name);
        let imports = self
            .uses
            .iter()
            .filter(|import| !import.hands_on || mentions(&import.name))
            .map(|import| import.path.clone());
        let mut paths: Vec<_> = imports.collect();
        for (at, word) in self.body.iter().enumerate() {
            let begins = at == 0 || self.body[at - 1] != "::";
            let leads =
                ["crate", "super", "self"].contains(&word.as_str()) || self.children.contains(word);
            if begins && leads && self.body.get(at + 1).is_some_and(|sign| sign == "::") {
                let names = self.body[at..].iter().step_by(2);
                let signs = self.body[at + 1..].iter().step_by(2);
                let more = signs.take_while(|sign| *sign == "::").count();
                paths.push(names.take(more + 1).cloned().collect());
            }
        }
        paths
    }
}

/// Reads what follows `use`, and calls `found` with every path and the name that it gets.
fn read_tree(tree: &[String], before: &[String], found: &mut impl FnMut(Vec<String>, String)) {
    let mut path = before.to_vec();
    let mut at = 0;
    while at < tree.len() {
        match tree[at].as_str() {
            "::" => {}
            "{" => {
                let mut depth = 0;
                let mut start = at + 1;
                for (index, word) in tree.iter().enumerate().skip(at) {
                    match word.as_str() {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        _ => {}
                    }
                    let ends = depth == 0 || depth == 1 && word == ",";
                    if ends && start < index {
                        read_tree(&tree[start..index], &path, found);
                    }
                    if ends {
                        start = index + 1;
                    }
                }
                return;
            }
            "as" => return found(path, tree[at + 1].clone()),
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
        at += 1;
    }
    let name = path.last().cloned().unwrap_or_default();
    found(path, name);
}

/// Where the item that begins at `at` ends.
fn end_of_item(words: &[String], at: usize) -> usize {
    let mut depth = 0;
    for (index, word) in words.iter().enumerate().skip(at) {
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && (word == ";" || word == "}") {
            return index;
        }
    }
    words.len()
}

/// A source text as words and signs, without comments and without what stands in strings.
pub fn words(text: &str) -> Vec<String> {
    cut(text).0
}

/// What stands in the strings of a source text.
pub fn strings(text: &str) -> Vec<String> {
    cut(text).1
}

/// A source text's words and signs, and its strings.
fn cut(text: &str) -> (Vec<String>, Vec<String>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut words, mut strings) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < chars.len() {
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        let begins_string = |from: usize| {
            let hashes = chars[from..].iter().take_while(|c| **c == '#').count();
            (chars.get(from + hashes) == Some(&'"')).then_some(hashes)
        };
        match chars[at] {
            '/' if next == '/' => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
            }
            'r' if begins_string(at + 1).is_some() => {
                let hashes = begins_string(at + 1).unwrap();
                let end: String = format!("\"{}", "#".repeat(hashes));
                let rest: String = chars[at + hashes + 2..].iter().collect();
                let inside = &rest[..rest.find(&end).unwrap()];
                strings.push(inside.to_owned());
                let inside = inside.chars().count();
                at += hashes + 2 + inside + end.len();
            }
            '"' => {
                let mut inside = String::new();
                at += 1;
                while chars[at] != '"' {
                    // Which character an escape stands for does not matter here.
                    at += usize::from(chars[at] == '\\');
                    inside.push(chars[at]);
                    at += 1;
                }
                strings.push(inside);
                at += 1;
            }
            // A character, and not a lifetime.
            '\'' if next == '\\' || chars.get(at + 2) == Some(&'\'') => {
                at += if next == '\\' { 3 } else { 2 };
                while chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
            ':' if next == ':' => {
                words.push("::".to_owned());
                at += 2;
            }
            c if c.is_alphanumeric() || c == '_' => {
                let len = chars[at..]
                    .iter()
                    .take_while(|c| c.is_alphanumeric() || **c == '_')
                    .count();
                words.push(chars[at..at + len].iter().collect());
                at += len;
            }
            c if c.is_whitespace() => at += 1,
            c => {
                words.push(c.to_string());
                at += 1;
            }
        }
    }
    (words, strings)
}

/// All source files below a directory.
pub fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                rust_files(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
        .collect()
}
