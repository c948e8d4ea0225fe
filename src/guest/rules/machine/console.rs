//! Logins on a machine's consoles: the first serial port, and the screen.

use super::super::super::draft::Draft;
use super::super::super::system::Init;
use super::super::console::{Entry, commented, getty, logins, no_getty, with_lines};
use super::super::context::Context;
use super::super::terminals::{fill, starts_terminals};
use crate::error::Result;

/// Lines that root's login needs in `/etc/securetty`.
const SECURE: &[&str] = &["tty1", "ttyS0"];

/// The terminals that get a login, and their names in inittab.
const TERMINALS: &[(&str, &str)] = &[("S0", "ttyS0"), ("1", "tty1")];

const LOGIN: &str = "a login on the serial console and on the screen";
const CONTAINER_LOGIN: &str =
    "a container's login would share the console with that of the machine";
const SERIAL_LOGIN: &str = "CentOS's job starts a login on the serial port where the kernel's \
     console is: the machine has one there always, and two would share the line";

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
    for (name, reason) in [("console", CONTAINER_LOGIN), ("serial", SERIAL_LOGIN)] {
        draft.remove(&format!("{folder}/{name}{end}"), reason)?;
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
    fill(draft, "/dev/tty[1-6]", LOGIN)
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
    let goes = |entry: &Entry<'_>| entry.is_login_on("console");
    logins(draft, TERMINALS, LOGIN, login, goes)?;
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
        let on = |line: &str, tty: &str| {
            Entry::parse(line).is_some_and(|entry| entry.is_login_on(tty) && !entry.has_number())
        };
        let ttys = TERMINALS.iter().map(|(_, tty)| *tty);
        let missing = ttys.filter(|tty| !text.lines().any(|line| on(line, tty)));
        let added: Vec<String> = missing
            .map(|tty| match tty {
                SERIAL => format!("{tty}::respawn:{}", on_serial("/sbin/getty")),
                _ => format!("{tty}::respawn:/sbin/getty 38400 {tty}"),
            })
            .collect();
        let taken = |line: &str| {
            let is_dead =
                Entry::parse(line).is_some_and(|entry| entry.is_login() && entry.has_number());
            is_dead || on(line, "console")
        };
        with_lines(&commented(text, taken), added)
    })
}
