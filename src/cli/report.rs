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
pub(crate) fn warn(examined: &Examined, allow_dirty: bool) {
    let lines = warnings(examined, Severity::Warning, allow_dirty);
    lines.iter().for_each(|line| complain(line));
}

/// What a user should know before relying on the disk, a line each: findings that matter at least
/// so much, less the one that is the reason to refuse the disk, because the error says it.
pub(crate) fn warnings(examined: &Examined, least: Severity, allow_dirty: bool) -> Vec<String> {
    let is_readable = examined.is_readable();
    let most = if examined.is_for_salvage() && is_readable {
        Severity::Damage
    } else {
        Severity::InUse
    };
    let refusal = examined.refuses_use(allow_dirty).filter(|_| is_readable);
    let mut lines = Vec::new();
    for finding in &examined.findings {
        let is_refusal = refusal.is_some_and(|refusal| std::ptr::eq(refusal, finding));
        if is_refusal || !(least..=most).contains(&finding.severity()) {
            continue;
        }
        lines.push(finding_line(finding));
        let instead = finding.instead.as_ref();
        let hint = instead.and_then(|instead| alternative(instead, &Typed::here(&examined.input)));
        lines.extend(hint.map(|hint| hint.to_string()));
    }
    lines.extend(examined.other_disks.iter().map(|disk| {
        format!(
            "note: the container has another disk, which is read by itself: {}",
            disk.display()
        )
    }));
    lines
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
