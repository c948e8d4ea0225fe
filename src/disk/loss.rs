//! What of a disk is lost, where it is read over damage.

use std::ops::Range;

/// A run of a disk that is not what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Where it begins, in bytes of the disk.
    pub offset: u64,
    /// The number of bytes, never zero.
    pub len: u64,
    /// What became of it.
    pub kind: LossKind,
}

/// What became of a lost run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossKind {
    /// No file has it: it reads as zeros.
    Missing,
    /// A device does not give it: it reads as zeros.
    Unreadable,
    /// It is read as it is stored, and may belong to another place of the disk; or it is stored
    /// nowhere, and may never have been.
    Doubtful,
}

impl LossKind {
    /// The word that users and scripts see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Doubtful => "doubtful",
        }
    }

    /// Whether zeros stand for it.
    #[must_use]
    pub fn is_zeros(self) -> bool {
        !matches!(self, Self::Doubtful)
    }
}

impl Loss {
    /// A loss of the bytes in `range`, which is not empty.
    #[must_use]
    pub fn of(range: Range<u64>, kind: LossKind) -> Self {
        Self {
            offset: range.start,
            len: range.end.saturating_sub(range.start),
            kind,
        }
    }

    /// The first byte behind it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// The part that lies in `range`, counted from its start; `None` where none does.
    #[must_use]
    pub fn seen_from(&self, range: &Range<u64>) -> Option<Self> {
        let start = self.offset.max(range.start);
        let end = self.end().min(range.end);
        (start < end).then(|| Self::of(start - range.start..end - range.start, self.kind))
    }
}
