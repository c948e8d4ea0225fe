//! Services that a container had switched off and a machine needs.

use super::super::super::draft::Draft;
use super::super::super::system::Init;
use super::super::context::Context;
use super::super::services::{
    Lines, OPENVZ, change_lines, mount_table, start_jobs, unmask, without,
};
use crate::error::Result;

/// Masks that go.
const UNMASKED: &[(&str, &str)] = &[
    ("systemd-udev*", UDEV),
    ("udev*", UDEV),
    ("eudev*", UDEV),
    ("initrd-udevadm-cleanup-db.service", UDEV),
    ("systemd-hwdb-update.service", UDEV),
    ("getty@*", LOGIN),
    ("getty.target", LOGIN),
    ("serial-getty@*", LOGIN),
    ("systemd-logind.service", LOGIN),
    ("systemd-remount-fs.service", DISKS),
    ("systemd-fsck*", DISKS),
    ("lvm2*", DISKS),
    ("dev-hugepages.mount", KERNEL),
    ("dev-mqueue.mount", KERNEL),
    ("sys-*.mount", KERNEL),
    ("proc-sys-fs-binfmt_misc.*", KERNEL),
    ("systemd-modules-load.service", KERNEL),
    ("kmod-static-nodes.service", KERNEL),
    ("systemd-tmpfiles-setup-dev.service", KERNEL),
    ("systemd-random-seed.service", KERNEL),
    ("systemd-sysctl.service", KERNEL),
    ("hwclock*", KERNEL),
    ("networking.service", NETWORK),
    ("ifup@*.service", NETWORK),
    ("ifupdown*.service", NETWORK),
    ("network.service", NETWORK),
    ("NetworkManager*.service", NETWORK),
    ("systemd-networkd*", NETWORK),
    ("systemd-resolved.service", NETWORK),
    ("systemd-poweroff.service", POWER),
    ("systemd-reboot.service", POWER),
    ("systemd-halt.service", POWER),
    ("poweroff.target", POWER),
    ("reboot.target", POWER),
    ("halt.target", POWER),
];

/// Jobs of Upstart whose `.override` says that only a person starts them.
const JOBS: &[(&str, &str)] = &[
    ("udev*", UDEV),
    ("network*", NETWORK),
    ("start-ttys", LOGIN),
    ("tty1", LOGIN),
    ("hwclock*", KERNEL),
    ("module-init-tools", KERNEL),
    ("kmod", KERNEL),
    ("procps", KERNEL),
];

const UDEV: &str = "was masked for OpenVZ: a machine has devices, and udev finds them";
const LOGIN: &str = "was masked for OpenVZ: a machine has a login on its consoles";
const DISKS: &str = "was masked for OpenVZ: a machine looks after its own disks";
const KERNEL: &str = "was masked for OpenVZ: a machine sets its own kernel up";
const NETWORK: &str = "was masked because OpenVZ's host set up venet0: the guest sets up eth0";
const POWER: &str = "was masked for OpenVZ: a machine shuts itself down";

/// Lines of files that change: the path, the key, values in any case, what they become, why.
const LINES: &Lines = &[
    (
        "etc/selinux/config",
        "SELINUX",
        &["enforcing"],
        "permissive",
        "no file of a container has a label of SELinux, so nothing would be allowed: label them \
         with touch /.autorelabel and a restart, then turn it back",
    ),
    ("etc/rc.conf", "rc_sys", OPENVZ, MACHINE, OPENRC),
    ("etc/rc.conf.d/*.conf", "rc_sys", OPENVZ, MACHINE, OPENRC),
    ("etc/conf.d/rc", "rc_sys", OPENVZ, MACHINE, OPENRC),
    ("etc/conf.d/rc", "RC_SYS", OPENVZ, MACHINE, OPENRC),
];

/// What OpenRC calls a machine of its own.
const MACHINE: &str = "\"\"";
const OPENRC: &str = "OpenRC left out what a container does not need, and a machine does";

/// CentOS's scripts that start udev, and where OpenVZ's templates had that as a comment.
const START_UDEV: &str = "/sbin/start_udev";
const SCRIPTS: &[&str] = &["etc/rc.d/rc.sysinit", "etc/rc.sysinit"];

/// Units that start a login where a container had its console.
const CONTAINER_LOGINS: &[&str] = &[
    "etc/systemd/system/getty.target.wants/console-getty.service",
    "etc/systemd/system/getty.target.wants/container-getty@0.service",
    "etc/systemd/system/getty.target.wants/container-getty@1.service",
    "etc/systemd/system/getty.target.wants/container-getty@2.service",
];

/// systemd's udev, which templates of OpenVZ may lack.
const UDEV_PROGRAMS: &[&str] = &[
    "usr/lib/systemd/systemd-udevd",
    "lib/systemd/systemd-udevd",
    "usr/lib/udev/udevd",
    "lib/udev/udevd",
    "sbin/udevd",
    "usr/sbin/udevd",
];

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    if context.system.init == Init::Systemd && draft.view.first(UDEV_PROGRAMS)?.is_none() {
        draft.keep(
            "sbin/init",
            "this system has no udev: in a machine systemd waits for it with the login on the \
             serial console, and systemd-networkd with the network. Install it in the container \
             before it is converted",
        )?;
    }
    unmask(draft, UNMASKED)?;
    start_jobs(draft, JOBS)?;
    for path in CONTAINER_LOGINS {
        let reason = "a container's login would share the console with that of the machine";
        draft.remove(path, reason)?;
    }
    change_lines(draft, LINES)?;
    udev_of_scripts(draft)?;
    mount_table(draft)
}

/// A udev that knows devtmpfs is started again, and another one is not.
fn udev_of_scripts(draft: &mut Draft<'_>) -> Result<()> {
    let Some(program) = draft.view.text("sbin/start_udev")? else {
        return Ok(());
    };
    let knows_devtmpfs = program.contains("devtmpfs");
    const STAYS_OFF: &str = "start_udev stays off: this udev cannot read the /sys of a newer \
         kernel and would hide a full /dev";
    const GOES_OFF: &str = "start_udev goes off: this udev cannot read the /sys of a newer \
         kernel and would hide a full /dev";
    for path in SCRIPTS {
        if !knows_devtmpfs {
            draft.edit(path, GOES_OFF, |text| without(text, START_UDEV, &[]))?;
        }
        let text = draft.text(path)?.unwrap_or_default();
        let is_off = |line: &str| {
            let rest = line.trim_start().strip_prefix('#')?;
            let rest = rest.trim_start_matches([' ', '\t', '#']);
            rest.starts_with(START_UDEV).then(|| rest.to_owned())
        };
        if !text.lines().any(|line| is_off(line).is_some()) {
            continue;
        }
        if !knows_devtmpfs {
            draft.keep(path, STAYS_OFF)?;
            continue;
        }
        draft.edit(path, "a machine has devices, and udev finds them", |text| {
            let lines = text.split('\n').map(|line| match is_off(line) {
                Some(on) => {
                    let indent = line.len() - line.trim_start().len();
                    format!("{}{on}", line.get(..indent).unwrap_or_default())
                }
                None => line.to_owned(),
            });
            lines.collect::<Vec<_>>().join("\n")
        })?;
    }
    Ok(())
}
