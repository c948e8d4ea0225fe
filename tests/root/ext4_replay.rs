//! Journals that were not replayed: the tree after our replay, in memory, against the tree after
//! the kernel's, on the disk.

use crate::ext4_free::{free_of, spoiled};
use crate::file_tree;
use crate::support::Scratch;
use crate::support::crashes::{Plan, State, crash, replayed_by_the_kernel, torn};
use crate::support::listing::{Answer, Listing};
use crate::support::unlike::{differences, errors, silent_differences};
use crate::support::workload::Last;
use ploopconv::ext4::IfDirty;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const USUAL: Plan = Plan {
    mke2fs: "-t ext4 -b 1024 -N 1024 -J size=1",
    options: "data=ordered",
    mib: 12,
    steps: 8,
    last: Last::Everything,
    seed: 1,
};

/// What came of the states.
#[derive(Debug, Default)]
struct Count {
    read: usize,
    refused: usize,
    /// Of those that both read, how many have files that ours says are damaged.
    damaged: usize,
    /// Whether there are fast commits.
    is_fast: bool,
    /// Of those that a disk can hold, how many the kernel refuses all the same.
    kernel_fails: usize,
    wrong: Vec<String>,
    /// Of those that both read, of how many it is known which blocks are free.
    with_free: usize,
}

impl Count {
    /// Compares a state. Files of the first one that is wrong are kept.
    fn look_at(&mut self, state: &State, scratch: &Scratch) {
        let image = scratch.path().join("state");
        std::fs::write(&image, &state.image).unwrap();
        let ours = file_tree::list_of(&image);
        let without_free = scratch.path().join("without-free");
        let free = free_of(&image, IfDirty::Replay);
        if let Ok(free) = &free {
            spoiled(&image, &without_free, free);
        }
        // The kernel's clock for files goes in steps.
        let before = SystemTime::now() - Duration::from_millis(10);
        let mut kernel = replayed_by_the_kernel(&image);
        if let (Ok(kernel), Ok(ours), true) = (&mut kernel, &ours, self.is_fast) {
            forgive_replay(kernel, ours, before);
        }
        let is_free_known = free.is_ok();
        let mut agreed = self.agree(&kernel, &ours, state);
        if let (Ok(kernel), true, true) = (&kernel, is_free_known, agreed.is_ok()) {
            self.with_free += 1;
            agreed = lost_nothing(kernel, &replayed_by_the_kernel(&without_free));
        } else if let (Ok(_), Err(error), false) = (&kernel, &free, self.is_fast)
            && state.is_honest
        {
            agreed = Err(format!("free blocks: {}", file_tree::story(error)));
        }
        let Err(problem) = agreed else {
            return;
        };
        let kept = std::env::temp_dir().join(format!("ploopconv-crash-{}", std::process::id()));
        if self.wrong.is_empty() {
            std::fs::write(&kept, &state.image).unwrap();
        }
        let problem: String = problem.chars().take(1500).collect();
        let line = format!("{}: {problem} (first in {})", state.name, kept.display());
        self.wrong.push(line);
    }

    fn agree(
        &mut self,
        kernel: &Answer<Listing>,
        ours: &Answer<Listing>,
        state: &State,
    ) -> Result<(), String> {
        match (kernel, ours) {
            (Ok(kernel), Ok(ours)) => {
                self.read += 1;
                let is_damaged = !errors(ours).is_empty();
                self.damaged += usize::from(is_damaged);
                let unlike = match state.is_honest {
                    true => differences(kernel, ours),
                    false => silent_differences(kernel, ours),
                };
                if unlike.is_empty() {
                    Ok(())
                } else {
                    Err(unlike.join("\n"))
                }
            }
            (Err(_), Err(_)) => {
                self.refused += 1;
                match state.is_honest && !self.is_fast {
                    true => Err("both refuse what a disk can hold".to_owned()),
                    false => Ok(()),
                }
            }
            (Ok(_), Err(error)) => Err(format!("only the kernel reads it: {error}")),
            // Its root cannot be read: the kernel has nothing to mount, and ours says so.
            (Err(_), Ok(ours)) if !state.is_honest && ours[&Vec::new()].stat.is_err() => {
                self.refused += 1;
                Ok(())
            }
            // The kernel does not replay all the fast commits that it writes, nor does e2fsck.
            (Err(_), Ok(ours)) if self.is_fast && errors(ours).is_empty() => {
                self.kernel_fails += 1;
                Ok(())
            }
            (Err(error), Ok(_)) => Err(format!("only the kernel refuses it: {error}")),
        }
    }
}

/// Whether a file system whose free blocks were written over is what it was.
fn lost_nothing(kernel: &Listing, without_free: &Answer<Listing>) -> Result<(), String> {
    let without_free = without_free.as_ref().map_err(Clone::clone)?;
    match differences(kernel, without_free) {
        none if none.is_empty() => Ok(()),
        lost => Err(format!("free blocks were used: {}", lost.join("\n"))),
    }
}

/// The kernel replays a fast commit as a program would do the same work now: a directory that gets
/// or loses a name has the time of the replay, which no disk says. It also counts the blocks of a
/// file again, and then leaves out the one with its attributes.
fn forgive_replay(kernel: &mut Listing, ours: &Listing, since: SystemTime) {
    let since = since.duration_since(UNIX_EPOCH).unwrap();
    let since = (
        i64::try_from(since.as_secs()).unwrap(),
        since.subsec_nanos(),
    );
    for (path, file) in kernel {
        let ours = ours.get(path).map(|file| &file.stat);
        if let (Ok(theirs), Some(Ok(ours))) = (&mut file.stat, ours) {
            if theirs.sectors < ours.sectors && file.attributes.as_ref().is_ok_and(is_large) {
                theirs.sectors = ours.sectors;
            }
            if theirs.modified >= since {
                theirs.modified = ours.modified;
            }
            if theirs.changed >= since {
                theirs.changed = ours.changed;
            }
        }
    }
}

/// Whether attributes may need a block of their own.
fn is_large(attributes: &BTreeMap<Vec<u8>, Vec<u8>>) -> bool {
    attributes.values().map(Vec::len).sum::<usize>() > 40
}

/// Compares every state, and asserts that enough of them were read.
fn same_after_every_crash(plan: &Plan) -> Count {
    let scratch = Scratch::new();
    let mut count = Count {
        is_fast: plan.mke2fs.contains("fast_commit"),
        ..Count::default()
    };
    crash(plan, scratch.path(), |state| count.look_at(state, &scratch));
    assert!(
        count.wrong.is_empty(),
        "{}: {}",
        count.wrong.len(),
        count.wrong.join("\n")
    );
    assert!(count.read >= 2 * plan.steps as usize, "{count:?}");
    let is_free_known = count.with_free >= plan.steps as usize;
    assert!(count.is_fast || is_free_known, "{count:?}");
    count
}

#[test]
fn ordered_data() {
    same_after_every_crash(&USUAL);
}

#[test]
fn data_in_the_journal() {
    let plan = Plan {
        options: "data=journal",
        mib: 16,
        mke2fs: "-t ext4 -b 1024 -N 1024 -J size=4",
        ..USUAL
    };
    same_after_every_crash(&plan);
    let mke2fs = "-t ext4 -b 4096 -N 1024 -J size=4 -O ^metadata_csum,^64bit";
    same_after_every_crash(&Plan {
        mke2fs,
        mib: 24,
        seed: 2,
        steps: 5,
        ..plan
    });
}

#[test]
fn data_written_at_any_time() {
    same_after_every_crash(&Plan {
        options: "data=writeback",
        seed: 3,
        ..USUAL
    });
}

#[test]
fn as_openvz_makes_it() {
    let mke2fs =
        "-t ext4 -j -b4096 -N 1024 -Elazy_itable_init,resize=16T -Jsize=4 -O ^metadata_csum,^64bit";
    same_after_every_crash(&Plan {
        mke2fs,
        mib: 32,
        seed: 4,
        ..USUAL
    });
}

#[test]
fn ext3_with_indirect_blocks() {
    let mke2fs = "-t ext3 -b 1024 -N 1024 -I 128 -J size=1";
    same_after_every_crash(&Plan {
        mke2fs,
        options: "data=journal",
        seed: 5,
        ..USUAL
    });
}

#[test]
fn checksums_of_version_1() {
    let mke2fs = "-t ext4 -b 1024 -N 1024 -J size=1 -O ^metadata_csum,^64bit";
    same_after_every_crash(&Plan {
        mke2fs,
        options: "journal_checksum",
        seed: 6,
        ..USUAL
    });
}

#[test]
fn commits_that_do_not_wait() {
    let plan = Plan {
        options: "journal_async_commit,data=writeback",
        seed: 7,
        ..USUAL
    };
    same_after_every_crash(&plan);
    let mke2fs = "-t ext4 -b 1024 -N 1024 -J size=1 -O ^metadata_csum,64bit";
    same_after_every_crash(&Plan {
        mke2fs,
        seed: 8,
        ..plan
    });
}

#[test]
fn a_log_that_goes_round_and_round() {
    let plan = Plan {
        steps: 30,
        seed: 9,
        ..USUAL
    };
    same_after_every_crash(&plan);
}

#[test]
fn each_file_synced_by_itself() {
    same_after_every_crash(&Plan {
        last: Last::File,
        seed: 10,
        ..USUAL
    });
}

#[test]
fn fast_commits() {
    let mke2fs = "-t ext4 -b 4096 -N 1024 -J size=6,fast_commit_size=1 -O fast_commit";
    let plan = Plan {
        mke2fs,
        mib: 32,
        last: Last::File,
        seed: 11,
        steps: 20,
        ..USUAL
    };
    let count = same_after_every_crash(&plan);
    assert!(count.read > 40, "{count:?}");
}

#[test]
fn copies_of_a_disk_that_is_written_to() {
    let scratch = Scratch::new();
    let mut count = Count::default();
    let plan = Plan { seed: 12, ..USUAL };
    torn(&plan, scratch.path(), 25, |state| {
        count.look_at(state, &scratch)
    });
    assert!(
        count.wrong.is_empty(),
        "{}: {}",
        count.wrong.len(),
        count.wrong.join("\n")
    );
    assert!(count.read + count.refused == 25, "{count:?}");
}
