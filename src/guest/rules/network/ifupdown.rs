//! `/etc/network/interfaces`: Debian, Ubuntu to 17.04, Alpine.

use super::super::super::config::netmask;
use super::super::super::draft::Draft;
use super::super::super::system::System;
use super::super::super::view::matches;
use super::glob::one_matches;
use super::manager::{DHCP_CLIENTS, Manager, VENET};
use super::routed::{is_of_host, is_routed};
use super::wanted::Wanted;
use crate::error::Result;

pub(super) const IFUPDOWN: Manager = Manager {
    is_used,
    dhcp: DHCP_CLIENTS,
    clean,
    card,
    set,
};

const FILE: &str = "etc/network/interfaces";
const MORE: &str = "etc/network/interfaces.d/*";

/// vzctl writes the file anew when it gives a container an address.
const UNREAD: &str = "nothing reads this file, as etc/network/interfaces has no source line for \
     its folder: it configures nothing until there is one";

fn is_used(draft: &Draft<'_>, _: &System) -> Result<bool> {
    let ifup = draft.view.first(&["sbin/ifup", "usr/sbin/ifup"])?;
    Ok(ifup.is_some() && draft.view.is_directory("etc/network")?)
}

fn clean(draft: &mut Draft<'_>) -> Result<()> {
    let mut files = draft.view.matching(MORE)?;
    files.push(FILE.to_owned());
    for path in files {
        draft.edit(&path, VENET, without_venet)?;
        let text = draft.text(&path)?;
        if path != FILE && text.is_some_and(|text| text.trim().is_empty()) {
            draft.remove(&path, VENET)?;
        }
    }
    // vzctl's own drafts of the file; of the parts that it takes from somebody, one is not read
    // any more.
    for path in draft.view.matching("etc/network/interfaces.*")? {
        let text = draft.view.text(&path)?.unwrap_or_default();
        if !text.contains("venet0") {
            continue;
        }
        let is_part = [".head", ".tail", ".template"]
            .iter()
            .any(|end| path.ends_with(end));
        match is_part && !without_venet(&text).trim().is_empty() {
            true => draft.keep(
                &path,
                "a part of the file for vzctl: nothing reads it any more",
            )?,
            false => draft.remove(&path, VENET)?,
        }
    }
    // Commands of other cards.
    let text = draft.text(FILE)?.unwrap_or_default();
    let mut code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    if code.any(|line| line.contains("venet0")) {
        draft.keep(
            FILE,
            "still names venet0 beside other cards: change that by hand",
        )?;
    }
    Ok(())
}

/// Says which files of the folder nothing reads, where ifupdown is used.
pub(super) fn unread(draft: &mut Draft<'_>, system: &System) -> Result<()> {
    let Some(main) = draft.text(FILE)? else {
        return Ok(());
    };
    if !is_used(draft, system)? || main.lines().any(reads_folder) {
        return Ok(());
    }
    for path in draft.view.matching(MORE)? {
        let text = draft.text(&path)?.unwrap_or_default();
        let mut lines = text.lines().map(str::trim_start);
        if lines.any(|line| !line.is_empty() && !line.starts_with('#')) {
            draft.keep(&path, UNREAD)?;
        }
    }
    Ok(())
}

fn card(draft: &Draft<'_>) -> Result<Option<String>> {
    let mut files = vec![FILE.to_owned()];
    let main = draft.text(FILE)?.unwrap_or_default();
    if main.lines().any(reads_folder) {
        files.extend(draft.view.matching(MORE)?);
    }
    for path in files {
        let text = draft.text(&path)?.unwrap_or_default();
        let mut stanzas = text.lines().map(|line| line.split_whitespace());
        if stanzas.any(|mut words| words.next() == Some("iface") && words.next() == Some("eth0")) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Whether a line has the files of the folder read.
fn reads_folder(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let is_of_folder = |word: &str| {
        let (folder, _) = word.rsplit_once('/').unwrap_or_default();
        word.contains("interfaces.d") || matches(folder, "/etc/network/interfaces.d")
    };
    ["source", "source-directory", "source-dir"].contains(&first) && words.any(is_of_folder)
}

/// Whether something starts `eth0` by itself.
pub(super) fn starts_eth0(text: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        let starts = first == "auto" || first.starts_with("allow-");
        starts && words.any(|word| word == "eth0" || one_matches(word, "eth0"))
    })
}

fn set(draft: &mut Draft<'_>, wanted: &Wanted, _: &System) -> Result<()> {
    let ours = stanzas(wanted);
    if draft.text(FILE)?.is_none() {
        let whole = format!("auto lo\niface lo inet loopback\n\n{ours}");
        draft.create(FILE, 0o644, &whole, &wanted.reason)?;
    } else {
        draft.edit(FILE, &wanted.reason, |text| {
            format!("{}\n\n{ours}", text.trim_end())
        })?;
    }
    // Alpine starts it by a link that OpenVZ's templates lack.
    let has_levels = draft.view.is_directory("etc/runlevels/boot")?;
    if has_levels && draft.has("etc/init.d/networking")? {
        draft.link(
            "/etc/init.d/networking",
            "etc/runlevels/boot/networking",
            "OpenRC starts the network where a run level names it",
        )?;
    }
    Ok(())
}

/// The text without stanzas of `venet0` and of routed cards. A stanza reaches to the next one.
fn without_venet(text: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut skips = false;
    for line in text.split('\n') {
        let mut words = line.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next());
        if first.starts_with('#') {
            if !line.contains("venet0") && !is_routed(line) && !is_vzctls(line) {
                kept.push(line.to_owned());
            }
            continue;
        }
        if first == "auto" || first.starts_with("allow-") {
            let names = line.split_whitespace().skip(1);
            let (gone, others): (Vec<&str>, Vec<&str>) =
                names.partition(|name| is_of_host(name, text));
            skips = others.is_empty() && second.is_some();
            if !skips {
                let shorter = format!("{first} {}", others.join(" "));
                kept.push(if gone.is_empty() {
                    line.to_owned()
                } else {
                    shorter
                });
            }
            continue;
        }
        match first {
            "iface" | "mapping" => {
                skips = second.is_some_and(|name| is_of_host(name, text));
            }
            "source" | "source-directory" | "source-dir" | "no-auto-down" | "no-scripts"
            | "rename" => skips = false,
            _ => {}
        }
        if !skips {
            kept.push(line.to_owned());
        }
    }
    let mut after = kept.join("\n");
    if after == text {
        return after;
    }
    // What stood between two stanzas does not need three empty lines.
    while after.contains("\n\n\n") {
        after = after.replace("\n\n\n", "\n\n");
    }
    after
}

/// Lines that vzctl writes over the stanzas that it makes.
fn is_vzctls(line: &str) -> bool {
    [
        "WARNING: Do not edit this file",
        "Please edit template /etc/network/interfaces.template",
        "Please create/edit /etc/network/interfaces",
        "their contents will be inserted",
        "NOTE: it is NOT guaranteed",
    ]
    .iter()
    .any(|known| line.contains(known))
}

fn stanzas(wanted: &Wanted) -> String {
    if wanted.is_dhcp() {
        return "auto eth0\niface eth0 inet dhcp\n".to_owned();
    }
    let servers = match wanted.servers.is_empty() {
        true => String::new(),
        false => format!("    dns-nameservers {}\n", wanted.servers(" ")),
    };
    let mut text = "auto eth0\n".to_owned();
    for (number, (address, bits)) in wanted.v4.iter().enumerate() {
        let name = match number {
            0 => "eth0".to_owned(),
            _ => format!("eth0:{number}"),
        };
        if number > 0 {
            text.push_str(&format!("\nauto {name}\n"));
        }
        text.push_str(&format!(
            "iface {name} inet static\n    address {address}\n    netmask {}\n",
            netmask(*bits)
        ));
        match (number, wanted.gateway4, wanted.far_gateway4()) {
            (0, _, Some(far)) => text.push_str(&format!(
                "    up ip route add {far} dev eth0\n    \
                 up ip route add default via {far} dev eth0\n"
            )),
            (0, Some(near), None) => text.push_str(&format!("    gateway {near}\n")),
            _ => {}
        }
        if number == 0 {
            text.push_str(&servers);
        }
    }
    for (number, (address, bits)) in wanted.v6.iter().enumerate() {
        if number > 0 {
            text.push_str(&format!(
                "    up ip -6 addr add {address}/{bits} dev eth0\n"
            ));
            continue;
        }
        text.push_str(&format!(
            "{}iface eth0 inet6 static\n    address {address}\n    netmask {bits}\n",
            if wanted.v4.is_empty() { "" } else { "\n" }
        ));
        match (wanted.gateway6, wanted.far_gateway6()) {
            (_, Some(far)) => text.push_str(&format!(
                "    up ip -6 route add {far} dev eth0\n    \
                 up ip -6 route add default via {far} dev eth0\n"
            )),
            (Some(near), None) => text.push_str(&format!("    gateway {near}\n")),
            (None, None) => {}
        }
        if wanted.v4.is_empty() {
            text.push_str(&servers);
        }
    }
    text
}
