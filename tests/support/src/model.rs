//! What a chain reads as, worked out the slow and plain way.

use super::image::Fill;
use super::sparse::{data_segments, is_zero};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A stored piece of a layer, by what a right reader makes of its table.
#[derive(Clone, Debug)]
pub struct Run {
    pub offset: u64,
    pub len: u64,
    pub host_offset: u64,
    pub fill: Fill,
}

/// One file of a chain.
#[derive(Clone, Debug)]
pub struct Layer {
    pub size: u64,
    pub runs: Vec<Run>,
    pub file: String,
}

/// A chain's content: its layers, base first.
#[derive(Clone, Debug)]
pub struct Model {
    layers: Vec<Layer>,
}

/// A run of the disk; `stored` is the layer, the host offset and where its bytes come from.
#[derive(Clone, Debug)]
pub struct Extent {
    pub offset: u64,
    pub len: u64,
    pub stored: Option<Place>,
}

#[derive(Clone, Debug)]
pub struct Place {
    pub layer: usize,
    pub host_offset: u64,
}

/// A part of the disk that no layer changes inside, and the topmost run that covers it: its
/// offset, its length, the layer and the run.
type Piece<'a> = (u64, u64, Option<(usize, &'a Run)>);

impl Model {
    pub fn new(layers: Vec<Layer>) -> Self {
        Self { layers }
    }

    pub fn size(&self) -> u64 {
        self.layers.last().unwrap().size
    }

    /// The pieces between all places where any layer changes.
    fn pieces(&self) -> Vec<Piece<'_>> {
        let size = self.size();
        let mut cuts = BTreeSet::from([0, size]);
        for run in self.layers.iter().flat_map(|layer| &layer.runs) {
            cuts.insert(run.offset.min(size));
            cuts.insert((run.offset + run.len).min(size));
        }
        let cuts: Vec<u64> = cuts.into_iter().collect();
        cuts.windows(2)
            .map(|pair| {
                let covering =
                    self.layers
                        .iter()
                        .enumerate()
                        .rev()
                        .find_map(|(number, layer)| {
                            let run = layer.runs.iter().find(|run| {
                                run.offset <= pair[0] && pair[1] <= run.offset + run.len
                            })?;
                            Some((number, run))
                        });
                (pair[0], pair[1] - pair[0], covering)
            })
            .collect()
    }

    /// The disk's extents in order: neighbours that continue each other are one.
    pub fn extents(&self) -> Vec<Extent> {
        let mut extents: Vec<Extent> = Vec::new();
        for (offset, len, covering) in self.pieces() {
            let stored = covering.map(|(layer, run)| Place {
                layer,
                host_offset: run.host_offset + (offset - run.offset),
            });
            if let Some(last) = extents.last_mut() {
                let joins = match (&last.stored, &stored) {
                    (None, None) => true,
                    (Some(a), Some(b)) => {
                        a.layer == b.layer && a.host_offset + last.len == b.host_offset
                    }
                    _ => false,
                };
                if joins {
                    last.len += len;
                    continue;
                }
            }
            extents.push(Extent {
                offset,
                len,
                stored,
            });
        }
        extents
    }

    /// The whole disk; for small ones.
    pub fn content(&self) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(self.size()).unwrap()];
        for (offset, len, covering) in self.pieces() {
            if let Some((_, run)) = covering {
                let from = usize::try_from(offset).unwrap();
                let bytes = run.fill.bytes(offset - run.offset, len);
                all[from..from + bytes.len()].copy_from_slice(&bytes);
            }
        }
        all
    }

    /// Bytes of the disk that some layer stores.
    pub fn data_bytes(&self) -> u64 {
        self.extents()
            .iter()
            .filter(|extent| extent.stored.is_some())
            .map(|extent| extent.len)
            .sum()
    }

    pub fn file_of(&self, layer: usize) -> &str {
        &self.layers[layer].file
    }
}

/// Asserts that the file at `path` is the model's disk, to the byte; holes of the file are not
/// read, so that giants are cheap.
pub fn assert_file_holds(path: &Path, model: &Model) {
    let file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    assert_eq!(len, model.size(), "size of {}", path.display());
    let segments = data_segments(&file, len);
    for (offset, len, covering) in model.pieces() {
        if let Some((layer, run)) = covering {
            let within = offset - run.offset;
            let written = run
                .fill
                .written_len(run.len)
                .saturating_sub(within)
                .min(len);
            let mut done = 0;
            while done < written {
                let piece = (written - done).min(1 << 20);
                let mut found = vec![0; usize::try_from(piece).unwrap()];
                file.read_exact_at(&mut found, offset + done).unwrap();
                let expected = run.fill.bytes(within + done, piece);
                if let Some(at) = found.iter().zip(&expected).position(|(a, b)| a != b) {
                    panic!(
                        "{}: byte {} is {:#04x}, layer {layer} holds {:#04x}",
                        path.display(),
                        offset + done + at as u64,
                        found[at],
                        expected[at]
                    );
                }
                done += piece;
            }
            assert_reads_zero(&file, &segments, offset + written, len - written);
        } else {
            assert_reads_zero(&file, &segments, offset, len);
        }
    }
}

fn assert_reads_zero(file: &File, segments: &[(u64, u64)], offset: u64, len: u64) {
    for (from, to) in segments {
        let mut at = (*from).max(offset);
        let end = (*to).min(offset + len);
        while at < end {
            let mut buf = vec![0; usize::try_from((end - at).min(1 << 20)).unwrap()];
            file.read_exact_at(&mut buf, at).unwrap();
            assert!(
                is_zero(&buf),
                "a hole of the disk has bytes in the target at {at}"
            );
            at += buf.len() as u64;
        }
    }
}

/// Asserts that a `map --json` report tells the model's extents, no more and no fewer.
pub fn assert_map_matches(report: &Value, model: &Model) {
    assert_eq!(
        report["size"].as_u64(),
        Some(model.size()),
        "size in {report}"
    );
    let told: Vec<String> = report["extents"]
        .as_array()
        .unwrap()
        .iter()
        .map(told)
        .collect();
    let expected: Vec<String> = model
        .extents()
        .iter()
        .map(|extent| expected(extent, model))
        .collect();
    assert_eq!(told, expected);
}

fn told(extent: &Value) -> String {
    let place = match extent["kind"].as_str() {
        Some("hole") => "hole".to_owned(),
        Some("data") => {
            let file = Path::new(extent["file"].as_str().unwrap())
                .file_name()
                .unwrap();
            format!(
                "layer {} {} at {}",
                extent["layer"],
                file.to_string_lossy(),
                extent["host_offset"]
            )
        }
        kind => panic!("extent of kind {kind:?}"),
    };
    format!("{}+{} {place}", extent["offset"], extent["length"])
}

fn expected(extent: &Extent, model: &Model) -> String {
    let place = match &extent.stored {
        None => "hole".to_owned(),
        Some(place) => {
            format!(
                "layer {} {} at {}",
                place.layer,
                model.file_of(place.layer),
                place.host_offset
            )
        }
    };
    format!("{}+{} {place}", extent.offset, extent.len)
}
