//! `ploopconv check`: everything that is wrong with an image or a chain.

use anyhow::Context;
use ploopconv::disk::VirtualDisk;
use ploopconv::ploop::{Examined, Severity};
use serde::Serialize;

use super::Verdict;
use super::exit::Reported;
use super::open::OpenArgs;
use super::output::{finish, json, line, results};
use super::report::{JsonFinding, finding_line, json_findings, unreferenced_bytes};

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
    status: &'static str,
    layers: usize,
    findings: Vec<JsonFinding>,
    unreferenced_bytes: u64,
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Verdict> {
    let workers = args.open.workers()?;
    let examined = args.open.examine(&workers)?;
    let (status, verdict) = match examined.worst() {
        Some(Severity::Damage) => ("damaged", Verdict::Damaged),
        _ if !examined.is_in_use() => ("clean", Verdict::Done),
        _ if examined.refuses_use(args.open.allow_dirty).is_none() => ("in-use", Verdict::Done),
        _ => ("in-use", Verdict::InUse),
    };
    // Images are checked as a whole. A partition that cannot be read is said all the same.
    if let (Some(disk), false) = (examined.disk(), examined.is_damaged()) {
        args.open
            .choose(disk)
            .with_context(|| format!("checking {}", args.open.name()))?;
    }
    if args.json {
        json(&Report {
            image: args.open.name().to_string(),
            status,
            layers: examined.layers.len(),
            findings: json_findings(&examined),
            unreferenced_bytes: unreferenced_bytes(&examined),
        })?;
    } else {
        print(&examined, &format!("{}: {status}", args.open.name()))?;
    }
    if let (Some(disk), false) = (examined.disk(), args.open.allow_dirty) {
        disk.check_unchanged().map_err(Reported::after)?;
    }
    Ok(verdict)
}

fn print(examined: &Examined, verdict: &str) -> anyhow::Result<()> {
    let mut out = results();
    for finding in &examined.findings {
        line(&mut out, &finding_line(finding))?;
    }
    line(&mut out, verdict)?;
    finish(out)
}
