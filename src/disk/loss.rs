//! What of a disk is lost, where it is read over damage.

use std::ops::Range;

use crate::error::Result;

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

    /// The first byte after it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// Makes one of losses of a kind that touch.
pub(crate) fn joined(
    losses: impl Iterator<Item = Result<Loss>>,
) -> impl Iterator<Item = Result<Loss>> {
    let mut losses = losses.peekable();
    std::iter::from_fn(move || {
        let mut loss = match losses.next()? {
            Ok(loss) => loss,
            error => return Some(error),
        };
        let continues = |loss: &Loss, next: &Result<Loss>| {
            next.as_ref()
                .is_ok_and(|next| next.kind == loss.kind && next.offset == loss.end())
        };
        while let Some(Ok(next)) = losses.next_if(|next| continues(&loss, next)) {
            loss.len = loss.len.saturating_add(next.len);
        }
        Some(Ok(loss))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_one_kind_that_touch_are_one() {
        let loss = |range, kind| Ok(Loss::of(range, kind));
        let all = [
            loss(0..5, LossKind::Missing),
            loss(5..6, LossKind::Missing),
            loss(6..8, LossKind::Doubtful),
            loss(9..10, LossKind::Doubtful),
        ];
        let ranges: Vec<_> = joined(all.into_iter())
            .map(|loss| loss.map(|loss| (loss.offset, loss.len)).unwrap())
            .collect();
        assert_eq!(ranges, [(0, 6), (6, 2), (9, 1)]);
    }
}
