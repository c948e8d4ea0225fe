//! SUSE before systemd: `insserv` links the scripts of the boot, and keeps their order in a file.

use super::super::draft::Draft;
use super::super::system::Init;
use super::context::Context;
use super::services::UDEV;
use crate::error::Result;

/// Scripts of the boot that a container does without.
const OFF: &[(&str, &str)] = &[("boot.udev", UDEV)];

/// Where the links are, and the targets of make that say which scripts start after which.
const LINKS: &str = "etc/init.d/boot.d";
const ORDER: &str = "etc/init.d/.depend.boot";

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    if context.system.init != Init::Sysv {
        return Ok(());
    }
    for (script, reason) in OFF {
        let links = draft.view.matching(&format!("{LINKS}/???{script}"))?;
        if links.is_empty() {
            continue;
        }
        for link in links {
            draft.remove(&link, reason)?;
        }
        draft.edit(ORDER, reason, |text| without(text, script))?;
    }
    Ok(())
}

/// The order without a script: neither it nor what waits for it.
fn without(text: &str, script: &str) -> String {
    let lines = text.split('\n').filter_map(|line| {
        let target = line.split_once(':').map(|(target, _)| target.trim());
        let words = line.split(' ').filter(|word| *word != script);
        (target != Some(script)).then(|| words.collect::<Vec<_>>().join(" "))
    });
    lines.collect::<Vec<_>>().join("\n")
}
