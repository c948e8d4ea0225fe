//! A short word for every kind of error, for scripts.

use std::io::ErrorKind;

use super::{Error, Limit};

impl Error {
    /// A short, stable word for the kind of error: lower case, with dashes. `docs/json.md` lists
    /// them all. Texts change; these do not.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { source, .. } => match source.kind() {
                ErrorKind::NotFound => "no-such-file",
                ErrorKind::PermissionDenied => "permission-denied",
                _ => "io",
            },
            Self::NotAFile { .. } => "not-a-file",
            Self::NotPloop { .. } => "not-ploop",
            Self::NoImage { .. } => "no-image",
            Self::NoContainer { .. } => "no-container",
            Self::Header { .. } => "header",
            Self::Index { .. } => "saved-table",
            Self::NotALayer { .. } => "not-a-layer",
            Self::LayerOrder { .. } => "layer-order",
            Self::Descriptor { .. } => "descriptor",
            Self::Select { .. } => "snapshot",
            Self::LoneLayer { .. } => "lone-layer",
            Self::UnknownRole { .. } => "unknown-role",
            Self::WrongInput { .. } => "wrong-input",
            Self::Outside { .. } => "outside",
            Self::Refused(refused) => refused.error.code(),
            Self::SeveralDisks { .. } => "several-disks",
            Self::Containers { .. } => "containers",
            Self::Simfs { .. } => "simfs",
            Self::Part { .. } => "part",
            Self::Damaged { .. } => "damaged",
            Self::InUse { .. } => "in-use",
            Self::Changed { .. } => "changed",
            Self::OutOfRange { .. } => "out-of-range",
            Self::Lost { .. } => "lost",
            Self::TooManyLosses { .. } => "too-many-losses",
            Self::Qcow2Image { .. } => "qcow2-image",
            Self::PartitionTable { .. } => "partition-table",
            Self::NoSuchPartition { .. } => "no-such-partition",
            Self::NoTable { .. } => "no-partition-table",
            Self::ExtendedPartition { .. } => "extended-partition",
            Self::TargetExists { .. } => "target-exists",
            Self::TargetIsSource { .. } => "target-is-source",
            Self::TargetKind { .. } => "target-kind",
            Self::NoRoom { .. } => "no-room",
            Self::Full { limit, .. } => match limit {
                Limit::FileSystem(_) | Limit::Inodes(_) | Limit::Device => "full",
                Limit::Quota(_) => "quota",
                Limit::FileSize => "file-too-large",
            },
            Self::Create { .. } => "cannot-create",
            Self::Qcow2 { .. } => "qcow2-plan",
            Self::Unplanned { .. } => "unplanned",
            Self::CannotShare { .. } => "cannot-share",
            Self::Compressor { .. } => "compressor",
            Self::Attach { .. } => "attach",
            Self::Stopped => "interrupted",
            Self::SocketTaken { .. } => "socket-taken",
            Self::Threads { .. } => "threads",
        }
    }
}
