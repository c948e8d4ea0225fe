//! `ploopconv attached`: what is attached on this machine.

use ploopconv::attach::{self, Attached};
use serde::Serialize;

use super::ending::Ending;
use super::outcome::Verdict;
use super::output::{finish, line, results};
use super::report::path;
use ploopconv::util::size::human;

/// List what is attached
#[derive(Debug, clap::Args)]
pub(crate) struct AttachedArgs {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    attached: Vec<JsonAttached>,
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
        let mut first = self.image.clone().unwrap_or("an unknown image".to_owned());
        if let Some(snapshot) = &self.snapshot {
            first += &format!(", snapshot {snapshot}");
        }
        if let Some(partition) = self.partition {
            first += &format!(", partition {partition}");
        }
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

pub(crate) fn run(args: &AttachedArgs) -> anyhow::Result<Verdict> {
    let attached = attach::attached();
    let attached: Vec<_> = attached.iter().map(JsonAttached::of).collect();
    if args.json {
        let verdict = Verdict::Done;
        Ending::of(verdict, String::new).print(&Report { attached })?;
        return Ok(verdict);
    }
    let mut out = results();
    for entry in &attached {
        for (at, text) in entry.lines().iter().enumerate() {
            let device = if at == 0 { &entry.device[..] } else { "" };
            line(&mut out, &format!("{device:<12} {text}"))?;
        }
    }
    finish(out)?;
    Ok(Verdict::Done)
}
