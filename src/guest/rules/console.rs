//! A login on the console that the new host gives: `/dev/console`, and `/dev/tty1` on Proxmox.

use super::super::draft::Draft;
use super::super::system::Init;
use super::context::Context;
use crate::error::Result;

/// Lines that root's login needs in `/etc/securetty`, as the hosts name their consoles.
const SECURE: &[&str] = &[
    "console",
    "tty1",
    "tty2",
    "lxc/console",
    "lxc/tty1",
    "lxc/tty2",
];

/// Programs that ask for a login, and how each is called on a terminal.
const GETTYS: &[(&str, &str)] = &[
    ("sbin/agetty", "/sbin/agetty 38400 TTY linux"),
    ("sbin/getty", "/sbin/getty 38400 TTY"),
    ("usr/sbin/agetty", "/usr/sbin/agetty 38400 TTY linux"),
    ("usr/sbin/getty", "/usr/sbin/getty 38400 TTY"),
    ("sbin/mingetty", "/sbin/mingetty TTY"),
];

/// The terminals that get a login, and their names in inittab.
const TERMINALS: &[(&str, &str)] = &[("co", "console"), ("1", "tty1")];

const LOGIN: &str = "a login on the terminals that the new host gives, and on no others";
const NO_HANGUP: &str =
    "mingetty ends where vhangup fails, as it does in an unprivileged container";
const POWER: &str = "the new host asks for a shutdown with SIGPWR";

/// Upstart's jobs: the path, the text, why.
const JOBS: &[(&str, &str, &str)] = &[
    (
        "etc/init/console.conf",
        "start on stopped rc RUNLEVEL=[2345]\nstop on runlevel [!2345]\nrespawn\nexec GETTY\n",
        LOGIN,
    ),
    (
        "etc/init/tty1.conf",
        "start on stopped rc RUNLEVEL=[2345]\nstop on runlevel [!2345]\nrespawn\nexec GETTY\n",
        LOGIN,
    ),
    (
        "etc/init/power-status-changed.conf",
        "start on power-status-changed\ntask\nexec /sbin/telinit 0\n",
        POWER,
    ),
];

/// The same for the Upstart before `/etc/init`.
const EVENTS: &[(&str, &str, &str)] = &[
    ("etc/event.d/console", EVENT_LOGIN, LOGIN),
    ("etc/event.d/tty1", EVENT_LOGIN, LOGIN),
    (
        "etc/event.d/power-status-changed",
        "start on power-status-changed\nexec /sbin/telinit 0\n",
        POWER,
    ),
];

const EVENT_LOGIN: &str = "start on stopped rc2\nstart on stopped rc3\nstart on stopped rc4\n\
     start on stopped rc5\nstop on runlevel 0\nstop on runlevel 1\nstop on runlevel 6\nrespawn\n\
     exec GETTY\n";

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    draft.edit(
        "etc/securetty",
        "root may log in on the terminals that the new host gives",
        |text| {
            let known = |tty: &str| text.lines().any(|line| line.trim() == tty);
            let missing = SECURE.iter().copied().filter(|tty| !known(tty));
            with_lines(text, missing.map(str::to_owned))
        },
    )?;
    for path in ["etc/inittab", "etc/init/tty.conf", "etc/event.d/tty1"] {
        draft.edit(path, NO_HANGUP, without_hangup)?;
    }
    match context.system.init {
        Init::Upstart => jobs(draft, JOBS),
        Init::UpstartEvents => jobs(draft, EVENTS),
        Init::Sysv => inittab(draft),
        Init::Busybox => busybox(draft),
        // systemd starts a login on /dev/console by itself where it runs in a container.
        Init::Systemd | Init::None => Ok(()),
    }
}

/// The option of mingetty that does so.
const HANGUP_OFF: &str = "nohangup";

/// The text with mingetty told not to hang other programs up.
fn without_hangup(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let is_comment = line.trim_start().starts_with('#');
        match line.split_once("mingetty ") {
            Some((start, rest)) if !is_comment && !rest.contains(HANGUP_OFF) => {
                format!("{start}mingetty --{HANGUP_OFF} {rest}")
            }
            _ => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// How a login on `tty` is started; `None` where no program of the guest does it.
pub(super) fn getty(draft: &Draft<'_>, tty: &str) -> Result<Option<String>> {
    for (program, call) in GETTYS {
        if draft.view.first(&[program])?.is_some() {
            return Ok(Some(without_hangup(&call.replace("TTY", tty))));
        }
    }
    Ok(None)
}

fn jobs(draft: &mut Draft<'_>, jobs: &[(&str, &str, &str)]) -> Result<()> {
    for (path, text, reason) in jobs {
        let name = path.rsplit('/').next().unwrap_or(path);
        let tty = name.trim_end_matches(".conf");
        let text = match getty(draft, tty)? {
            Some(call) => text.replace("GETTY", &call),
            None if text.contains("GETTY") => {
                no_getty(draft)?;
                continue;
            }
            None => (*text).to_owned(),
        };
        // CentOS starts logins on a list of terminals.
        let starts_tty1 = tty == "tty1" && starts_terminals(draft)?;
        if !starts_tty1 {
            draft.create(path, 0o644, &text, reason)?;
        }
    }
    // OpenVZ's templates for CentOS 6 have an empty list.
    draft.edit("etc/sysconfig/init", LOGIN, |text| {
        let lines = text.split('\n').map(|line| match line.trim() {
            "ACTIVE_CONSOLES=" | "ACTIVE_CONSOLES=\"\"" => "ACTIVE_CONSOLES=/dev/tty1",
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}

pub(super) fn starts_terminals(draft: &Draft<'_>) -> Result<bool> {
    let both = ["etc/init/start-ttys.conf", "etc/init/tty.conf"];
    Ok(draft.has(both[0])? && draft.has(both[1])?)
}

pub(super) fn no_getty(draft: &mut Draft<'_>) -> Result<()> {
    let reason = "the guest has no getty: there is no login on the console";
    draft.keep("sbin", reason)
}

/// A line `id:levels:action:process`.
pub(super) struct Entry<'a> {
    pub(super) id: &'a str,
    action: &'a str,
    pub(super) process: &'a str,
}

impl<'a> Entry<'a> {
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(4, ':');
        let id = fields.next().filter(|id| !id.starts_with('#'))?;
        let (_, action) = (fields.next()?, fields.next()?);
        Some(Self {
            id: id.trim(),
            action: action.trim(),
            process: fields.next()?,
        })
    }

    fn is_login(&self) -> bool {
        self.action == "respawn" && self.process.contains("getty")
    }

    pub(super) fn is_login_on(&self, tty: &str) -> bool {
        self.is_login() && self.process.split_whitespace().any(|word| word == tty)
    }
}

/// System V's init, with the lines that OpenVZ and the old host's terminals had as comments.
fn inittab(draft: &mut Draft<'_>) -> Result<()> {
    let path = "etc/inittab";
    let Some(before) = draft.text(path)? else {
        return Ok(());
    };
    let mut added = Vec::new();
    for (id, tty) in TERMINALS {
        let mut entries = before.lines().filter_map(Entry::parse);
        if entries.any(|entry| entry.is_login_on(tty)) {
            continue;
        }
        match getty(draft, tty)? {
            Some(call) => added.push(format!("{id}:2345:respawn:{call}")),
            None => no_getty(draft)?,
        }
    }
    draft.edit(path, LOGIN, |text| {
        let taken = |line: &str| {
            Entry::parse(line).is_some_and(|entry| {
                let wanted = TERMINALS.iter().any(|(_, tty)| entry.is_login_on(tty));
                let replaced = added.iter().filter_map(|line| Entry::parse(line));
                // Two lines of one name are a mistake.
                let mut names = replaced.map(|line| line.id.to_owned());
                !wanted && (entry.is_login() || names.any(|id| id == entry.id))
            })
        };
        with_lines(&commented(text, taken), added.iter().cloned())
    })?;
    draft.edit(
        path,
        "told the OpenVZ host that the container had started",
        |text| {
            commented(text, |line| {
                Entry::parse(line).is_some_and(|entry| entry.process.contains("/.vzfifo"))
            })
        },
    )?;
    draft.edit(path, POWER, |text| {
        let ours = "p0::powerfail:/sbin/init 0";
        if text.lines().any(|line| line == ours) {
            return text.to_owned();
        }
        let is_power =
            |line: &str| Entry::parse(line).is_some_and(|entry| entry.action.starts_with("power"));
        with_lines(&commented(text, is_power), [ours.to_owned()])
    })
}

/// BusyBox's init, whose lines begin with a terminal.
fn busybox(draft: &mut Draft<'_>) -> Result<()> {
    draft.edit("etc/inittab", LOGIN, |text| {
        let on =
            |line: &str, tty: &str| Entry::parse(line).is_some_and(|entry| entry.is_login_on(tty));
        let taken = |line: &str| {
            let wanted = TERMINALS.iter().any(|(_, tty)| on(line, tty));
            !wanted && Entry::parse(line).is_some_and(|entry| entry.is_login())
        };
        let ttys = TERMINALS.iter().map(|(_, tty)| *tty);
        let missing = ttys.filter(|tty| !text.lines().any(|line| on(line, tty)));
        let added = missing.map(|tty| format!("{tty}::respawn:/sbin/getty 38400 {tty}"));
        with_lines(&commented(text, taken), added)
    })
}

/// The text with those lines as comments.
pub(super) fn commented(text: &str, taken: impl Fn(&str) -> bool) -> String {
    let lines = text.split('\n').map(|line| {
        if taken(line) {
            format!("#container# {line}")
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The text with lines more at its end.
pub(super) fn with_lines(text: &str, lines: impl IntoIterator<Item = String>) -> String {
    let mut text = text.to_owned();
    for line in lines {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}
