//! Which system a tree holds: its distribution, version, first process and processor.

use super::view::{View, to_bytes};
use crate::error::Result;
use crate::tree::{LastLink, Tree};

/// Distributions that keep their settings in the same places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// Debian and what is made from it, but Ubuntu.
    Debian,
    /// Ubuntu.
    Ubuntu,
    /// Red Hat's, CentOS, AlmaLinux, Rocky and their kin.
    RedHat,
    /// Fedora.
    Fedora,
    /// SUSE and openSUSE.
    Suse,
    /// Alpine.
    Alpine,
    /// Gentoo.
    Gentoo,
    /// Arch.
    Arch,
    /// Another one, or none.
    Other,
}

/// The first process of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Init {
    /// systemd.
    Systemd,
    /// Upstart, with jobs in `/etc/init`.
    Upstart,
    /// The older Upstart of Ubuntu 6.10 to 9.04, with jobs in `/etc/event.d`.
    UpstartEvents,
    /// System V's init, with `/etc/inittab`: Debian to 7, CentOS 5, Gentoo.
    Sysv,
    /// BusyBox's init: Alpine.
    Busybox,
    /// None, as in an image for one program.
    None,
}

/// What is known of the system in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// The family of distributions.
    pub family: Family,
    /// The distribution, in the spelling of os-release(5): `debian`, `centos`; empty where it is
    /// not known.
    pub id: String,
    /// The version, as in `8.11`; empty where it is not known.
    pub version: String,
    /// The name and version as people write them; empty where they are not known.
    pub name: String,
    /// The first process.
    pub init: Init,
    /// The version of systemd, as its library for its own programs has it in its name; `None`
    /// where there is no such library, as before version 231.
    pub systemd: Option<u32>,
    /// The processor, in the kernel's spelling (`x86_64`, `i686`, `aarch64`); `None` where no
    /// program says it.
    pub architecture: Option<&'static str>,
}

impl System {
    /// The first number of the version.
    #[must_use]
    pub fn major(&self) -> Option<u32> {
        let digits = self.version.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    }

    /// The first two numbers of the version; the second is 0 where there is none.
    #[must_use]
    pub fn major_minor(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().and_then(|minor| minor.parse().ok());
        Some((major, minor.unwrap_or(0)))
    }

    /// Whether its systemd is older than version 232, which knows the control groups of version 1
    /// only.
    #[must_use]
    pub fn needs_cgroup_v1(&self) -> bool {
        if self.init != Init::Systemd {
            return false;
        }
        if let Some(version) = self.systemd {
            return version < 232;
        }
        let version = self.major_minor();
        // The first release of each with a systemd that knows version 2.
        let first = match self.family {
            Family::Debian => (9, 0),
            Family::Ubuntu => (17, 4),
            Family::RedHat => (8, 0),
            Family::Fedora => (26, 0),
            // Leap 15; 42 came before it.
            Family::Suse => {
                return version.is_some_and(|version| [12, 13, 42].contains(&version.0));
            }
            // Their versions say nothing of it, and a newer one would have the library.
            Family::Alpine | Family::Gentoo | Family::Arch | Family::Other => return true,
        };
        version.is_some_and(|version| version < first)
    }
}

/// Which spelling a file has.
#[derive(Debug, Clone, Copy)]
enum Spelling {
    /// `KEY=value` as os-release(5) has it.
    OsRelease,
    /// `DISTRIB_ID=Ubuntu`.
    Lsb,
    /// The version alone.
    Version,
    /// A line such as `CentOS release 6.10 (Final)`.
    Sentence,
}

/// Files that say which system it is, the most telling first; what a file does not say itself.
const FILES: &[(&str, Spelling, &str)] = &[
    ("etc/os-release", Spelling::OsRelease, ""),
    ("usr/lib/os-release", Spelling::OsRelease, ""),
    ("etc/lsb-release", Spelling::Lsb, "ubuntu"),
    ("etc/fedora-release", Spelling::Sentence, "fedora"),
    ("etc/centos-release", Spelling::Sentence, "centos"),
    ("etc/redhat-release", Spelling::Sentence, "rhel"),
    ("etc/SuSE-release", Spelling::Sentence, "opensuse"),
    ("etc/alpine-release", Spelling::Version, "alpine"),
    ("etc/gentoo-release", Spelling::Sentence, "gentoo"),
    ("etc/arch-release", Spelling::Version, "arch"),
    ("etc/devuan_version", Spelling::Version, "devuan"),
    ("etc/debian_version", Spelling::Version, "debian"),
];

/// The families by the names of os-release(5).
const FAMILIES: &[(&str, Family)] = &[
    ("debian", Family::Debian),
    ("devuan", Family::Debian),
    ("raspbian", Family::Debian),
    ("ubuntu", Family::Ubuntu),
    ("rhel", Family::RedHat),
    ("centos", Family::RedHat),
    ("almalinux", Family::RedHat),
    ("rocky", Family::RedHat),
    ("ol", Family::RedHat),
    ("scientific", Family::RedHat),
    ("cloudlinux", Family::RedHat),
    ("virtuozzo", Family::RedHat),
    ("vzlinux", Family::RedHat),
    ("fedora", Family::Fedora),
    ("suse", Family::Suse),
    ("opensuse", Family::Suse),
    ("opensuse-leap", Family::Suse),
    ("opensuse-tumbleweed", Family::Suse),
    ("sles", Family::Suse),
    ("alpine", Family::Alpine),
    ("gentoo", Family::Gentoo),
    ("arch", Family::Arch),
    ("archlinux", Family::Arch),
];

/// Words of a sentence that name a distribution more closely than its file does.
const WORDS: &[(&str, &str)] = &[
    ("CentOS", "centos"),
    ("AlmaLinux", "almalinux"),
    ("Rocky", "rocky"),
    ("Scientific", "scientific"),
    ("CloudLinux", "cloudlinux"),
    ("Oracle", "ol"),
    ("Virtuozzo", "virtuozzo"),
    ("Fedora", "fedora"),
];

/// Finds out which system `tree` holds.
///
/// # Errors
///
/// What the tree says.
pub fn identify(tree: &dyn Tree) -> Result<System> {
    let view = View(tree);
    let mut system = System {
        family: Family::Other,
        id: String::new(),
        version: String::new(),
        name: String::new(),
        init: init(view)?,
        systemd: systemd(view)?,
        architecture: architecture(view)?,
    };
    for (path, spelling, id) in FILES {
        if let Some(text) = view.text(path)?
            && read(&mut system, &text, *spelling, id)
        {
            break;
        }
    }
    // Debian's os-release has the first number only; Devuan counts in another way.
    if ["debian", "raspbian"].contains(&system.id.as_str()) && !system.version.contains('.') {
        let version = view.text("etc/debian_version")?.unwrap_or_default();
        if version.starts_with(|c: char| c.is_ascii_digit()) {
            version.trim().clone_into(&mut system.version);
        }
    }
    for text in [&mut system.id, &mut system.version, &mut system.name] {
        *text = String::from_utf8_lossy(&to_bytes(text)).into_owned();
    }
    Ok(system)
}

/// Whether the text said which system it is.
fn read(system: &mut System, text: &str, spelling: Spelling, id: &str) -> bool {
    let first = text.lines().next().unwrap_or_default().trim();
    let value = |key: &str| {
        let values = text.lines().filter_map(|line| line.split_once('='));
        let mut values = values.filter(|(found, _)| found.trim() == key);
        let value = values.next().map(|(_, value)| value.trim());
        value
            .unwrap_or_default()
            .trim_matches(['"', '\''])
            .to_owned()
    };
    let mut like = String::new();
    match spelling {
        Spelling::OsRelease => {
            system.id = value("ID").to_ascii_lowercase();
            system.version = value("VERSION_ID");
            system.name = value("PRETTY_NAME");
            like = value("ID_LIKE").to_ascii_lowercase();
        }
        Spelling::Lsb => {
            // Others than Ubuntu have a file that says less than their own.
            if !value("DISTRIB_ID").eq_ignore_ascii_case(id) {
                return false;
            }
            id.clone_into(&mut system.id);
            system.version = value("DISTRIB_RELEASE");
            system.name = value("DISTRIB_DESCRIPTION");
        }
        Spelling::Version => {
            id.clone_into(&mut system.id);
            first.clone_into(&mut system.version);
            system.name = format!("{id} {first}").trim().to_owned();
        }
        Spelling::Sentence => {
            let word = WORDS.iter().find(|(word, _)| first.contains(word));
            word.map_or(id, |(_, id)| id).clone_into(&mut system.id);
            let mut words = first.split_whitespace();
            let version = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
            version.unwrap_or_default().clone_into(&mut system.version);
            first.clone_into(&mut system.name);
        }
    }
    let names = std::iter::once(system.id.as_str()).chain(like.split_whitespace());
    let family = names
        .filter_map(|name| FAMILIES.iter().find(|(id, _)| *id == name))
        .map(|(_, family)| *family)
        .next();
    system.family = family.unwrap_or(Family::Other);
    !system.id.is_empty()
}

/// Which program the kernel would start, by what is beside it.
fn init(view: View<'_>) -> Result<Init> {
    let program = view.find("sbin/init", LastLink::Follow)?;
    let path = program.map(|program| program.path).unwrap_or_default();
    if path.ends_with("busybox") {
        return Ok(Init::Busybox);
    }
    if path.ends_with("/systemd") {
        return Ok(Init::Systemd);
    }
    // A link to it that leads nowhere because part of the system is missing says as much.
    let link = view.link("sbin/init")?.unwrap_or_default();
    if link.ends_with("/systemd") {
        return Ok(Init::Systemd);
    }
    let has = |paths: &[&str]| Ok::<_, crate::error::Error>(view.first(paths)?.is_some());
    if !has(&["sbin/init", "usr/sbin/init", "bin/init"])? {
        return Ok(Init::None);
    }
    Ok(if has(&["etc/init/rc.conf", "etc/init/rc-sysinit.conf"])? {
        Init::Upstart
    } else if has(&["etc/event.d/rc-default", "etc/event.d/rc2"])? {
        Init::UpstartEvents
    } else if has(&["etc/inittab"])? {
        Init::Sysv
    } else if has(&["lib/systemd/systemd", "usr/lib/systemd/systemd"])? {
        Init::Systemd
    } else {
        Init::Sysv
    })
}

/// Where systemd keeps the library, by distribution: with or without that of the processor.
const SYSTEMD_LIBRARIES: &[&str] = &[
    "lib*/systemd/libsystemd-shared-*.so",
    "usr/lib*/systemd/libsystemd-shared-*.so",
    "usr/lib/*-linux-gnu*/systemd/libsystemd-shared-*.so",
];

/// The newest version of systemd that the tree has the library of.
fn systemd(view: View<'_>) -> Result<Option<u32>> {
    let mut newest = None;
    for pattern in SYSTEMD_LIBRARIES {
        for path in view.matching(pattern)? {
            let name = path.rsplit_once("libsystemd-shared-").map(|(_, name)| name);
            let number = name.and_then(|name| name.split(|c: char| !c.is_ascii_digit()).next());
            newest = newest.max(number.and_then(|number| number.parse().ok()));
        }
    }
    Ok(newest)
}

/// Programs that every system has.
const PROGRAMS: &[&str] = &[
    "bin/sh",
    "usr/bin/sh",
    "sbin/init",
    "usr/sbin/init",
    "bin/ls",
];

/// `e_machine` of ELF, its class (1: 32 bits, 2: 64 bits), and the kernel's name.
const MACHINES: &[(u16, u8, &str)] = &[
    (3, 1, "i686"),
    (62, 2, "x86_64"),
    (40, 1, "armv7l"),
    (183, 2, "aarch64"),
    (21, 2, "ppc64le"),
    (22, 2, "s390x"),
    (243, 2, "riscv64"),
];

/// The processor that the programs are for.
fn architecture(view: View<'_>) -> Result<Option<&'static str>> {
    for path in PROGRAMS {
        let head = view.head(path, 20)?.unwrap_or_default();
        let [0x7f, b'E', b'L', b'F', class, order, ..] = head.as_slice() else {
            continue;
        };
        let (Some(a), Some(b)) = (head.get(18), head.get(19)) else {
            continue;
        };
        let machine = match order {
            2 => u16::from_be_bytes([*a, *b]),
            _ => u16::from_le_bytes([*a, *b]),
        };
        let known = MACHINES
            .iter()
            .find(|(number, bits, _)| *number == machine && bits == class);
        if let Some((_, _, name)) = known {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
