//! What comes into the program, by what cargo says of it, held against `deny.toml`. cargo-deny
//! reads the same file and looks deeper (`packaging/deny`), but takes minutes to build.

use crate::tools::tool;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const RULES: &str = include_str!("../../deny.toml");

/// What `cargo metadata` says.
struct Graph {
    packages: BTreeMap<String, Value>,
    /// The packages that something of the program needs, while it is built or when it runs.
    program: BTreeSet<String>,
}

impl Graph {
    fn new() -> Self {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        // What was built is there, so nothing is fetched.
        let options = ["--format-version=1", "--locked", "--offline"];
        cargo.arg("metadata").args(options);
        cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
        let report: Value = serde_json::from_str(&tool("cargo", &mut cargo)).unwrap();
        let list = |value: &Value| value.as_array().unwrap().clone();
        let by_id = |item: Value| (text(&item["id"]), item);
        let packages = list(&report["packages"]).into_iter().map(by_id).collect();
        let resolve = &report["resolve"];
        let nodes: BTreeMap<_, _> = list(&resolve["nodes"]).into_iter().map(by_id).collect();
        let mut program = BTreeSet::new();
        let mut todo = vec![text(&resolve["root"])];
        while let Some(id) = todo.pop() {
            if program.contains(&id) {
                continue;
            }
            for needed in list(&nodes[&id]["deps"]) {
                let mut kinds = list(&needed["dep_kinds"]).into_iter();
                if kinds.any(|kind| kind["kind"] != "dev") {
                    todo.push(text(&needed["pkg"]));
                }
            }
            program.insert(id);
        }
        Self { packages, program }
    }

    /// The packages of the program that are others' work.
    fn foreign(&self) -> impl Iterator<Item = &Value> {
        let packages = self.program.iter().map(|id| &self.packages[id]);
        packages.filter(|package| !package["source"].is_null())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The words in quotes in the brackets after `key`, in a text.
fn words<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let Some((_, list)) = text.split_once(&format!("{key} = [")) else {
        panic!("deny.toml lacks {key}");
    };
    let list = list.split(']').next().unwrap();
    list.split('"').skip(1).step_by(2).collect()
}

/// The licences that a package may be under.
fn allowed(package: &str) -> Vec<&'static str> {
    let (_, rules) = RULES.split_once("[licenses]").unwrap();
    let exception = format!("crate = \"{package}\",");
    let exception = rules.lines().find(|line| line.contains(&exception));
    let more = exception.map_or(Vec::new(), |line| words(line, "allow"));
    [words(rules, "\nallow"), more].concat()
}

/// Whether licences that are allowed satisfy an SPDX expression: any of what stands between `OR`,
/// all of what stands between `AND`, which binds more closely.
fn satisfied(expression: &str, allowed: &[&str]) -> bool {
    // Only an alternative is ever put in brackets, beside an `AND`.
    if let Some((inside, rest)) = expression.strip_prefix('(').and_then(|e| e.split_once(')')) {
        let rest = rest.trim_start().strip_prefix("AND ");
        return satisfied(inside, allowed) && rest.is_none_or(|rest| satisfied(rest, allowed));
    }
    let expression = expression.replace('/', " OR ");
    let mut alternatives = expression.split(" OR ");
    alternatives.any(|all| all.split(" AND ").all(|one| allowed.contains(&one.trim())))
}

#[test]
fn licences_are_those_that_are_allowed() {
    assert!(satisfied("MIT OR GPL-3.0", &["MIT"]) && satisfied("MIT/Apache-2.0", &["MIT"]));
    assert!(!satisfied("GPL-3.0", &["MIT"]) && !satisfied("MIT AND GPL-3.0", &["MIT"]));
    assert!(!satisfied("(MIT OR Zlib) AND GPL-3.0", &["MIT"]));
    let graph = Graph::new();
    assert!(graph.foreign().count() > 50);
    for package in graph.foreign() {
        let (name, licence) = (text(&package["name"]), text(&package["license"]));
        assert!(satisfied(&licence, &allowed(&name)), "{name}: {licence}");
    }
}

#[test]
fn every_package_of_the_program_is_there_once_and_from_the_registry() {
    let graph = Graph::new();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in graph.foreign() {
        let name = text(&package["name"]);
        // The registry that cargo asks where nothing else is said.
        let source = text(&package["source"]);
        assert!(source.starts_with("registry+"), "{name}: {source}");
        let version = text(&package["version"]);
        // Those that the rules let be there beside another one.
        if !RULES.contains(&format!("{{ crate = \"{name}@{version}\" }}")) {
            versions.entry(name).or_default().push(version);
        }
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "{versions:?}");
}

#[test]
fn the_tests_witness_is_no_part_of_the_program() {
    let graph = Graph::new();
    let names: BTreeSet<_> = graph
        .foreign()
        .map(|package| text(&package["name"]))
        .collect();
    assert!(names.contains("clap"), "{names:?}");
    for name in ["qcow2-rs", "tokio", "tokio-uring", "assert_cmd", "proptest"] {
        let known = graph
            .packages
            .values()
            .any(|package| package["name"] == name);
        assert!(known && !names.contains(name), "{name}");
    }
}
