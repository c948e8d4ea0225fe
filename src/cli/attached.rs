//! `ploopconv attached`: what is attached and mounted on this machine.

use ploopconv::attach::{self, Attached};
use ploopconv::fuse::{self, Mounted, Shown};
use serde::Serialize;

use super::ending::Ending;
use super::outcome::Verdict;
use super::output::{finish, line, results};
use super::report::path;
use crate::advice::shell::quoted;
use ploopconv::util::size::human;

/// List what is attached and mounted
#[derive(Debug, clap::Args)]
pub(crate) struct AttachedArgs {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    attached: Vec<JsonAttached>,
    mounted: Vec<JsonMounted>,
}

#[derive(Serialize)]
struct JsonAttached {
    device: String,
    partitions: Vec<String>,
    connected: bool,
    served: bool,
    pid: u32,
    image: Option<String>,
    snapshot: Option<String>,
    partition: Option<u32>,
    layers: Vec<String>,
    size: u64,
    writable: bool,
    overlay: Option<String>,
    mounts: Vec<String>,
    log: Option<String>,
}

impl JsonAttached {
    fn of(attached: &Attached) -> Self {
        let Attached {
            device,
            record,
            mounts,
            connected,
        } = attached;
        let nodes = device.partitions();
        let image = record.image.as_ref().unwrap_or(&record.given);
        Self {
            device: path(&device.path()),
            partitions: nodes.iter().map(|node| path(&node.path)).collect(),
            connected: *connected,
            served: attached.is_served(),
            pid: record.pid,
            image: (!image.as_os_str().is_empty()).then(|| path(image)),
            snapshot: record.snapshot.clone(),
            partition: record.partition,
            layers: record.layers.iter().map(|layer| path(layer)).collect(),
            size: device.size(),
            writable: record.writable,
            overlay: record.overlay.as_ref().map(|overlay| path(&overlay.path)),
            mounts: mounts.iter().map(|point| path(point)).collect(),
            log: record.log.as_ref().map(|log| path(log)),
        }
    }

    fn lines(&self) -> Vec<String> {
        let image = self.image.as_deref();
        let mut first = named(image, self.snapshot.as_deref(), self.partition);
        first += &format!(", {}", human(self.size));
        first += match (self.writable, &self.overlay) {
            (false, _) => ", read-only",
            (true, None) => ", writes go to a temporary layer",
            (true, Some(_)) => ", writes go to ",
        };
        first += self.overlay.as_deref().unwrap_or("");
        let mut lines = vec![first];
        lines.extend(
            self.mounts
                .iter()
                .map(|point| format!("mounted on {point}")),
        );
        let log = self.log.as_ref();
        let log = log.map_or(String::new(), |log| format!(", messages in {log}"));
        lines.push(match (self.served, self.connected) {
            (true, _) => format!("served by process {}{log}", self.pid),
            (false, true) => format!(
                "its server (process {}) has died: every read fails; ploopconv detach {}",
                self.pid, self.device
            ),
            (false, false) => format!("gone; to clean up: ploopconv detach {}", self.device),
        });
        lines
    }
}

/// Files that are mounted without a device.
#[derive(Serialize)]
struct JsonMounted {
    dir: String,
    shows: &'static str,
    served: bool,
    pid: u32,
    user: u32,
    image: Option<String>,
    snapshot: Option<String>,
    partition: Option<u32>,
    log: Option<String>,
}

impl JsonMounted {
    fn of(mounted: &Mounted) -> Self {
        let label = &mounted.label;
        Self {
            dir: path(&mounted.dir),
            shows: match label.shown {
                Shown::Files => "files",
                Shown::Disk => "disk",
            },
            served: mounted.is_served(),
            pid: label.pid,
            user: mounted.owner,
            image: (!label.image.as_os_str().is_empty()).then(|| path(&label.image)),
            snapshot: label.snapshot.clone(),
            partition: label.partition,
            log: mounted.log().map(|log| path(&log)),
        }
    }

    fn lines(&self) -> Vec<String> {
        let image = self.image.as_deref();
        let mut first = named(image, self.snapshot.as_deref(), self.partition);
        first += match self.shows {
            "disk" => ", the disk and its partitions",
            _ => ", files",
        };
        let served = match self.served {
            true => {
                let log = self.log.as_ref();
                let log = log.map_or(String::new(), |log| format!(", messages in {log}"));
                format!("served by process {} of user {}{log}", self.pid, self.user)
            }
            false => format!(
                "its server (process {}) has died: every read fails; ploopconv detach {}",
                self.pid,
                quoted(self.dir.as_ref())
            ),
        };
        vec![first, served]
    }
}

/// What is read, for people.
fn named(image: Option<&str>, snapshot: Option<&str>, partition: Option<u32>) -> String {
    let mut text = image.unwrap_or("an unknown image").to_owned();
    if let Some(snapshot) = snapshot {
        text += &format!(", snapshot {snapshot}");
    }
    if let Some(partition) = partition {
        text += &format!(", partition {partition}");
    }
    text
}

pub(crate) fn run(args: &AttachedArgs) -> anyhow::Result<Verdict> {
    let attached = attach::attached();
    let attached: Vec<_> = attached.iter().map(JsonAttached::of).collect();
    let mounted: Vec<_> = fuse::mounted().iter().map(JsonMounted::of).collect();
    if args.json {
        let verdict = Verdict::Done;
        Ending::of(verdict, String::new).print(&Report { attached, mounted })?;
        return Ok(verdict);
    }
    let devices = attached.iter().map(|it| (&it.device, it.lines()));
    let dirs = mounted.iter().map(|it| (&it.dir, it.lines()));
    let mut out = results();
    for (place, lines) in devices.chain(dirs) {
        for (at, text) in lines.iter().enumerate() {
            let place = if at == 0 { &place[..] } else { "" };
            line(&mut out, &format!("{place:<12} {text}"))?;
        }
    }
    finish(out)?;
    Ok(Verdict::Done)
}
