//! Findings, as people and as scripts read them.

use std::path::Path;

use ploopconv::ploop::{Examined, Finding, FindingKind, Severity};
use serde::Serialize;

use super::hints::{Typed, alternative};
use super::output::complain;

/// A finding in a JSON report.
#[derive(Debug, Serialize)]
pub(crate) struct JsonFinding {
    code: &'static str,
    class: &'static str,
    layer: Option<usize>,
    file: Option<String>,
    message: String,
    count: u64,
}

impl From<&Finding> for JsonFinding {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.kind.code(),
            class: finding.severity().name(),
            layer: finding.layer,
            file: finding.file.as_deref().map(path),
            message: finding.message.clone(),
            count: finding.count,
        }
    }
}

/// All findings for a JSON report.
pub(crate) fn json_findings(examined: &Examined) -> Vec<JsonFinding> {
    examined.findings.iter().map(JsonFinding::from).collect()
}

/// A path as text.
pub(crate) fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// One finding as one line.
pub(crate) fn finding_line(finding: &Finding) -> String {
    format!(
        "{}: {finding} [{}]",
        finding.severity().name(),
        finding.kind.code()
    )
}

/// Says on stderr what a user should know before relying on the disk.
pub(crate) fn warn(examined: &Examined, least: Severity) {
    // Where damage ends the command, the error says so.
    let most = if examined.is_for_salvage() {
        Severity::Damage
    } else {
        Severity::InUse
    };
    let worth_saying = |finding: &&Finding| (least..=most).contains(&finding.severity());
    for finding in examined.findings.iter().filter(worth_saying) {
        complain(&finding_line(finding));
        let instead = finding.instead.as_ref();
        let hint = instead.and_then(|instead| alternative(instead, &Typed::here(&examined.input)));
        hint.iter().for_each(|hint| complain(&hint.to_string()));
    }
    for disk in &examined.other_disks {
        complain(&format!(
            "note: the container has another disk, which is read by itself: {}",
            disk.display()
        ));
    }
}

/// Bytes in the images that belong to no cluster.
pub(crate) fn unreferenced_bytes(examined: &Examined) -> u64 {
    let unreferenced = |finding: &&Finding| finding.kind == FindingKind::Unreferenced;
    examined
        .findings
        .iter()
        .filter(unreferenced)
        .map(|finding| finding.count)
        .sum()
}
