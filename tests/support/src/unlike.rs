//! What two lists of files disagree on, in words.

use super::listing::{Answer, Listed, Listing, Stat, Time};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// What could not be read, a line each.
pub fn errors(list: &Listing) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, file) in list {
        let errors = [
            ("stat", file.stat.as_ref().err()),
            ("target", file.target.as_ref().err()),
            ("attributes", file.attributes.as_ref().err()),
            ("contents", file.contents.as_ref().err()),
            ("names", file.names.as_ref().err()),
        ];
        let name = path.escape_ascii();
        let found = errors.into_iter();
        let found = found.filter_map(|(what, error)| Some(format!("/{name}: {what}: {}", error?)));
        lines.extend(found);
    }
    lines
}

/// What two lists disagree on, a line each: the path, what it is about, what each says.
pub fn differences(kernel: &Listing, other: &Listing) -> Vec<String> {
    let paths: BTreeSet<_> = kernel.keys().chain(other.keys()).collect();
    let mut lines = Vec::new();
    for path in paths {
        let name = path.escape_ascii();
        match (kernel.get(path), other.get(path)) {
            (Some(theirs), Some(ours)) => {
                let unlike = unlike(theirs, ours);
                lines.extend(unlike.into_iter().map(|line| format!("/{name}: {line}")));
            }
            (Some(_), None) => lines.push(format!("/{name}: only the kernel has it")),
            (None, Some(_)) => lines.push(format!("/{name}: the kernel does not have it")),
            (None, None) => {}
        }
    }
    lines
}

/// What a reader shows of a damaged file system without an error, and the kernel shows otherwise.
/// A file that one of them cannot read says nothing about the other one, nor does a directory.
pub fn silent_differences(kernel: &Listing, other: &Listing) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, ours) in other {
        let name = path.escape_ascii();
        // By an index whose hashes are wrong the kernel misses names that are there.
        let Some(theirs) = kernel.get(path) else {
            continue;
        };
        let (mut theirs, mut ours) = (theirs.clone(), ours.clone());
        where_both_answer(&mut theirs.stat, &mut ours.stat);
        where_both_answer(&mut theirs.target, &mut ours.target);
        where_both_answer(&mut theirs.attributes, &mut ours.attributes);
        where_both_answer(&mut theirs.contents, &mut ours.contents);
        where_both_answer(&mut theirs.names, &mut ours.names);
        if theirs.stat.is_err() {
            theirs.inode = ours.inode;
        }
        forgive(&mut theirs, &mut ours);
        let unlike = unlike(&theirs, &ours);
        lines.extend(unlike.into_iter().map(|line| format!("/{name}: {line}")));
    }
    let known: BTreeSet<u64> = other.values().map(|file| file.inode).collect();
    for (path, file) in kernel.iter().filter(|(path, _)| !other.contains_key(*path)) {
        // A directory that two names lead to is listed below the first that can be read.
        if !known.contains(&file.inode) && !is_below_damage(path, other) {
            lines.push(format!("/{}: only the kernel has it", path.escape_ascii()));
        }
    }
    lines
}

/// What damage changes and harms no reader: the kernel lets through nanoseconds of more than a
/// second, which std cannot carry; a directory may say another type than the inode does; and the
/// room that a file takes hangs on how its bytes are stored.
fn forgive(theirs: &mut Listed, ours: &mut Listed) {
    let (Ok(theirs), Ok(ours)) = (&mut theirs.stat, &mut ours.stat) else {
        return;
    };
    ours.sectors = theirs.sectors;
    if ours.letter == '?' {
        ours.letter = theirs.letter;
    }
    let is_late = |time: Time| time.1 == 999_999_999;
    if ours.created.is_some_and(is_late) {
        ours.created = theirs.created;
    }
    for (theirs, ours) in [
        (theirs.accessed, &mut ours.accessed),
        (theirs.modified, &mut ours.modified),
        (theirs.changed, &mut ours.changed),
    ] {
        if is_late(*ours) {
            *ours = theirs;
        }
    }
    // What a damaged list of orphans names is cut to its size when it is mounted: it has that time.
    let is_of_mount = theirs.modified == theirs.changed && is_recent(theirs.changed);
    if is_of_mount && ours.changed < theirs.changed {
        (ours.modified, ours.changed) = (theirs.modified, theirs.changed);
    }
}

/// Whether it is a time of the last minutes.
fn is_recent(time: Time) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let ago = i64::try_from(now.as_secs()).unwrap() - time.0;
    (0..600).contains(&ago)
}

/// Where one of two answers is an error, both are.
fn where_both_answer<T>(one: &mut Answer<T>, two: &mut Answer<T>) {
    if one.is_err() || two.is_err() {
        *one = Err(String::new());
        *two = Err(String::new());
    }
}

/// Whether a directory above a path could not be read.
fn is_below_damage(path: &[u8], list: &Listing) -> bool {
    let ends = (0..path.len()).filter(|&at| path[at] == b'/').chain([0]);
    ends.into_iter().any(|end| {
        let above = list.get(&path[..end]);
        above.is_some_and(|file| file.stat.is_err() || file.names.is_err())
    })
}

/// What two records of one file disagree on.
fn unlike(kernel: &Listed, other: &Listed) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |what: &str, theirs: String, ours: String| {
        if theirs != ours {
            let cut = |text: String| text.chars().take(400).collect::<String>();
            lines.push(format!(
                "{what}: kernel {}, ours {}",
                cut(theirs),
                cut(ours)
            ));
        }
    };
    compare("inode", kernel.inode.to_string(), other.inode.to_string());
    match (&kernel.stat, &other.stat) {
        (Ok(theirs), Ok(ours)) => {
            for ((what, theirs), (_, ours)) in fields(theirs).into_iter().zip(fields(ours)) {
                compare(what, theirs, ours);
            }
        }
        (theirs, ours) => compare("stat", text(theirs), text(ours)),
    }
    compare("target", text(&kernel.target), text(&other.target));
    compare("names", text(&kernel.names), text(&other.names));
    match (&kernel.attributes, &other.attributes) {
        (Ok(theirs), Ok(ours)) => {
            for name in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
                let what = format!("attribute {}", name.escape_ascii());
                compare(&what, value(theirs.get(name)), value(ours.get(name)));
            }
        }
        (theirs, ours) => compare("attributes", text(theirs), text(ours)),
    }
    match (&kernel.contents, &other.contents) {
        (Ok(theirs), Ok(ours)) => {
            compare("digest", hex(&theirs.digest), hex(&ours.digest));
            compare("data", text(&theirs.runs), text(&ours.runs));
        }
        (theirs, ours) => compare("contents", text(theirs), text(ours)),
    }
    lines
}

fn fields(stat: &Stat) -> [(&'static str, String); 12] {
    [
        ("type", stat.letter.to_string()),
        ("mode", format!("{:o}", stat.permissions)),
        ("uid", stat.uid.to_string()),
        ("gid", stat.gid.to_string()),
        ("links", stat.links.to_string()),
        ("size", stat.size.to_string()),
        ("sectors", stat.sectors.to_string()),
        ("device", text(&stat.device)),
        ("atime", text(&stat.accessed)),
        ("mtime", text(&stat.modified)),
        ("ctime", text(&stat.changed)),
        ("crtime", text(&stat.created)),
    ]
}

fn value(value: Option<&Vec<u8>>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => format!("{} bytes, {}", value.len(), hex(value)),
    }
}

fn text(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
