//! `ploopconv check`: everything that is wrong with an image or a chain.

use anyhow::Context;
use ploopconv::disk::VirtualDisk;
use ploopconv::ploop::{Examined, Severity};
use serde::Serialize;

use super::ending::Ending;
use super::open::OpenArgs;
use super::outcome::{Reported, Verdict};
use super::output::{finish, line, results};
use super::report::{JsonFinding, finding_line, json_findings, other_reading, unreferenced_bytes};

/// Look for damage; writes nothing
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    image: String,
    verdict: &'static str,
    /// Of a split disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<usize>,
    layers: usize,
    findings: Vec<JsonFinding>,
    unreferenced_bytes: u64,
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Verdict> {
    let workers = args.open.workers()?;
    let examined = args.open.examine(&workers)?;
    let (word, verdict) = match examined.worst() {
        Some(Severity::Damage) => ("damaged", Verdict::Damaged),
        _ if !examined.is_in_use() => ("clean", Verdict::Done),
        _ if examined.refuses_use(args.open.if_in_use()).is_none() => ("in-use", Verdict::Done),
        _ => ("in-use", Verdict::InUse),
    };
    // Images are checked as a whole. A partition that cannot be read is said all the same.
    if let (Some(disk), false) = (examined.disk(), examined.is_damaged()) {
        args.open
            .choose(disk)
            .with_context(|| format!("checking {}", args.open.name()))?;
    }
    let unchanged = match examined.disk() {
        Some(disk) if !args.open.allow_dirty => disk.check_unchanged(),
        _ => Ok(()),
    };
    if args.json {
        // A report does not say less than the exit status.
        unchanged?;
        let ending = Ending::of(verdict, || match verdict {
            Verdict::Damaged => format!("{} is damaged", args.open.name()),
            _ => format!("{} is in use", args.open.name()),
        });
        ending.print(&Report {
            image: args.open.name().to_string(),
            verdict: word,
            parts: Some(examined.parts.len()).filter(|&parts| parts > 0),
            layers: examined.layers.len(),
            findings: json_findings(&examined),
            unreferenced_bytes: unreferenced_bytes(&examined),
        })?;
    } else {
        print(&examined, &format!("{}: {word}", args.open.name()))?;
        unchanged.map_err(Reported::after)?;
    }
    Ok(verdict)
}

fn print(examined: &Examined, verdict: &str) -> anyhow::Result<()> {
    let mut out = results();
    for finding in &examined.findings {
        line(&mut out, &finding_line(finding))?;
        if let Some(reading) = other_reading(examined, finding) {
            line(&mut out, &reading)?;
        }
    }
    line(&mut out, verdict)?;
    finish(out)
}
