//! Why a partition cannot be read.

use super::content::FileSystem;
use super::table::{TableError, TableKind};
use crate::error::{Detail, ErrorKind};

/// Why a partition cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionError {
    /// The partition table of the disk cannot be believed.
    #[error("reading the partition table ({})", kind.name())]
    Table {
        /// What kind of table it is.
        kind: TableKind,
        /// What is wrong with it.
        source: TableError,
    },
    /// A partition was asked for that the table does not have.
    #[error("the disk has no partition {number}")]
    NoSuchPartition {
        /// The number that was asked for.
        number: u32,
        /// The numbers that there are.
        available: Vec<u32>,
    },
    /// A partition was asked for, and the disk has no partition table.
    #[error("the disk has no partition table{}", whole.map_or_else(String::new, holds))]
    NoTable {
        /// What the disk holds as a whole, where that is known.
        whole: Option<FileSystem>,
    },
    /// A partition was asked for that only holds others.
    #[error("partition {number} is an extended partition, which only holds logical ones")]
    Extended {
        /// The number that was asked for.
        number: u32,
        /// The numbers of those that can be read.
        available: Vec<u32>,
    },
}

fn holds(whole: FileSystem) -> String {
    format!(": all of it is {}", whole.title())
}

impl Detail for PartitionError {
    fn kind(&self) -> ErrorKind {
        match self {
            // A table that breaks a rule is damage, whatever the rule: a table of a kind that is
            // not known is no table here.
            Self::Table { .. } => ErrorKind::Corrupt,
            Self::NoTable { .. } => ErrorKind::NotThisFormat,
            Self::NoSuchPartition { .. } | Self::Extended { .. } => ErrorKind::Input,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Table { .. } => "partition-table",
            Self::NoSuchPartition { .. } => "no-such-partition",
            Self::NoTable { .. } => "no-partition-table",
            Self::Extended { .. } => "extended-partition",
        }
    }
}
