//! The descriptor that named the layers of a disk, watched while these are read.

use crate::error::Result;
use crate::ploop::chain::{ChainPlan, LayerForm, current_top};
use crate::ploop::descriptor::Descriptor;
use crate::source::{FileSource, Source};
use crate::util::bytes::to_usize;

/// What a descriptor said when the layers were opened.
#[derive(Debug)]
pub(in crate::ploop) struct Named {
    source: FileSource,
    /// Nothing where the current state is read: then any change may be one of it.
    snapshot: Option<Snapshot>,
}

/// What of a descriptor decides the bytes of a snapshot.
#[derive(Debug, PartialEq, Eq)]
struct Snapshot {
    plan: ChainPlan,
    /// The size of the disk, and start, end and cluster size of every part, in bytes: where a
    /// header of a layer does not say them. Nothing where the headers say all.
    stated: Option<Stated>,
}

type Stated = (Option<u64>, Vec<(u64, Option<u64>, Option<u64>)>);

impl Snapshot {
    /// Nothing where it is the current state, or nothing says that another one is.
    fn of(descriptor: &Descriptor, plan: ChainPlan) -> Option<Self> {
        let (top, _) = current_top(descriptor)?;
        if top == plan.top {
            return None;
        }
        let by_headers = |plan: &ChainPlan| {
            let mut layers = plan.layers();
            !plan.is_split() && layers.all(|layer| layer.form == LayerForm::Image)
        };
        let parts = descriptor.storages.iter();
        let parts = parts.map(|part| (part.start, part.end, part.block_size));
        let stated = (!by_headers(&plan)).then(|| (descriptor.disk_size, parts.collect()));
        Some(Self { plan, stated })
    }
}

impl Named {
    /// `source` is the descriptor, which gave `plan`.
    pub(in crate::ploop) fn new(
        source: FileSource,
        descriptor: &Descriptor,
        plan: &ChainPlan,
    ) -> Self {
        let snapshot = Snapshot::of(descriptor, plan.clone());
        Self { source, snapshot }
    }

    /// The file.
    pub(super) fn source(&self) -> &FileSource {
        &self.source
    }

    /// Makes sure that the descriptor is what it was, or that it says the same of a snapshot as it
    /// did: further snapshots, and what becomes of layers that are not read, are nothing to it. The
    /// files of the layers are not looked at.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`](crate::ErrorKind::Changed) where it says something else, cannot be
    /// read any more, or describes the current state and is another one.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let unchanged = self.source.check_unchanged();
        if unchanged.is_ok() || self.snapshot.is_some() && self.snapshot == self.now() {
            return Ok(());
        }
        unchanged
    }

    /// What the file of that name says now; nothing where it says nothing of the snapshot. ploop
    /// makes a new file and gives it the name, so it is never seen half written.
    fn now(&self) -> Option<Snapshot> {
        let wanted = self.snapshot.as_ref()?.plan.top;
        let file = FileSource::open_resolved(self.source.path()).ok()?;
        let len = Some(file.len()).filter(|len| *len <= Descriptor::MAX_LEN)?;
        let mut bytes = vec![0; to_usize(len)];
        file.read_exact_at(&mut bytes, 0).ok()?;
        let descriptor = Descriptor::parse(&bytes).ok()?;
        let plan = ChainPlan::select(&descriptor, Some(wanted)).ok()?;
        Snapshot::of(&descriptor, plan)
    }
}
