//! `ploopconv batch`: many containers, one after the other or several at a time, and one report.
//!
//! Each disk is converted by a process of its own: what kills one (memory, a host that hangs) does
//! not end the others, and a disk is converted exactly as `ploopconv IMAGE -o TARGET` does it.

mod args;
mod child;
mod jobs;
mod report;
mod run;
mod show;
mod words;

use anyhow::Context;
use ploopconv::sink::PathLock;

pub(crate) use self::args::BatchArgs;

use self::jobs::jobs;
use self::report::file_of_others;
use self::run::Batch;
use super::ending::Ending;
use super::outcome::{Usage, Verdict};
use super::output::write_message;

pub(crate) fn run(args: &BatchArgs) -> anyhow::Result<Verdict> {
    args.convert.refuse_nonsense().map_err(Usage)?;
    if args.containers.is_empty() && !args.all {
        let message = "which containers? CONTAINER names some, --all means those of this host";
        return Err(Usage(message.to_owned()).into());
    }
    if let Some(file) = file_of_others(&args.output).filter(|_| !args.convert.has("force")) {
        anyhow::bail!(
            "{} exists, and is not the report of an earlier batch; -f replaces it",
            file.display()
        );
    }
    let (found, problems) = jobs(args)?;
    for problem in &problems {
        write_message(problem);
    }
    if found.is_empty() {
        anyhow::bail!("no container and no disk to convert was found");
    }
    if !args.dry_run {
        let made = std::fs::create_dir_all(&args.output);
        made.with_context(|| format!("making {}", args.output.display()))?;
    }
    // Two would each take the targets of the other for somebody's, and lose lines of its reports.
    let lock = (!args.dry_run).then(|| PathLock::take(&args.output));
    let lock = lock.transpose()?;
    if matches!(lock, Some(None)) {
        anyhow::bail!(
            "another batch writes to {}: let it end first, or choose another folder",
            args.output.display()
        );
    }
    let batch = Batch::new(args, found, problems)?;
    let done = batch.run()?;
    let verdict = done.verdict();
    for line in done.last_words() {
        if !args.quiet || verdict != Verdict::Done {
            write_message(&line);
        }
    }
    if args.json {
        Ending::of(verdict, || done.summary()).print(&done)?;
    }
    Ok(verdict)
}
