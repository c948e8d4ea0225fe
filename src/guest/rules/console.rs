//! A login on the console that the new host gives: `/dev/console`, and `/dev/tty1` on Proxmox.

use std::collections::BTreeSet;

use super::super::draft::Draft;
use super::super::system::Init;
use super::context::Context;
use super::terminals::{fill, starts_terminals};
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
    match context.system.init {
        Init::Upstart => jobs(draft, JOBS)?,
        Init::UpstartEvents => jobs(draft, EVENTS)?,
        Init::Sysv => inittab(draft)?,
        Init::Busybox => busybox(draft)?,
        Init::Systemd => console_shell(draft)?,
        Init::None => {}
    }
    if !can_leave_others(draft)? {
        return Ok(());
    }
    // vzctl writes jobs of its own, for the console and tty2.
    for pattern in ["etc/inittab", "etc/init/*.conf", "etc/event.d/*"] {
        for path in draft.view.matching(pattern)? {
            draft.edit(&path, NO_HANGUP, without_hangup)?;
        }
    }
    Ok(())
}

/// systemd starts a login on /dev/console by itself where it runs in a container. One of 2012
/// starts `console-shell`, which vzctl takes away; it writes a unit of a login, and starts that.
fn console_shell(draft: &mut Draft<'_>) -> Result<()> {
    for folder in ["usr/lib/systemd/system", "lib/systemd/system"] {
        let unit = format!("{folder}/console-getty.service");
        let text = draft.view.text(&unit)?.unwrap_or_default();
        if text.contains("Description=Console Shell") {
            return draft.link(
                &format!("/{unit}"),
                "etc/systemd/system/getty.target.wants/console-getty.service",
                LOGIN,
            );
        }
    }
    Ok(())
}

/// The option of mingetty that does so.
const HANGUP_OFF: &str = "nohangup";

/// Whether this mingetty can be told not to hang others up: SUSE's own ended with its usage before
/// 2007. An empty file tells nothing.
fn can_leave_others(draft: &Draft<'_>) -> Result<bool> {
    const MOST: u64 = 1 << 20;
    for path in ["sbin/mingetty", "usr/sbin/mingetty"] {
        if let Some(program) = draft.view.head(path, MOST)? {
            let mut words = program.windows(HANGUP_OFF.len());
            return Ok(program.is_empty() || words.any(|word| word == HANGUP_OFF.as_bytes()));
        }
    }
    Ok(true)
}

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
            let call = call.replace("TTY", tty);
            return Ok(Some(match can_leave_others(draft)? {
                true => without_hangup(&call),
                false => call,
            }));
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
    fill(draft, "/dev/tty1", LOGIN)
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
        // Both inits pass blanks over before they look for a comment.
        let mut fields = line.trim_start().splitn(4, ':');
        let id = fields.next().filter(|id| !id.starts_with('#'))?;
        let (_, action) = (fields.next()?, fields.next()?);
        Some(Self {
            id: id.trim(),
            action: action.trim(),
            process: fields.next()?,
        })
    }

    /// Whether it is run before everything else.
    pub(super) fn is_at_start(&self) -> bool {
        self.action == "sysinit"
    }

    pub(super) fn is_login(&self) -> bool {
        self.action == "respawn" && self.process.contains("getty")
    }

    pub(super) fn is_login_on(&self, tty: &str) -> bool {
        self.is_login() && self.process.split_whitespace().any(|word| word == tty)
    }

    /// Whether `vzctl` wrote it for another init: BusyBox's opens the terminal of that name, and
    /// starts nothing on `/dev/1`.
    pub(super) fn has_number(&self) -> bool {
        !self.id.is_empty() && self.id.chars().all(|c| c.is_ascii_digit())
    }
}

/// How a login on a terminal is started.
type Call = fn(&Draft<'_>, &str) -> Result<Option<String>>;

/// Gives System V's inittab one login on each terminal, and comments out those that go. Of two
/// lines of one name this init reads the first only, whatever they start: `vzctl` writes a line
/// `1` for the console behind that of tty1.
pub(super) fn logins(
    draft: &mut Draft<'_>,
    terminals: &[(&str, &str)],
    why: &str,
    call: Call,
    goes: impl Fn(&Entry<'_>) -> bool,
) -> Result<()> {
    let path = "etc/inittab";
    let Some(before) = draft.text(path)? else {
        return Ok(());
    };
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut off: BTreeSet<usize> = BTreeSet::new();
    let mut served: Vec<&str> = Vec::new();
    for (number, line) in before.split('\n').enumerate() {
        let Some(entry) = Entry::parse(line) else {
            continue;
        };
        let is_read = !goes(&entry) && names.insert(entry.id.to_owned());
        if is_read {
            let on = terminals.iter().filter(|(_, tty)| entry.is_login_on(tty));
            served.extend(on.map(|(_, tty)| *tty));
        } else if entry.is_login() {
            off.insert(number);
        }
    }
    let mut added = Vec::new();
    for (name, tty) in terminals.iter().filter(|(_, tty)| !served.contains(tty)) {
        let Some(call) = call(draft, tty)? else {
            no_getty(draft)?;
            continue;
        };
        let others = (0..).map(|number| format!("c{number}"));
        let mut free = std::iter::once((*name).to_owned()).chain(others);
        let free = free.find(|name| !names.contains(name)).unwrap_or_default();
        added.push(format!("{free}:2345:respawn:{call}"));
        names.insert(free);
    }
    draft.edit(path, why, |text| {
        let mut number = 0..;
        let text = commented(text, |_| number.next().is_some_and(|it| off.contains(&it)));
        with_lines(&text, added)
    })
}

/// System V's init, with the lines that OpenVZ and the old host's terminals had as comments.
fn inittab(draft: &mut Draft<'_>) -> Result<()> {
    let path = "etc/inittab";
    let goes = |entry: &Entry<'_>| {
        let wanted = TERMINALS.iter().any(|(_, tty)| entry.is_login_on(tty));
        entry.is_login() && !wanted
    };
    logins(draft, TERMINALS, LOGIN, getty, goes)?;
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
        let on = |line: &str, tty: &str| {
            Entry::parse(line).is_some_and(|entry| entry.is_login_on(tty) && !entry.has_number())
        };
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
pub(super) fn commented(text: &str, mut taken: impl FnMut(&str) -> bool) -> String {
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
