//! `/etc/conf.d/net`: Gentoo.

use super::super::super::draft::Draft;
use super::manager::{DHCP_CLIENTS, Manager, VENET};
use super::wanted::Wanted;
use crate::error::Result;

pub(super) const NETIFRC: Manager = Manager {
    is_used,
    dhcp: DHCP_CLIENTS,
    clean,
    card,
    set,
};

const FILE: &str = "etc/conf.d/net";

fn is_used(draft: &Draft<'_>) -> Result<bool> {
    draft.has("etc/init.d/net.lo")
}

fn clean(draft: &mut Draft<'_>) -> Result<()> {
    draft.edit(FILE, VENET, without_venet)?;
    for pattern in ["etc/init.d/net.venet0*", "etc/runlevels/*/net.venet0*"] {
        for path in draft.view.matching(pattern)? {
            draft.remove(&path, VENET)?;
        }
    }
    Ok(())
}

/// The text without assignments to `config_venet0` and its kin, which may have several lines
/// between quotes or parentheses.
fn without_venet(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut end: Option<char> = None;
    for line in text.split('\n') {
        if let Some(sign) = end {
            if line.contains(sign) {
                end = None;
            }
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if !key.trim_start().starts_with('#') && key.contains("_venet0") {
            let value = value.trim();
            let (open, rest) = (value.chars().next(), value.get(1..).unwrap_or_default());
            let sign = match open {
                Some('"') => Some('"'),
                Some('(') => Some(')'),
                _ => None,
            };
            end = sign.filter(|sign| !rest.contains(*sign));
            continue;
        }
        kept.push(line);
    }
    kept.join("\n")
}

fn card(draft: &Draft<'_>) -> Result<Option<String>> {
    let text = draft.text(FILE)?.unwrap_or_default();
    let mut lines = text.lines().map(str::trim_start);
    let is_set = lines.any(|line| line.starts_with("config_eth0"));
    Ok(is_set.then(|| FILE.to_owned()))
}

fn set(draft: &mut Draft<'_>, wanted: &Wanted) -> Result<()> {
    let ours = lines(wanted);
    if draft.text(FILE)?.is_none() {
        draft.create(FILE, 0o644, &ours, &wanted.reason)?;
    } else {
        draft.edit(FILE, &wanted.reason, |text| {
            let text = text.trim_end();
            format!("{text}{}{ours}", if text.is_empty() { "" } else { "\n" })
        })?;
    }
    draft.link("net.lo", "etc/init.d/net.eth0", &wanted.reason)?;
    let started = "etc/runlevels/default/net.eth0";
    draft.link("/etc/init.d/net.eth0", started, &wanted.reason)
}

fn lines(wanted: &Wanted) -> String {
    if wanted.is_dhcp() {
        return "config_eth0=\"dhcp\"\n".to_owned();
    }
    let v4 = wanted.v4.iter().map(|(ip, bits)| format!("{ip}/{bits}"));
    let v6 = wanted.v6.iter().map(|(ip, bits)| format!("{ip}/{bits}"));
    let addresses: Vec<String> = v4.chain(v6).collect();
    let mut routes: Vec<String> = Vec::new();
    routes.extend(
        wanted
            .far_gateway4()
            .map(|far| format!("{far}/32 dev eth0")),
    );
    routes.extend(
        wanted
            .far_gateway6()
            .map(|far| format!("{far}/128 dev eth0")),
    );
    routes.extend(
        wanted
            .gateway4
            .map(|gateway| format!("default via {gateway}")),
    );
    routes.extend(
        wanted
            .gateway6
            .map(|gateway| format!("default via {gateway}")),
    );
    let mut text = format!("config_eth0=\"{}\"\n", addresses.join("\n"));
    if !routes.is_empty() {
        text.push_str(&format!("routes_eth0=\"{}\"\n", routes.join("\n")));
    }
    text
}
