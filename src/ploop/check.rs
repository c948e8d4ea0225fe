//! What can be said about an image: findings, the same for a check and for a refusal.

use std::fmt;
use std::path::PathBuf;

use super::alternative::Alternative;
use super::header::HeaderError;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Unusual; what is read is right all the same.
    Warning,
    /// Somebody may be writing, or was cut off while doing so.
    InUse,
    /// Something that is stored cannot be trusted: nothing is read unless asked for.
    Damage,
}

impl Severity {
    /// The word that users and scripts see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::InUse => "in-use",
            Self::Damage => "damage",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $severity:ident;)*) => {
        /// Everything that can be found.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum FindingKind {
            $($(#[$doc])* $name,)*
        }

        impl FindingKind {
            /// The name by which scripts know the finding; never changes.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// How much a finding of this kind matters.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

kinds! {
    /// The file ends inside the header.
    TruncatedHeader = "truncated-header", Damage;
    /// The file ends inside the BAT.
    TruncatedBat = "truncated-bat", Damage;
    /// A file that has to be an image has no signature.
    NotPloop = "not-ploop", Damage;
    /// The image type is not 2.
    ImageType = "image-type", Damage;
    /// The cluster size is out of bounds.
    ClusterSize = "cluster-size", Damage;
    /// The cluster size is not one that ploop uses.
    ClusterSizeUnusual = "cluster-size-unusual", Warning;
    /// The virtual size is not usable.
    VirtualSize = "virtual-size", Damage;
    /// The data would start inside the BAT or off a cluster.
    DataOffset = "data-offset", Damage;
    /// The last layer is marked in use.
    InUse = "in-use", InUse;
    /// A running device writes to the last layer.
    Attached = "attached", InUse;
    /// Somebody holds a lock on a file of the disk that says that they write.
    Locked = "locked", InUse;
    /// A program or a loop device has a file of the disk open for writing.
    OpenForWriting = "open-for-writing", InUse;
    /// A conversion between versions of the format was cut short.
    VersionConversion = "version-conversion", Damage;
    /// A state word that is not known, and means closed.
    UnknownState = "unknown-state", Info;
    /// Flag bits that are not known.
    UnknownFlags = "unknown-flags", Warning;
    /// A BAT entry points past the end of the file.
    EntryPastEnd = "entry-past-end", Damage;
    /// A cluster is cut off by the end of the file.
    ClusterTruncated = "cluster-truncated", Damage;
    /// The last cluster is cut off, but only past the end of the disk.
    LastClusterShort = "last-cluster-short", Warning;
    /// A BAT entry points into the header or the BAT.
    EntryInTable = "entry-in-table", Damage;
    /// A BAT entry points into the middle of a cluster.
    EntryMisaligned = "entry-misaligned", Damage;
    /// Two clusters are stored in the same place.
    EntryDuplicate = "entry-duplicate", Damage;
    /// Words past the end of the BAT are in use.
    EntryBeyondTable = "entry-beyond-table", Warning;
    /// BAT entries past the end of the disk are in use.
    EntryBeyondDisk = "entry-beyond-disk", Warning;
    /// The BAT has fewer entries than the disk has clusters.
    TableTooSmall = "table-too-small", Damage;
    /// The file's length is not a multiple of the cluster size.
    FileLength = "file-length", Warning;
    /// Bytes of the file belong to no cluster.
    Unreferenced = "unreferenced", Info;
    /// The unused upper half of a version 1 size is not zero.
    SizeHighWord = "size-high-word", Warning;
    /// The descriptor cannot be used, or does not give a chain.
    Descriptor = "descriptor", Damage;
    /// A file that the descriptor names is missing.
    LayerMissing = "layer-missing", Damage;
    /// A raw disk is shorter than it was: the descriptor or what it holds says so.
    RawTruncated = "raw-truncated", Damage;
    /// A raw base is shorter than the layer above it, and nothing says whether it was cut.
    RawSizeUnproven = "raw-size-unproven", Damage;
    /// A raw base is shorter than the layer above it, because the disk grew later.
    RawGrown = "raw-grown", Info;
    /// A base that the descriptor calls raw begins like an image.
    PlainWithHeader = "plain-with-header", Warning;
    /// A layer is smaller than its parent.
    LayerSmaller = "layer-smaller", Damage;
    /// Part of an image could not be read.
    ReadError = "read-error", Damage;
    /// A layer that is not the last one is marked in use.
    LayerInUse = "layer-in-use", Warning;
    /// A snapshot that a merge or a backup left unfinished.
    TemporarySnapshot = "temporary-snapshot", Warning;
    /// A descriptor that was being rewritten lies beside the one in force.
    UnfinishedDescriptor = "unfinished-descriptor", Warning;
    /// A layer that the descriptor does not know is in use and has the disk's size.
    UnlistedLayerInUse = "unlisted-layer-in-use", Warning;
    /// The chain mixes the versions of the format.
    MixedVersions = "mixed-versions", Warning;
    /// The chain mixes cluster sizes.
    MixedClusterSizes = "mixed-cluster-sizes", Warning;
    /// The descriptor states another disk size than the last layer.
    DiskSizeDiffers = "disk-size-differs", Warning;
    /// The descriptor states another cluster size than an image.
    BlockSizeDiffers = "block-size-differs", Warning;
    /// A file was found beside the descriptor, not where the descriptor says.
    MovedFile = "moved-file", Warning;
    /// `Snapshots.xml`, which has the names of the snapshots, cannot be read.
    SnapshotNames = "snapshot-names", Warning;
    /// The descriptor does not name its top.
    TopGuessed = "top-guessed", Warning;
    /// The images of a part of a split disk are shorter than the part, or longer by more than what
    /// a cluster rounds up.
    PartSize = "part-size", Damage;
    /// The images of a part of a split disk are a little longer than the part, and end with it.
    PartLonger = "part-longer", Warning;
    /// Something says that the disk has a part that the descriptor does not name.
    PartUnlisted = "part-unlisted", Damage;
    /// The names of the parts of a split disk say another order than the descriptor.
    PartOrder = "part-order", Warning;
    /// The virtual machine of the disk is suspended.
    Suspended = "suspended", InUse;
    /// The configuration of a virtual machine cannot be used, or contradicts itself.
    BundleConfig = "bundle-config", Warning;
    /// A layer that has a parent is read by itself.
    SingleLayer = "single-layer", Warning;
    /// Header and BAT come from the copy that a conversion between versions saved.
    IndexUsed = "index-used", Warning;
}

impl FindingKind {
    /// Whether a disk can be read over this kind of damage: what it costs is known to the byte.
    #[must_use]
    pub fn is_salvageable(self) -> bool {
        // A layer that cannot be opened at all has an error of its own.
        matches!(
            self,
            Self::EntryPastEnd
                | Self::ClusterTruncated
                | Self::EntryInTable
                | Self::EntryMisaligned
                | Self::EntryDuplicate
                | Self::ReadError
                | Self::RawTruncated
                | Self::RawSizeUnproven
        )
    }
}

/// One thing worth saying about an image or a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// The part of a split disk it is about, 0 for the first.
    pub part: Option<usize>,
    /// The layer it is about, 0 for the base.
    pub layer: Option<usize>,
    /// The file it is about.
    pub file: Option<PathBuf>,
    /// The facts, as one sentence without a full stop.
    pub message: String,
    /// How often it was found; for [`FindingKind::Unreferenced`] the number of bytes.
    pub count: u64,
    /// How the disk could be read if the finding is a mistake of the descriptor.
    pub instead: Option<Alternative>,
}

impl Finding {
    /// A finding about the whole disk, found once.
    pub(crate) fn new(kind: FindingKind, message: String) -> Self {
        Self {
            kind,
            part: None,
            layer: None,
            file: None,
            message,
            count: 1,
            instead: None,
        }
    }

    pub(crate) fn times(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    pub(crate) fn of(mut self, layer: usize, file: &std::path::Path) -> Self {
        self.layer = Some(layer);
        self.file = Some(file.to_owned());
        self
    }

    /// How much the finding matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.file.as_ref().and_then(|file| file.file_name()) {
            write!(f, "{}: ", name.display())?;
        } else if let Some(part) = self.part {
            write!(f, "part {part}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl From<&HeaderError> for FindingKind {
    fn from(error: &HeaderError) -> Self {
        match error {
            HeaderError::Truncated { .. } => Self::TruncatedHeader,
            HeaderError::Signature => Self::NotPloop,
            HeaderError::Type(_) => Self::ImageType,
            HeaderError::ClusterSize(_) => Self::ClusterSize,
            HeaderError::VirtualSize { .. } => Self::VirtualSize,
            HeaderError::VersionConversion | HeaderError::OtherImage => Self::VersionConversion,
            HeaderError::DataStart { .. } => Self::DataOffset,
            HeaderError::TruncatedBat { .. } => Self::TruncatedBat,
            HeaderError::TableTooSmall { .. } => Self::TableTooSmall,
        }
    }
}
