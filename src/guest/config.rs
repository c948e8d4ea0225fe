//! The configuration of a container: `ve.conf` in its private area, `/etc/vz/conf/ID.conf`.
//!
//! Lines of `KEY="value"`, as ctid.conf(5) has them. They look like a shell's, and OpenVZ's own
//! scripts source the file; here nothing is ever run, and what a shell would run is text.

mod keys;
mod lex;
mod values;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use values::{Address, Interface, Quantity};
pub(crate) use values::{netmask, v4, v6};

use self::keys::{Fate, fate};
use self::lex::{Odd, assignments};
use self::values::{boolean, pair, quantity};
use crate::error::{Detail, ErrorKind};

/// A configuration of more bytes is none: the largest known ones have some kilobytes.
pub(super) const MOST: usize = 1 << 20;

/// What a container's configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// By key; where a key is there several times, the last one counts, as in a shell.
    values: BTreeMap<String, String>,
    problems: Vec<ConfigProblem>,
}

/// Why a file is no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is too large.
    #[error("it has more than a mebibyte, and a container's configuration has some kilobytes")]
    TooLarge,
    /// It has bytes that no text has.
    #[error("byte {0} is NUL: it is no text")]
    NotText(usize),
    /// No line is `KEY="value"`.
    #[error("no line of it is KEY=\"value\"")]
    NoKeys,
}

impl Detail for ConfigError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NotThisFormat
    }

    fn code(&self) -> &'static str {
        "no-container-configuration"
    }
}

/// A line of the configuration that is odd. The rest is used all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The line, from 1.
    pub line: usize,
    /// The key, where the line has one.
    pub key: Option<String>,
    /// What is odd about it, and what was made of it.
    pub what: &'static str,
}

/// A setting that is not carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut<'a> {
    /// The key.
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
    /// Why.
    pub reason: &'static str,
}

impl Config {
    /// Reads the bytes of a configuration. Bytes that are not UTF-8 become replacement characters.
    ///
    /// ```
    /// use ploopconv::guest::Config;
    /// let config = Config::parse(b"HOSTNAME=\"www.example.org\"\nPHYSPAGES=\"0:262144\"\n")?;
    /// assert_eq!(config.host_name().as_deref(), Some("www.example.org"));
    /// assert_eq!(config.memory(), Some(1 << 30));
    /// # Ok::<(), ploopconv::guest::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] where this is no such file at all.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.len() > MOST {
            return Err(ConfigError::TooLarge);
        }
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            return Err(ConfigError::NotText(at));
        }
        let text = String::from_utf8_lossy(bytes);
        let (found, others) = assignments(text.strip_prefix('\u{feff}').unwrap_or(&text));
        if found.is_empty() && !others.is_empty() {
            return Err(ConfigError::NoKeys);
        }
        let mut config = Self::default();
        for line in others {
            config.problem(line, None, Odd::NoAssignment);
        }
        for assignment in found {
            if let Some(odd) = assignment.odd {
                config.problem(assignment.line, Some(&assignment.key), odd);
            }
            config.values.insert(assignment.key, assignment.value);
        }
        config.problems.sort_by_key(|problem| problem.line);
        Ok(config)
    }

    fn problem(&mut self, line: usize, key: Option<&str>, odd: Odd) {
        let what = match odd {
            Odd::NoAssignment => "is not KEY=\"value\", and is ignored",
            Odd::OpenQuote => "has a quote without an end: the value ends with the line",
            Odd::Expansion => "has what a shell would run or look up: it is taken as text",
            Odd::Trailing => "has more after the value, which is ignored",
        };
        self.problems.push(ConfigProblem {
            line,
            key: key.map(str::to_owned),
            what,
        });
    }

    /// The value of a key as it is written, without quotes.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// All keys with their values, by name.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        let values = self.values.iter();
        values.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The lines that are odd, in their order.
    #[must_use]
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }

    /// A value that is not empty.
    fn filled(&self, key: &str) -> Option<&str> {
        let value = self.get(key).map(str::trim);
        value.filter(|value| !value.is_empty())
    }

    /// The host name, from `HOSTNAME`, else from `NAME`, made of letters, digits, `-` and `.` as
    /// every host takes it.
    #[must_use]
    pub fn host_name(&self) -> Option<String> {
        let keys = ["HOSTNAME", "NAME"].into_iter();
        keys.filter_map(|key| self.filled(key)).find_map(host_name)
    }

    /// What people called the container on the old host.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.filled("NAME")
    }

    /// What people wrote about the container.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.filled("DESCRIPTION")
    }

    /// The template that the container was made from, as in `centos-6-x86_64`.
    #[must_use]
    pub fn template(&self) -> Option<&str> {
        // Virtuozzo has a dot in front where the template has its own cache.
        let template = self.filled("OSTEMPLATE").or(self.filled("DISTRIBUTION"));
        template.map(|name| name.trim_start_matches('.'))
    }

    /// The addresses of `venet0`, then those of the bridged cards, each once.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        let venet = self.words("IP_ADDRESS").filter_map(Address::parse);
        let cards = self.interfaces().into_iter();
        let mut found: Vec<Address> = Vec::new();
        for address in venet.chain(cards.flat_map(|card| card.addresses)) {
            if !found.iter().any(|known| known.address == address.address) {
                found.push(address);
            }
        }
        found
    }

    /// The gateways of the bridged cards.
    #[must_use]
    pub fn gateways(&self) -> Vec<IpAddr> {
        let cards = self.interfaces().into_iter();
        cards.flat_map(|card| card.gateways).collect()
    }

    /// The bridged network cards.
    #[must_use]
    pub fn interfaces(&self) -> Vec<Interface> {
        self.filled("NETIF")
            .map_or_else(Vec::new, Interface::parse_all)
    }

    /// The name servers. `inherit`, which stands for those of the old host, is none.
    #[must_use]
    pub fn name_servers(&self) -> Vec<IpAddr> {
        let words = self.words("NAMESERVER");
        words.filter_map(|word| word.parse().ok()).collect()
    }

    /// The domains that short names are looked up in.
    #[must_use]
    pub fn search_domains(&self) -> Vec<String> {
        let words = self.words("SEARCHDOMAIN");
        let words = words.filter(|word| *word != "inherit");
        words.filter_map(host_name).collect()
    }

    /// The memory in bytes: `RAM`, `PHYSPAGES`, then what older generations have; `None` where no
    /// key limits it.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        const PAGE: u64 = 4096;
        [
            ("RAM", 1),
            ("PHYSPAGES", PAGE),
            ("SLMMEMORYLIMIT", 1),
            ("PRIVVMPAGES", PAGE),
        ]
        .into_iter()
        .find_map(|(key, unit)| {
            let (_, limit) = pair(self.filled(key)?, unit)?;
            limit.exactly().filter(|bytes| *bytes > 0)
        })
    }

    /// The swap in bytes: `SWAP`, else `SWAPPAGES`; `None` where no key limits it.
    #[must_use]
    pub fn swap(&self) -> Option<u64> {
        [("SWAP", 1), ("SWAPPAGES", 4096)]
            .into_iter()
            .find_map(|(key, unit)| pair(self.filled(key)?, unit)?.1.exactly())
    }

    /// The number of processors; `None` where all may be used.
    #[must_use]
    pub fn processors(&self) -> Option<u64> {
        let number = quantity(self.filled("CPUS")?, 1)?.exactly();
        number.filter(|number| (1..=8192).contains(number))
    }

    /// How much of one processor may be used, in per cent; `None` where there is no limit.
    #[must_use]
    pub fn processor_limit(&self) -> Option<u64> {
        let text = self.filled("CPULIMIT")?;
        let number = quantity(text.trim_end_matches('%'), 1)?.exactly();
        number.filter(|number| (1..=1_000_000).contains(number))
    }

    /// The size of the file system in bytes, the larger of both numbers; `None` without a limit.
    #[must_use]
    pub fn disk_size(&self) -> Option<u64> {
        let (soft, hard) = pair(self.filled("DISKSPACE")?, 1024)?;
        let size = soft.exactly()?.max(hard.exactly()?);
        Some(size).filter(|size| *size > 0)
    }

    /// Whether the container starts with the host, where a key says it.
    #[must_use]
    pub fn starts_on_boot(&self) -> Option<bool> {
        boolean(self.filled("ONBOOT")?)
    }

    /// What is not carried over, each with its reason: settings that have no counterpart, keys that
    /// are not known, and values that are not understood. Settings that only told the old host
    /// where it kept things are not among them.
    #[must_use]
    pub fn left_out(&self) -> Vec<LeftOut<'_>> {
        let mut left = Vec::new();
        for (key, value) in self.values() {
            let reason = match fate(key) {
                _ if value.trim().is_empty() => continue,
                Some(Fate::Host) => continue,
                Some(Fate::Carried) => match self.is_understood(key, value) {
                    true => continue,
                    false => "the value is not understood",
                },
                Some(Fate::Left(reason)) => reason,
                None => "the key is not known here",
            };
            left.push(LeftOut { key, value, reason });
        }
        left
    }

    /// Whether a value says what its key can say.
    fn is_understood(&self, key: &str, value: &str) -> bool {
        let all = |read: fn(&str) -> bool| value.split_whitespace().all(read);
        match key {
            "IP_ADDRESS" => all(|word| Address::parse(word).is_some()),
            "NAMESERVER" => all(|word| word == "inherit" || word.parse::<IpAddr>().is_ok()),
            "HOSTNAME" => host_name(value).as_deref() == Some(value.trim()),
            "NETIF" => !self.interfaces().is_empty(),
            "ONBOOT" => boolean(value).is_some(),
            "RAM" | "SWAP" | "SLMMEMORYLIMIT" => pair(value, 1).is_some(),
            "PHYSPAGES" | "SWAPPAGES" | "PRIVVMPAGES" | "VMGUARPAGES" => {
                pair(value, 4096).is_some()
            }
            "DISKSPACE" => pair(value, 1024).is_some(),
            "CPUS" => quantity(value, 1).is_some(),
            "CPULIMIT" => quantity(value.trim().trim_end_matches('%'), 1).is_some(),
            _ => true,
        }
    }

    fn words(&self, key: &str) -> impl Iterator<Item = &str> {
        self.get(key).unwrap_or_default().split_whitespace()
    }
}

/// A name as the domain name system takes it: labels of letters, digits and `-`, with `.` between
/// them. Other characters become `-`; `None` where nothing is left.
pub(crate) fn host_name(text: &str) -> Option<String> {
    let labels = text.trim().split('.').map(|label| {
        let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let label: String = label.chars().map(fits).take(63).collect();
        label.trim_matches('-').to_owned()
    });
    let labels: Vec<String> = labels.filter(|label| !label.is_empty()).collect();
    let mut name = labels.join(".");
    // 253 characters are the most that the domain name system takes.
    while name.len() > 253 {
        match name.rsplit_once('.') {
            Some((front, _)) => name = front.to_owned(),
            None => break,
        }
    }
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
