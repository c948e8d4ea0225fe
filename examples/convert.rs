//! What `ploopconv IMAGE -o TARGET` does, with every promise of it, by the library:
//! `cargo run --example convert IMAGE TARGET`.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ploopconv::Workers;
use ploopconv::convert::{ConvertOptions, Input, Resources, Target, plan};
use ploopconv::ploop::{IfInUse, OpenOptions, examine};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (image, target) = words.next().zip(words.next()).ok_or("IMAGE TARGET")?;
    let workers = Workers::new(4)?;
    let examined = workers.install(|| examine(image.as_ref(), &OpenOptions::default()))?;
    let input = Input::examined(examined, IfInUse::Refuse, &image)?;
    let options = ConvertOptions::for_name(target.as_ref());
    let to = Target::at(target.as_ref(), options.if_exists)?;
    let (stop, partials) = (AtomicBool::new(false), Arc::default());
    let with = Resources {
        workers: &workers,
        stop: &stop,
        partials: &partials,
        progress: &(),
    };
    let done = plan(input, to, options, &with)?.run(&with);
    let done = done.map_err(|failed| failed.error)?;
    let written = done.images[0].summary.written;
    Ok(writeln!(std::io::stdout(), "{written} bytes written")?)
}
