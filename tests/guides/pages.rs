//! The pages of the documentation: each is run, and what `docs/json.md` shows is every field there
//! is.

use crate::support::guide::{Guide, Place};
use crate::support::{Scratch, files_of_tests, names_in};
use crate::tools::tool;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README, that of the role for Ansible, and the pages of `docs/`, by their path.
fn pages() -> Vec<String> {
    let docs = names_in(&root().join("docs")).into_iter();
    let docs: Vec<_> = docs.map(|name| format!("docs/{name}")).collect();
    let others = ["README.md", "packaging/ansible/README.md"].map(str::to_owned);
    [others.to_vec(), docs].concat()
}

/// The text of every test, without what they share.
fn tests() -> String {
    let files = files_of_tests().into_iter();
    files
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn every_block_of_the_pages_is_used_by_a_test() {
    let tests = tests();
    let mut used = BTreeSet::new();
    for page in pages() {
        let text = std::fs::read_to_string(root().join(&page)).unwrap();
        for block in Guide::parse(&page, &text).blocks {
            let id = block.id;
            assert!(
                used.insert(id.clone()),
                "{page}: {id} is on another page too"
            );
            let is_used = tests.contains(&format!("\"{id}\""));
            assert_eq!(
                is_used, block.is_run,
                "{page}: {id}: whether a test uses it"
            );
            // Readers do not see the comment.
            let is_said = block.is_run || text.to_lowercase().contains("not run");
            assert!(is_said, "{page} does not say that {id} is not run");
        }
    }
    assert!(used.len() > 50, "{used:?}");
}

#[test]
fn every_block_of_the_pages_says_its_kind() {
    for page in pages() {
        let text = std::fs::read_to_string(root().join(&page)).unwrap();
        let mut fences = text.lines().filter(|line| line.starts_with("```"));
        while let Some(fence) = fences.next() {
            assert!(
                ["```console", "```text"].contains(&fence),
                "{page}: {fence}"
            );
            assert_eq!(fences.next(), Some("```"), "{page}");
        }
    }
}

/// What people type into a search box when they stand before such a disk, or want to move a
/// container.
#[test]
fn the_guides_are_found() {
    let moving = [
        "Could not extract image metadata.yaml from tar",
        "pct create",
        "pct restore",
        "docker import",
        "machinectl import-tar",
        "systemd-nspawn",
        "Incus",
        "LXD",
        "venet0",
        "simfs",
        "unprivileged",
    ];
    let rescuing = [
        "simfs",
        "root.hdd",
        "orphan",
        "Dirty flag is set",
        "Image was not closed correctly; cannot be opened read/write",
        "changing version state",
        "ploop image '...' is sparse",
        "contains uninitialized blocks ... not aligned to cluster size",
        "a hole in image file",
        "Can't open /proc/vz/ploop_minor",
        ".balloon-c3a5ae3d",
        "ddrescue",
        "LUKS",
        "noload",
    ];
    for (page, words) in [
        ("docs/migrate-to-lxc.md", moving.as_slice()),
        ("docs/recover.md", &rescuing),
    ] {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        for words in words {
            assert!(text.contains(words), "{page}: {words}");
        }
    }
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let mut links = 0;
    for page in pages() {
        let text = std::fs::read_to_string(root().join(&page)).unwrap();
        let here: PathBuf = root().join(&page);
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() {
                here.clone()
            } else {
                here.with_file_name(file)
            };
            let target = std::fs::read_to_string(&file)
                .unwrap_or_else(|error| panic!("{page}: {link}: {error}"));
            let found = target
                .lines()
                .any(|line| line.starts_with('#') && slug(line) == anchor);
            assert!(anchor.is_empty() || found, "{page}: {link}");
            links += 1;
        }
    }
    assert!(links > 5, "{links}");
}

/// The name that a heading has in a link.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}

/// The reports that need no device, in the order of the page.
const REPORTS: [&str; 15] = [
    "json-failure",
    "json-info",
    "json-check",
    "json-map",
    "json-update",
    "json-convert",
    "json-partitions",
    "json-compare",
    "json-against",
    "json-verify",
    "json-ls",
    "json-extract",
    "json-mounted",
    "json-list",
    "json-batch",
];

#[test]
fn the_reports_are_those_of_the_page() {
    let scratch = Scratch::new();
    // Without holes in the files, whatever the file system of the clone has made of them.
    let mut copy = Command::new("cp");
    copy.args(["-r", "--sparse=never"])
        .arg(root().join("fixtures/."));
    tool("coreutils", copy.arg(scratch.source()));
    Place::new(&scratch.path().join("place"))
        .with(&scratch.source(), "/backup")
        .with(&scratch.out(), "/root")
        .run(&Guide::read("docs/json.md").blocks(&REPORTS));
}

/// The names of all fields in a report.
fn fields(report: &Value, found: &mut BTreeSet<String>) {
    match report {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                fields(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_reports_is_described_and_shown() {
    let page = include_str!("../../docs/json.md");
    let described: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    let is_described =
        |name: &str| described.contains(name) || described.contains(&*format!("{name}[]"));
    let mut shown = BTreeSet::new();
    for step in Guide::read("docs/json.md").steps() {
        let text = step.prints.join("\n").replace('…', "0");
        if step.command.contains("--json") {
            fields(&serde_json::from_str(&text).unwrap(), &mut shown);
        }
    }
    for name in &shown {
        assert!(
            is_described(name),
            "docs/json.md shows {name} and does not describe it"
        );
    }
    // The fields that a line of a list begins with.
    let lists = page.lines().filter_map(|line| line.strip_prefix("- `"));
    let names = lists.filter_map(|line| Some(line.split_once("`: ")?.0));
    let mut listed = 0;
    for names in names {
        for name in names.split(['`', ',', ' ']).filter(|name| !name.is_empty()) {
            let name = name.trim_end_matches("[]");
            assert!(shown.contains(name), "docs/json.md does not show {name}");
            listed += 1;
        }
    }
    assert!(listed > 60, "{listed}");
}
