//! Logins on a machine's consoles: the first serial port, and the screen.

use super::super::super::draft::Draft;
use super::super::super::system::Init;
use super::super::console::{Entry, commented, getty, no_getty, starts_terminals, with_lines};
use super::super::context::Context;
use crate::error::Result;

/// Lines that root's login needs in `/etc/securetty`.
const SECURE: &[&str] = &["tty1", "ttyS0"];

/// The terminals that get a login, and their names in inittab.
const TERMINALS: &[(&str, &str)] = &[("S0", "ttyS0"), ("1", "tty1")];

const LOGIN: &str = "a login on the serial console and on the screen";
const CONTAINER_LOGIN: &str =
    "a container's login would share the console with that of the machine";

const JOB: &str = "start on stopped rc RUNLEVEL=[2345]\nstop on runlevel [!2345]\nrespawn\nexec ";
const EVENT: &str = "start on stopped rc2\nstart on stopped rc3\nstart on stopped rc4\n\
     start on stopped rc5\nstop on runlevel 0\nstop on runlevel 1\nstop on runlevel 6\nrespawn\n\
     exec ";

/// The line that a machine's serial console is, and its speed as on the kernel's command line.
const SERIAL: &str = "ttyS0";
const SPEED: &str = "115200";

/// The option of every getty for a line without a modem, whose carrier it would wait for.
const LOCAL: char = 'L';

/// Where systemd keeps its units.
const UNITS: &[&str] = &["usr/lib/systemd/system", "lib/systemd/system"];

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    draft.edit(
        "etc/securetty",
        "root may log in on the serial console and on the screen",
        |text| {
            let known = |tty: &str| text.lines().any(|line| line.trim() == tty);
            let missing = SECURE.iter().copied().filter(|tty| !known(tty));
            with_lines(text, missing.map(str::to_owned))
        },
    )?;
    match context.system.init {
        Init::Systemd => units(draft),
        Init::Upstart => jobs(draft, "etc/init", ".conf", JOB),
        Init::UpstartEvents => jobs(draft, "etc/event.d", "", EVENT),
        Init::Sysv => inittab(draft),
        Init::Busybox => busybox(draft),
        Init::None => Ok(()),
    }
}

fn units(draft: &mut Draft<'_>) -> Result<()> {
    for (template, instance) in [
        ("serial-getty@.service", "serial-getty@ttyS0.service"),
        ("getty@.service", "getty@tty1.service"),
    ] {
        for folder in UNITS {
            let unit = format!("{folder}/{template}");
            if draft.has(&unit)? {
                let link = format!("etc/systemd/system/getty.target.wants/{instance}");
                draft.link(&format!("/{unit}"), &link, LOGIN)?;
                break;
            }
        }
    }
    Ok(())
}

fn jobs(draft: &mut Draft<'_>, folder: &str, end: &str, text: &str) -> Result<()> {
    for name in ["console", "serial"] {
        draft.remove(&format!("{folder}/{name}{end}"), CONTAINER_LOGIN)?;
    }
    for (_, tty) in TERMINALS {
        // CentOS starts logins on a list of terminals.
        if *tty == "tty1" && starts_terminals(draft)? {
            continue;
        }
        match login(draft, tty)? {
            Some(call) => {
                let path = format!("{folder}/{tty}{end}");
                draft.create(&path, 0o644, &format!("{text}{call}\n"), LOGIN)?;
            }
            None => no_getty(draft)?,
        }
    }
    // OpenVZ's templates for CentOS 6 have an empty list.
    draft.edit("etc/sysconfig/init", LOGIN, |text| {
        let lines = text.split('\n').map(|line| match line.trim() {
            "ACTIVE_CONSOLES=" | "ACTIVE_CONSOLES=\"\"" => "ACTIVE_CONSOLES=/dev/tty[1-6]",
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// How a login on a terminal is started; `None` where no program of the guest does it.
fn login(draft: &Draft<'_>, tty: &str) -> Result<Option<String>> {
    let call = getty(draft, tty)?;
    Ok(call.map(|call| match call.split_once(" 38400 ") {
        Some((program, _)) if tty == SERIAL => on_serial(program),
        _ => call,
    }))
}

fn on_serial(program: &str) -> String {
    format!("{program} -{LOCAL} {SPEED} {SERIAL} vt100")
}

/// System V's init, with the container's logins as comments.
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
        match login(draft, tty)? {
            Some(call) => added.push(format!("{id}:2345:respawn:{call}")),
            None => no_getty(draft)?,
        }
    }
    draft.edit(path, LOGIN, |text| {
        let taken = |line: &str| {
            Entry::parse(line).is_some_and(|entry| {
                let replaced = added.iter().filter_map(|line| Entry::parse(line));
                // Two lines of one name are a mistake.
                let mut names = replaced.map(|line| line.id.to_owned());
                entry.is_login_on("console") || names.any(|id| id == entry.id)
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
    )
}

/// BusyBox's init, whose lines begin with a terminal.
fn busybox(draft: &mut Draft<'_>) -> Result<()> {
    draft.edit("etc/inittab", LOGIN, |text| {
        let on =
            |line: &str, tty: &str| Entry::parse(line).is_some_and(|entry| entry.is_login_on(tty));
        let ttys = TERMINALS.iter().map(|(_, tty)| *tty);
        let missing = ttys.filter(|tty| !text.lines().any(|line| on(line, tty)));
        let added: Vec<String> = missing
            .map(|tty| match tty {
                SERIAL => format!("{tty}::respawn:{}", on_serial("/sbin/getty")),
                _ => format!("{tty}::respawn:/sbin/getty 38400 {tty}"),
            })
            .collect();
        with_lines(&commented(text, |line| on(line, "console")), added)
    })
}
