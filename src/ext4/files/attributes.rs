//! Extended attributes: in the inode, in a block, and in inodes of their own.

use super::acl;
use super::checksum::crc32c;
use super::error::FilesError;
use super::inode::{BASE, Inode};
use super::reader::Reader;
use crate::error::Result;
use crate::tree::Attribute;
use crate::util::bytes::{le_u16, le_u32, to_u64, to_usize};

const MAGIC: u32 = 0xea02_0000;

/// An entry's bytes in front of its name.
const HEADER: usize = 16;

/// Where an inode that holds a value keeps its checksum, in place of a time.
const VALUE_SUM: usize = 8;

/// The name space of an attribute that has no name here: what an inode keeps inline.
const SYSTEM: u8 = 7;

/// The most that a value has, in bytes, for any program.
const LARGEST: u32 = 1 << 16;

/// The most that all values of a file have: a block of 4 KiB has room for half as many.
const MOST: usize = 32 << 20;

/// What entries are called that cannot be.
const SENSELESS: &str = "its attributes make no sense";

/// An attribute as it is stored.
struct Stored<'a> {
    index: u8,
    name: &'a [u8],
    value: Value<'a>,
}

enum Value<'a> {
    Here(&'a [u8]),
    /// In an inode of its own, with so many bytes.
    Inode(u32, u32),
}

impl Reader {
    /// All attributes of a file, ordered by name.
    ///
    /// # Errors
    ///
    /// Where they make no sense, and what the disk says.
    pub(super) fn attributes_of(&self, inode: &Inode) -> Result<Vec<Attribute>> {
        let mut found = Vec::new();
        let mut bytes = 0;
        self.each_attribute(inode, |stored| {
            let Some(name) = full_name(&stored) else {
                return Ok(());
            };
            let value = self.value(inode, &stored.value)?;
            let value = match acl::is_acl(stored.index) {
                true => acl::for_programs(&value)
                    .ok_or_else(|| self.damaged(inode.number, "an access control list is none"))?,
                false => value,
            };
            bytes += value.len();
            if bytes > MOST {
                return Err(self.damaged(inode.number, "its attributes are too many"));
            }
            found.push(Attribute { name, value });
            Ok(())
        })?;
        found.sort_by(|a: &Attribute, b| a.name.cmp(&b.name));
        // The inode's own come first, and the kernel asks them first.
        found.dedup_by(|later, first| later.name == first.name);
        Ok(found)
    }

    /// What an attribute of the inode has of the data that it keeps inline.
    ///
    /// # Errors
    ///
    /// As [`Reader::attributes_of`], and where there is no such attribute: an inode that keeps data
    /// has one, if only an empty one.
    pub(super) fn inline_attribute(&self, inode: &Inode) -> Result<Vec<u8>> {
        let mut data = None;
        self.each_of_inode(inode, &mut |stored| {
            if (stored.index, stored.name) == (SYSTEM, b"data") {
                data = Some(self.value(inode, &stored.value)?);
            }
            Ok(())
        })?;
        data.ok_or_else(|| self.damaged(inode.number, "it has lost the data that it keeps"))
    }

    /// Hands out the attributes that lie in the inode itself.
    fn each_of_inode(
        &self,
        inode: &Inode,
        each: &mut impl FnMut(Stored<'_>) -> Result<()>,
    ) -> Result<()> {
        let own = inode.stored.get(BASE + inode.extra_size..);
        // A large inode that uses none of its extra room has no attributes either.
        let own = own.filter(|own| inode.extra_size > 0 && le_u32(own, 0) == MAGIC);
        if let Some(own) = own.and_then(|own| own.get(4..)) {
            for stored in entries(own, own) {
                each(stored.ok_or_else(|| self.damaged(inode.number, SENSELESS))?)?;
            }
        }
        Ok(())
    }

    fn each_attribute(
        &self,
        inode: &Inode,
        mut each: impl FnMut(Stored<'_>) -> Result<()>,
    ) -> Result<()> {
        self.each_of_inode(inode, &mut each)?;
        let place = inode.attribute_block();
        if place == 0 {
            return Ok(());
        }
        if !self.superblock.holds(place, 1) {
            return Err(self.damaged(inode.number, SENSELESS));
        }
        let block = self.read_block(inode.number, place)?;
        block.check(|bytes| self.check_attributes(inode.number, place, bytes))?;
        for stored in entries(&block.bytes, block.bytes.get(32..).unwrap_or_default()) {
            each(stored.ok_or_else(|| self.damaged(inode.number, SENSELESS))?)?;
        }
        Ok(())
    }

    /// Checks that a block holds attributes, and its checksum.
    pub(super) fn check_attributes(&self, inode: u32, place: u64, bytes: &[u8]) -> Result<()> {
        if le_u32(bytes, 0) != MAGIC || le_u32(bytes, 8) != 1 {
            return Err(self.damaged(inode, "the block of its attributes is none"));
        }
        let Some(seed) = self.features.seed else {
            return Ok(());
        };
        let (before, after) = bytes.split_at(16);
        let sum = crc32c(crc32c(crc32c(seed, &place.to_le_bytes()), before), &[0; 4]);
        if crc32c(sum, after.get(4..).unwrap_or_default()) != le_u32(bytes, 16) {
            let problem = "the checksum of its attributes is wrong";
            return Err(self.damaged(inode, problem));
        }
        Ok(())
    }

    fn value(&self, inode: &Inode, value: &Value<'_>) -> Result<Vec<u8>> {
        let (number, size) = match *value {
            Value::Here(bytes) => return Ok(bytes.to_vec()),
            Value::Inode(number, size) => (number, size),
        };
        let holder = self.inode(number)?;
        let fits = to_u64(to_usize(size)) <= holder.metadata.size && size <= LARGEST;
        if !holder.is_attribute() || !fits {
            let inode = u64::from(inode.number);
            let problem = "the value of an attribute is not where it should be";
            return Err(FilesError::Inode { inode, problem }.into());
        }
        let mut bytes = vec![0; to_usize(size)];
        self.read_file(&holder, &mut bytes, 0)?;
        let sum = crc32c(self.features.value_seed, &bytes);
        if sum != le_u32(&holder.stored, VALUE_SUM) && !is_of_lustre(&holder, inode) {
            let problem = "the checksum of the value of an attribute is wrong";
            return Err(self.damaged(inode.number, problem));
        }
        Ok(bytes)
    }
}

/// Whether a value belongs to the one file whose number and generation are kept with it, as Lustre
/// once stored it. Such values have no checksum.
fn is_of_lustre(holder: &Inode, parent: &Inode) -> bool {
    const GENERATION: usize = 100;
    const PARENT: usize = 16;
    let word = |inode: &Inode, at| le_u32(&inode.stored, at);
    word(holder, PARENT) == parent.number && word(holder, GENERATION) == word(parent, GENERATION)
}

/// The entries in `list`, whose values lie in `values` at the offsets that they say; `None` where
/// one makes no sense, and then no more come.
fn entries<'a>(values: &'a [u8], list: &'a [u8]) -> impl Iterator<Item = Option<Stored<'a>>> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest.take()?;
        // Four zero bytes end the list, or the room does.
        if list.len() < 4 || le_u32(list, 0) == 0 {
            return None;
        }
        let entry = parse(values, list);
        rest = entry.as_ref().and_then(|(_, len)| list.get(*len..));
        Some(entry.map(|(stored, _)| stored))
    })
}

fn parse<'a>(values: &'a [u8], list: &'a [u8]) -> Option<(Stored<'a>, usize)> {
    let (header, names) = list.split_first_chunk::<HEADER>()?;
    let [name_len, index, ..] = *header;
    let name = names.get(..usize::from(name_len))?;
    if name.contains(&0) {
        return None;
    }
    let size = le_u32(header, 8);
    let value = match le_u32(header, 4) {
        0 if size == 0 => Value::Here(&[]),
        0 => {
            let at = usize::from(le_u16(header, 2));
            Value::Here(values.get(at..)?.get(..to_usize(size))?)
        }
        inode => Value::Inode(inode, size),
    };
    let len = (HEADER + name.len()).next_multiple_of(4);
    Some((Stored { index, name, value }, len))
}

/// The name that programs see; `None` for what they do not see.
fn full_name(stored: &Stored<'_>) -> Option<Vec<u8>> {
    let space: &[u8] = match stored.index {
        1 => b"user.",
        2 => b"system.posix_acl_access",
        3 => b"system.posix_acl_default",
        4 => b"trusted.",
        6 => b"security.",
        10 => b"gnu.",
        _ => return None,
    };
    let name = match acl::is_acl(stored.index) {
        true => &[],
        false => stored.name,
    };
    Some([space, name].concat())
}
