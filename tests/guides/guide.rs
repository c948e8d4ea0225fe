//! How a page is read and run: the ways in which it may be wrong are found.

use crate::support::Scratch;
use crate::support::guide::{Guide, Place, matches_line, matches_lines};
use std::path::Path;

#[test]
fn commands_and_what_they_print_are_read() {
    let page = "# Head\n<!-- block: one -->\n```console\n\
        $ a \\\n  b\nout …\n# cat <<'EOF'\n$ x\nEOF\n$ false\n\
        $ echo $?\n1\n```\n## Next\n<!-- block: two -->\n```console\n\
        # c   # remark\n```\n```text\nno command\n```\n\
        <!-- block: three (not run) -->\n```console\n$ d\n```\n";
    let guide = Guide::parse("page", page);
    let commands: Vec<_> = guide.steps().map(|s| (&*s.place, &*s.command)).collect();
    assert_eq!(
        commands,
        [
            ("page:4", "a \\\n  b"),
            ("page:7", "cat <<'EOF'\n$ x\nEOF"),
            ("page:10", "false"),
            ("page:11", "echo $?"),
            ("page:17", "c   # remark"),
            ("page:24", "d")
        ]
    );
    assert!(guide.steps().nth(1).unwrap().root && !guide.steps().next().unwrap().root);
    assert_eq!(guide.steps().next().unwrap().prints, ["out …"]);
    assert_eq!(guide.blocks(&["two"]).steps().count(), 1);
    assert_eq!(guide.blocks(&["two", "one"]).blocks[0].id, "one");
    assert!(!guide.blocks[2].is_run);
}

#[test]
fn a_block_without_an_id_of_its_own_is_an_error() {
    let block = "<!-- block: one -->\n```console\n$ a\n```\n";
    let guide = Guide::parse("page", block);
    for wrong in [
        "```\n$ a\n```\n",
        "```console\n$ a\n```\n",
        "<!-- block: one -->\n\n```console\n$ a\n```\n",
        "<!-- block: one -->\n```console\nno command\n```\n",
        &block.repeat(2),
    ] {
        std::panic::catch_unwind(|| Guide::parse("page", wrong)).unwrap_err();
    }
    std::panic::catch_unwind(|| guide.blocks(&["one", "two"])).unwrap_err();
    let not_run = Guide::parse("page", &block.replace(" -->", " (not run) -->"));
    std::panic::catch_unwind(|| not_run.blocks(&["one"])).unwrap_err();
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
    let scratch = Scratch::new();
    std::fs::write(scratch.source().join("name"), "content\n").unwrap();
    let run = |name: &str, page: &str| {
        let place = Place::new(&scratch.path().join(name));
        let place = place.with(&scratch.source(), "/vz/private/1");
        std::panic::catch_unwind(|| place.before("known=yes").run(&Guide::of("page", page)))
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
