//! A layer, as people and as scripts read it.

use ploopconv::ploop::{LayerInfo, State};
use serde::Serialize;

use crate::cli::report::path;

#[derive(Debug, Serialize)]
pub(super) struct JsonLayer {
    /// Of a split disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<usize>,
    layer: usize,
    file: String,
    guid: Option<String>,
    format: &'static str,
    pub(super) virtual_size: u64,
    file_size: u64,
    disk_usage: u64,
    cluster_size: Option<u64>,
    bat_entries: Option<u32>,
    allocated_clusters: Option<u64>,
    pub(super) in_use: bool,
    state: Option<String>,
}

pub(super) fn json_layer(layer: &LayerInfo) -> JsonLayer {
    let image = layer.image.as_ref();
    JsonLayer {
        part: layer.part,
        layer: layer.layer,
        file: path(&layer.file),
        guid: layer.guid.map(|guid| guid.to_string()),
        format: format(layer),
        virtual_size: layer.virtual_size,
        file_size: layer.file_size,
        disk_usage: layer.disk_usage,
        cluster_size: image.map(|image| image.cluster_size),
        bat_entries: image.map(|image| image.bat_entries),
        allocated_clusters: image.map(|image| image.allocated_clusters),
        in_use: image.is_some_and(|image| image.state == State::InUse),
        state: image.map(|image| image.state.to_string()),
    }
}

pub(super) fn format(layer: &LayerInfo) -> &'static str {
    layer
        .image
        .as_ref()
        .map_or("raw", |image| image.version.name())
}
