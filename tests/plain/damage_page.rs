//! `docs/damage.md` knows every finding, and the words that others have for them.

const PAGE: &str = include_str!("../../docs/damage.md");
const JSON: &str = include_str!("../../docs/json.md");
const CHECK: &str = include_str!("../../src/ploop/check.rs");

/// Every code that the program can print.
fn codes() -> Vec<&'static str> {
    let between_quotes = |line: &'static str| line.split('"').nth(1);
    let lines = CHECK
        .lines()
        .filter(|line| line.contains(" = \"") && line.ends_with(';'));
    let codes: Vec<_> = lines.filter_map(between_quotes).collect();
    assert!(
        codes.len() > 35 && codes.contains(&"entry-past-end"),
        "{codes:?}"
    );
    codes
}

#[test]
fn every_finding_is_on_the_page_and_in_the_list_of_codes() {
    for code in codes() {
        let quoted = format!("`{code}`");
        let heading = PAGE
            .lines()
            .any(|line| line.starts_with("### ") && line.contains(&quoted));
        assert!(heading, "no heading in docs/damage.md has {quoted}");
        assert!(JSON.contains(&quoted), "docs/json.md lacks {quoted}");
    }
}

#[test]
fn no_heading_of_the_page_names_a_finding_that_does_not_exist() {
    let codes = codes();
    let headings = PAGE.lines().filter(|line| line.starts_with("### "));
    for heading in headings {
        for code in heading.split('`').skip(1).step_by(2) {
            assert!(codes.contains(&code) || code.starts_with("--"), "{code}");
        }
    }
}

#[test]
fn the_words_of_other_tools_are_on_the_page() {
    for words in [
        "Dirty flag is set",
        "Data cluster N beyond EOF, vsec=M",
        "Block N is used more than once, vsec=M",
        "L2 slot (N) corrupted",
        "Wrong first block offset in image",
        "Fatal errors were found, image X is not repaired",
        "Want to trim tail",
        "Image is clean, check is skipped",
        "Image X is in the changing version state",
        "Image size is not aligned to cluster",
        "Can't check, in use by device",
        "ploop image '...' is sparse",
        "contains uninitialized blocks",
        "not aligned to cluster size",
        "a hole in image file detected",
        "Image was not closed correctly; cannot be opened read/write",
        "ERROR image was not closed correctly",
        "ERROR cluster N is outside image",
        "ERROR space leaked at the end of the image",
        "ERROR duplicate offset in BAT entry N",
        "ERROR data_off field has incorrect value",
        "Image not in Parallels format",
        "Unknown driver 'ploop'",
        "Can't open /proc/vz/ploop_minor",
        "No installed kernel packages were found",
        "Could not extract image metadata.yaml from tar",
    ] {
        assert!(PAGE.contains(words), "{words}");
    }
}
