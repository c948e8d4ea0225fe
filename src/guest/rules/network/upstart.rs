//! Ubuntu's Upstart, whose job for the network waits for udev.

use super::super::super::draft::Draft;
use super::super::super::receiver::Kind;
use super::super::super::system::Init;
use super::super::context::Context;
use crate::error::Result;

/// The option of ifup for every card that starts by itself; those that are up are passed over.
const ALL_CARDS: char = 'a';
const JOB: &str = "etc/init/container-network.conf";

/// OpenVZ's host set venet0 up itself, so no container missed the job of Ubuntu before 11.10 that
/// starts when udev has found all devices: in a container it never does. Later ones start in a
/// container too, and on a machine without udev neither does.
pub(super) fn starts_network(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    if context.system.init != Init::Upstart
        || draft.view.first(&["sbin/ifup", "usr/sbin/ifup"])?.is_none()
    {
        return Ok(());
    }
    let job = draft.text("etc/init/networking.conf")?.unwrap_or_default();
    let has = |word: &str| {
        let mut words = job.split(|c: char| c.is_whitespace() || "()".contains(c));
        words.any(|it| it == word)
    };
    // Virtuozzo's host takes the line that waits for udev out, and the job starts everywhere.
    let starts = has("container") || !job.is_empty() && !has("udevtrigger");
    let starts = match context.receiver.kind {
        Kind::Kvm => has_udev(draft)?,
        Kind::Lxc | Kind::Incus => starts,
    };
    if starts || !draft.view.is_directory("etc/network")? {
        return Ok(());
    }
    let job = format!(
        "start on filesystem\ntask\nscript\n    mkdir /var/run/network 2>/dev/null || :\n    \
         exec ifup -{ALL_CARDS}\nend script\n"
    );
    draft.create(
        JOB,
        0o644,
        &job,
        "Ubuntu's own job for the network waits for udev, which this system does not start",
    )
}

/// Whether udev finds the devices of a machine.
fn has_udev(draft: &Draft<'_>) -> Result<bool> {
    for job in ["udev", "udevtrigger"] {
        let path = format!("etc/init/{job}");
        if !draft.has(&format!("{path}.conf"))? || draft.has(&format!("{path}.override"))? {
            return Ok(false);
        }
    }
    Ok(true)
}
