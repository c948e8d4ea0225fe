//! `ploopconv map`: where every part of the disk is stored.

use std::io::Write;

use anyhow::Context;
use ploopconv::disk::{Extent, ExtentKind, VirtualDisk};
use ploopconv::ploop::Severity;
use ploopconv::text;

use super::Verdict;
use super::open::{OpenArgs, Opened, Salvage};
use super::output::{finish, results, safe_json};
use super::report::{path, warn};

/// Show where every part of the disk is stored
#[derive(Debug, clap::Args)]
pub(crate) struct MapArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &MapArgs) -> anyhow::Result<Verdict> {
    let context = || format!("mapping {}", args.open.name());
    let workers = args.open.workers()?;
    let examined = args.open.examine(&workers).with_context(context)?;
    warn(&examined, Severity::Warning);
    let opened = args.open.disk(examined).with_context(context)?;
    // What is lost is shown as that.
    let stored = opened.salvage.as_ref().map(Salvage::stored).transpose()?;
    let disk = match &stored {
        Some(stored) => stored,
        None => opened.disk.as_ref(),
    };
    let out = results();
    if args.json {
        print_json(disk, &opened, &args.open.name().to_string(), out)?;
    } else {
        print_text(disk, &opened, out)?;
    }
    disk.check_unchanged().with_context(context)?;
    let mut losses = opened.salvage.iter().flat_map(Salvage::losses);
    Ok(if losses.next().is_some() {
        Verdict::Salvaged
    } else {
        Verdict::Done
    })
}

/// One line an extent: a disk may have millions, so nothing is collected.
fn print_text(disk: &dyn VirtualDisk, opened: &Opened, mut out: impl Write) -> anyhow::Result<()> {
    let writing = "writing to stdout";
    writeln!(
        out,
        "{:<18} {:<18} {:>5}  {:<18} FILE",
        "OFFSET", "LENGTH", "LAYER", "HOST OFFSET"
    )
    .context(writing)?;
    let files = file_names(opened);
    let files: Vec<_> = files.iter().map(|file| text::safe(file)).collect();
    for extent in disk.extents() {
        let Extent { offset, len, kind } = extent?;
        match kind {
            ExtentKind::Data { layer, host_offset }
            | ExtentKind::Compressed { layer, host_offset } => {
                let file = files.get(layer).map_or("", |file| file.as_ref());
                writeln!(
                    out,
                    "{offset:<#18x} {len:<#18x} {layer:>5}  {host_offset:<#18x} {file}"
                )
            }
            ExtentKind::Hole => writeln!(out, "{offset:<#18x} {len:<#18x}  hole"),
            ExtentKind::Lost { layer } => {
                writeln!(out, "{offset:<#18x} {len:<#18x} {layer:>5}  lost")
            }
        }
        .context(writing)?;
    }
    finish(out)
}

/// One object a line, in one array.
fn print_json(
    disk: &dyn VirtualDisk,
    opened: &Opened,
    image: &str,
    mut out: impl Write,
) -> anyhow::Result<()> {
    let writing = "writing to stdout";
    let string = |text: &str| serde_json::to_string(text).map(|text| safe_json(&text));
    write!(
        out,
        "{{\n  \"image\": {},\n  \"size\": {},\n  \"extents\": [",
        string(image)?,
        disk.size()
    )
    .context(writing)?;
    let files: Vec<_> = file_names(opened)
        .iter()
        .map(|f| string(f))
        .collect::<Result<_, _>>()?;
    let mut separator = "\n";
    for extent in disk.extents() {
        let Extent { offset, len, kind } = extent?;
        write!(
            out,
            "{separator}    {{\"offset\": {offset}, \"length\": {len}, "
        )
        .context(writing)?;
        match kind {
            ExtentKind::Data { layer, host_offset }
            | ExtentKind::Compressed { layer, host_offset } => {
                let file = files.get(layer).map_or("null", String::as_str);
                write!(
                    out,
                    "\"kind\": \"data\", \"layer\": {layer}, \"file\": {file}, \
                     \"host_offset\": {host_offset}}}"
                )
            }
            ExtentKind::Hole => write!(out, "\"kind\": \"hole\"}}"),
            ExtentKind::Lost { layer } => write!(out, "\"kind\": \"lost\", \"layer\": {layer}}}"),
        }
        .context(writing)?;
        separator = ",\n";
    }
    writeln!(out, "\n  ]\n}}").context(writing)?;
    finish(out)
}

fn file_names(opened: &Opened) -> Vec<String> {
    opened.layer_files.iter().map(|file| path(file)).collect()
}
