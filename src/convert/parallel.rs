//! Several images at a time, where one alone would not keep the machine busy.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fill::{fill, open_sink};
use super::filled::Filled;
use super::options::ConvertOptions;
use super::plan::PlannedImage;
use super::resources::Resources;
use super::target::Target;
use crate::error::{Error, ErrorKind, Result};
use crate::format::TargetFormat;
use crate::hash::Algorithm;
use crate::util::sync::{StopOthers, into_inner, lock};
use crate::workers::Workers;

/// An error, and the image that it is about, where it is about one.
type Fault = (Option<PathBuf>, Error);

/// Images that are filled by several groups of threads.
struct Parallel<'a> {
    options: &'a ConvertOptions,
    resources: Resources<'a>,
    /// With the target of the only one that is no file.
    images: Vec<Mutex<(&'a mut PlannedImage, Option<Target>)>>,
    next: AtomicUsize,
    /// In the order of the images.
    done: Vec<Mutex<Option<std::result::Result<Filled, Fault>>>>,
}

/// Fills all images, in any order; what is given back is in that of the images. After an error no
/// other image is begun, and those that are under way stop. `target` is where a single image goes.
pub(super) fn fill_all(
    images: &mut [PlannedImage],
    target: Target,
    options: &ConvertOptions,
    resources: &Resources<'_>,
) -> std::result::Result<Vec<Filled>, Fault> {
    let threads = resources.workers.threads();
    let mut target = Some(target);
    let parallel = Parallel {
        options,
        resources: *resources,
        next: AtomicUsize::new(0),
        done: images.iter().map(|_| Mutex::new(None)).collect(),
        images: images
            .iter_mut()
            .map(|image| {
                let target = match image.is_file {
                    true => Some(Target::File(image.path.clone())),
                    false => target.take(),
                };
                Mutex::new((image, target))
            })
            .collect(),
    };
    let groups = parallel.groups(threads);
    if groups == 1 {
        parallel.work(resources.workers);
    } else {
        let each = threads / groups;
        let pools: Result<Vec<_>> = (0..groups).map(|_| Workers::new(each)).collect();
        let pools = pools.map_err(|error| (None, error))?;
        let parallel = &parallel;
        std::thread::scope(|scope| {
            for workers in &pools {
                scope.spawn(move || parallel.work(workers));
            }
        });
    }
    parallel.results()
}

impl Parallel<'_> {
    /// How many images are filled beside each other. One thread computes a SHA-256, so there may
    /// be one for each; everything else keeps all threads busy with a single image.
    fn groups(&self, threads: usize) -> usize {
        /// Each image has buffers of its own, which are not to be large.
        const LARGEST_BUFFER: u64 = 256 << 10;
        let buffer = match &self.options.format {
            TargetFormat::Disk(format) => format.buffer_for_each(),
            TargetFormat::Files(_) => None,
        };
        let is_small = buffer.is_some_and(|buffer| buffer <= LARGEST_BUFFER);
        match self.options.checksum {
            Some(Algorithm::Sha256) if is_small => threads.min(self.images.len()).max(1),
            _ => 1,
        }
    }

    fn work(&self, workers: &Workers) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let (Some(image), Some(done)) = (self.images.get(at), self.done.get(at)) else {
                return;
            };
            let stop_others = StopOthers::new(|| {
                self.next.store(self.images.len(), Ordering::Relaxed);
                self.resources.stop.store(true, Ordering::SeqCst);
            });
            let mut image = lock(image);
            let (image, target) = &mut *image;
            let filled = self.fill(image, target.take(), workers);
            if filled.is_ok() {
                stop_others.ended_well();
            }
            let path = || Some(image.path.clone());
            *lock(done) = Some(filled.map_err(|error| (path(), error)));
        }
    }

    fn fill(
        &self,
        image: &mut PlannedImage,
        target: Option<Target>,
        workers: &Workers,
    ) -> Result<Filled> {
        let target = target.unwrap_or_else(|| Target::File(image.path.clone()));
        let resources = Resources {
            workers,
            ..self.resources
        };
        let sink = open_sink(target, image, self.options, &resources)?;
        fill(sink, image, self.options, &resources)
    }

    /// What all images gave, or the error of the one that made the others stop.
    fn results(self) -> std::result::Result<Vec<Filled>, Fault> {
        let done = self.done.into_iter().filter_map(into_inner);
        let (mut filled, mut stopped) = (Vec::new(), None);
        for one in done {
            match one {
                Ok(one) => filled.push(one),
                Err(fault) if fault.1.kind() == ErrorKind::Stopped => stopped = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        stopped.map_or(Ok(filled), Err)
    }
}
