//! Every key that OpenVZ 4 to 7 and Virtuozzo write, and what becomes of it elsewhere.
//!
//! The names are those of ctid.conf(5) of vzctl 4.9 and of the parameters of Virtuozzo 7.

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is carried over: the commands or the files have it.
    Carried,
    /// It says something about the old host only.
    Host,
    /// It has no counterpart, for this reason.
    Left(&'static str),
}

use Fate::{Carried, Host, Left};

const BEANCOUNTERS: Fate =
    Left("a limit of OpenVZ's own kernel: cgroups limit memory and processes as a whole");
const DEVICES: Fate =
    Left("access to devices: the new host's configuration of the container gives it");
const RIGHTS: Fate =
    Left("rights of the container: the new host has profiles, features and nesting for that");
const QUOTA: Fate = Left("OpenVZ's own disk quota: the new file system has its own size and quota");
const FIREWALL: Fate =
    Left("modules of the firewall: the new host's kernel loads them for every container");
const DISK_SPEED: Fate = Left("the speed of the disk: set it on the new host's disk or pool");
const NET_SPEED: Fate = Left("OpenVZ's traffic shaping: set a rate on the new network card");
const PROCESSORS: Fate = Left("a choice of processors of the old machine: the new one has others");
const MEMORY: Fate = Left("OpenVZ's own memory guarantee: the new host has limits only");
const WEIGHT: Fate =
    Left("a weight beside the old host's other containers, on a scale of OpenVZ's own");

/// The keys, and what becomes of each.
pub(super) const KEYS: &[(&str, Fate)] = &[
    ("ANONSHPAGES", BEANCOUNTERS),
    ("APPLY_IPONLY", Host),
    ("AUTOCOMPACT", Host),
    ("AUTOSTOP", Host),
    ("AUTOSTOPSTOP", Host),
    ("AVNUMPROC", BEANCOUNTERS),
    (
        "BINDMOUNT",
        Left("a folder of the old host that was mounted inside: copy it, or mount it anew"),
    ),
    (
        "BOOTORDER",
        Left("the order of starting among the old host's containers"),
    ),
    ("BURST_CPULIMIT", WEIGHT),
    ("BURST_CPU_AVG_USAGE", WEIGHT),
    ("CAPABILITY", RIGHTS),
    ("CONFIG_CUSTOMIZED", Host),
    ("CPULIMIT", Carried),
    ("CPULIMIT_MHZ", PROCESSORS),
    ("CPUMASK", PROCESSORS),
    ("CPUS", Carried),
    ("CPUUNITS", WEIGHT),
    ("CPUWEIGHT", WEIGHT),
    ("DCACHESIZE", BEANCOUNTERS),
    ("DESCRIPTION", Carried),
    ("DEVICES", DEVICES),
    ("DEVNODES", DEVICES),
    ("DGRAMRCVBUF", BEANCOUNTERS),
    ("DISABLED", Host),
    (
        "DISK",
        Left("further disks: each is converted by itself and mounted anew"),
    ),
    ("DISKINODES", QUOTA),
    ("DISKSPACE", Carried),
    ("DISK_QUOTA", QUOTA),
    ("DISTRIBUTION", Carried),
    ("DUMPDIR", Host),
    (
        "EXT_IP_ADDRESS",
        Left("an address that the old host translated"),
    ),
    ("FEATURES", RIGHTS),
    ("HA_ENABLE", Left("part of the old cluster")),
    ("HA_PRIO", Left("part of the old cluster")),
    ("HOSTNAME", Carried),
    ("INITLOG", Host),
    ("IOLIMIT", DISK_SPEED),
    ("IOPRIO", DISK_SPEED),
    ("IOPSLIMIT", DISK_SPEED),
    ("IPCSHMPAGES", BEANCOUNTERS),
    ("IPTABLES", FIREWALL),
    ("IPTENTRIES", BEANCOUNTERS),
    ("IP_ADDRESS", Carried),
    ("JOURNALED_QUOTA", QUOTA),
    ("KMEMSIZE", BEANCOUNTERS),
    ("LOCKDIR", Host),
    ("LOCKEDPAGES", BEANCOUNTERS),
    ("MEMGUARANTEE", MEMORY),
    ("MEMGUARANTEE_BYTES", MEMORY),
    ("MEMINFO", Host),
    (
        "MOUNT_OPTS",
        Left("options of the old disk's mount: set them on the new disk"),
    ),
    ("NAME", Carried),
    ("NAMESERVER", Carried),
    (
        "NETDEV",
        Left("a network card of the old machine that was given to the container"),
    ),
    ("NETFILTER", FIREWALL),
    ("NETIF", Carried),
    ("NOATIME", Host),
    ("NODEMASK", PROCESSORS),
    ("NUMFILE", BEANCOUNTERS),
    ("NUMFLOCK", BEANCOUNTERS),
    ("NUMIPTENT", BEANCOUNTERS),
    ("NUMMEMORYSUBGROUPS", BEANCOUNTERS),
    ("NUMNETIF", BEANCOUNTERS),
    ("NUMOTHERSOCK", BEANCOUNTERS),
    ("NUMPROC", BEANCOUNTERS),
    ("NUMPTY", BEANCOUNTERS),
    ("NUMSIGINFO", BEANCOUNTERS),
    ("NUMSOCK", BEANCOUNTERS),
    ("NUMTCPSOCK", BEANCOUNTERS),
    ("NUMUNIXSOCK", BEANCOUNTERS),
    ("OFFLINE_MANAGEMENT", Host),
    ("OFFLINE_SERVICE", Host),
    ("ONBOOT", Carried),
    ("OOMGUAR", BEANCOUNTERS),
    ("OOMGUARPAGES", BEANCOUNTERS),
    ("ORIGIN_SAMPLE", Host),
    ("OSRELEASE", Host),
    ("OSTEMPLATE", Carried),
    ("OTHERSOCKBUF", BEANCOUNTERS),
    ("PAGECACHE_ISOLATION", MEMORY),
    (
        "PCI",
        Left("a device of the old machine that was given to the container"),
    ),
    ("PHYSPAGES", Carried),
    ("PRIVVMPAGES", Carried),
    ("QUOTATIME", QUOTA),
    ("QUOTAUGIDLIMIT", QUOTA),
    ("RAM", Carried),
    ("RATE", NET_SPEED),
    ("RATEBOUND", NET_SPEED),
    ("RATEMPU", NET_SPEED),
    ("ROOT_DISK", Host),
    ("RSSPAGES", BEANCOUNTERS),
    ("SEARCHDOMAIN", Carried),
    ("SHMPAGES", BEANCOUNTERS),
    ("SLMMEMORYLIMIT", Carried),
    ("SLMMODE", Host),
    ("SLMPATTERN", Host),
    ("SOCKRCVBUF", BEANCOUNTERS),
    (
        "STOP_TIMEOUT",
        Left("how long the old host waited for the container to stop"),
    ),
    ("SWAP", Carried),
    ("SWAPPAGES", Carried),
    ("TCPRCVBUF", BEANCOUNTERS),
    ("TCPSENDBUF", BEANCOUNTERS),
    ("TCPSNDBUF", BEANCOUNTERS),
    ("TECHNOLOGIES", Host),
    ("TEMPLATE", Host),
    (
        "TEMPLATES",
        Left("application templates: what they installed is in the files already"),
    ),
    ("TOTALRATE", NET_SPEED),
    ("TOTVMPAGES", BEANCOUNTERS),
    ("TRAFFIC_SHAPING", NET_SPEED),
    ("UNIXSOCKBUF", BEANCOUNTERS),
    ("USE_NET_RPS", Host),
    ("USE_VENET_MASK", Host),
    ("UUID", Host),
    ("VEID", Host),
    ("VERSION", Host),
    (
        "VE_ENVIRONMENT",
        Left("variables of the container's first process"),
    ),
    ("VE_LAYOUT", Host),
    ("VE_PRIVATE", Host),
    ("VE_ROOT", Host),
    ("VE_TYPE", Host),
    ("VMGUARPAGES", Carried),
    ("VM_OVERCOMMIT", MEMORY),
];

/// What becomes of `key`; `None` where it is no key of OpenVZ that is known here.
pub(super) fn fate(key: &str) -> Option<Fate> {
    let found = KEYS.binary_search_by_key(&key, |(key, _)| key);
    found
        .ok()
        .and_then(|at| KEYS.get(at))
        .map(|(_, fate)| *fate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_in_order_and_each_is_there_once() {
        for two in KEYS.windows(2) {
            assert!(two[0].0 < two[1].0, "{} and {}", two[0].0, two[1].0);
        }
        for (key, expected) in KEYS {
            assert_eq!(fate(key), Some(*expected));
        }
    }
}
