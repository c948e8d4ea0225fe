//! Findings, as people and as scripts read them.

use std::path::Path;

use ploopconv::ploop::{Examined, Finding, FindingKind, IfInUse, Severity, bundle_disks};
use serde::Serialize;

use super::output::write_message;
use crate::advice::hints::{Typed, alternative};

/// A finding in a JSON report.
#[derive(Debug, Serialize)]
pub(crate) struct JsonFinding {
    code: &'static str,
    class: &'static str,
    /// Of a split disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<usize>,
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
            part: finding.part,
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
pub(crate) fn warn(examined: &Examined, if_in_use: IfInUse) {
    let lines = warnings(examined, Severity::Warning, if_in_use);
    lines.iter().for_each(|line| write_message(line));
}

/// What a user should know before relying on the disk, a line each: findings that matter at least
/// so much, less the one that is the reason to refuse the disk, because the error says it.
pub(crate) fn warnings(examined: &Examined, least: Severity, if_in_use: IfInUse) -> Vec<String> {
    let is_readable = examined.is_readable();
    let most = if examined.is_for_salvage() && is_readable {
        Severity::Damage
    } else {
        Severity::InUse
    };
    let refusal = examined.refuses_use(if_in_use).filter(|_| is_readable);
    let mut lines = Vec::new();
    for finding in &examined.findings {
        let is_refusal = refusal.is_some_and(|refusal| std::ptr::eq(refusal, finding));
        let matters = (least..=most).contains(&finding.severity())
            // Only what the base holds says so: who knows better should see it.
            || finding.kind == FindingKind::RawGrown;
        if is_refusal || !matters {
            continue;
        }
        lines.push(finding_line(finding));
        lines.extend(other_reading(examined, finding));
    }
    let configured = bundle_disks(&examined.input);
    let whose = match configured.iter().any(|disk| disk.is_configured) {
        true => "virtual machine",
        false => "container",
    };
    lines.extend(examined.other_disks.iter().map(|disk| {
        let name = disk.display();
        if is_missing(disk) {
            format!("note: the {whose}'s configuration names a disk that is missing: {name}")
        } else {
            format!("note: the {whose} has another disk, which is read by itself: {name}")
        }
    }));
    lines
}

/// How the disk could be read where a finding is a mistake of its descriptor.
pub(crate) fn other_reading(examined: &Examined, finding: &Finding) -> Option<String> {
    let hint = alternative(finding.instead.as_ref()?, &Typed::here(&examined.input))?;
    Some(hint.to_string())
}

/// Whether a disk is certainly not there.
pub(crate) fn is_missing(disk: &Path) -> bool {
    disk.try_exists().is_ok_and(|exists| !exists)
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
