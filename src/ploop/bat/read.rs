//! Reads the table page by page, in parallel, and judges every entry.

use std::io;
use std::ops::Range;

use rayon::prelude::*;

use super::duplicates::duplicates;
use super::pages::{PAGE_BYTES, PAGE_ENTRIES, Page, Slab, counted};
use super::{BadEntry, Bat, BatFindings, IfUnreadable, NOWHERE, Rules};
use crate::ploop::header::Header;
use crate::source::{Source, rescue};
use crate::util::bytes::to_usize;

/// Why the table could not be read: the offset in the file, and what the source said.
type ReadError = (u64, io::Error);

/// The table starts right after the header.
const TABLE_START: u64 = Header::SIZE as u64;
/// Pages read before their findings are put together: bounds what is on the way, not the table.
const BATCH_PAGES: usize = 4096;
/// Pages read at once, if they lie beside each other: as much as stays in a core's cache until it
/// is judged.
const READ_PAGES: usize = 64;

impl Bat {
    /// Reads and judges the whole table of an image of `file_len` bytes, in parallel on the
    /// current rayon pool. With [`IfUnreadable::Salvage`], entries in sectors that cannot be read
    /// are lost (never absent, or the layer below would show), and [`Bat::doubtful_in`] answers.
    ///
    /// # Errors
    ///
    /// The offset in the file and what the source said, where the table cannot be read. Entries
    /// that break a rule are no error but findings.
    pub fn read(
        source: &dyn Source,
        header: &Header,
        file_len: u64,
        if_unreadable: IfUnreadable,
    ) -> Result<(Self, BatFindings), (u64, io::Error)> {
        let rules = Rules::new(header, file_len);
        let table = Table {
            source,
            rules,
            if_unreadable,
            entries: u64::from(header.bat_entries()),
            // The area ends where data starts, or where a file without data ends.
            end: header.data_start().min(file_len),
        };
        let mut bat = Self::without_entries(rules);
        let mut findings = BatFindings::default();
        let mut batch = Vec::new();
        let mut next_page = 0;
        let mut offset = TABLE_START;
        // Only what the file holds is read: in a hole of the table there is no entry.
        while let Some(run) = table.next_data(offset)? {
            for page in table.page_of(run.start).max(next_page)..=table.page_of(run.end - 1) {
                batch.push(page);
                next_page = page + 1;
                if batch.len() == BATCH_PAGES {
                    table.read_pages(&batch, &mut bat, &mut findings)?;
                    batch.clear();
                }
            }
            offset = run.end;
        }
        table.read_pages(&batch, &mut bat, &mut findings)?;
        findings.duplicate = duplicates(&bat, findings.allocated, findings.misaligned.count > 0);
        if if_unreadable == IfUnreadable::Salvage
            && findings.duplicate.count + findings.misaligned.count > 0
        {
            bat.find_doubtful();
        }
        Ok((bat, findings))
    }
}

/// The table in the file, while it is being read.
struct Table<'a> {
    source: &'a dyn Source,
    rules: Rules,
    if_unreadable: IfUnreadable,
    /// Entries that count; the words after them are padding.
    entries: u64,
    /// First byte of the file after the table and its padding.
    end: u64,
}

/// What pages gave that were read at once.
#[derive(Default)]
struct Found {
    pages: Vec<Page>,
    slab: Slab,
    findings: BatFindings,
}

impl Table<'_> {
    /// The first run of the table at or after `offset` that is no hole of the file.
    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, ReadError> {
        if offset >= self.end {
            return Ok(None);
        }
        let run = self.source.next_data(offset).map_err(|e| (offset, e))?;
        Ok(run
            .map(|run| run.start..run.end.min(self.end))
            .filter(|run| !run.is_empty()))
    }

    fn page_of(&self, offset: u64) -> u64 {
        (offset - TABLE_START) / PAGE_BYTES as u64
    }

    fn read_pages(
        &self,
        numbers: &[u64],
        bat: &mut Bat,
        findings: &mut BatFindings,
    ) -> Result<(), ReadError> {
        let neighbours = numbers.chunk_by(|one, next| one + 1 == *next);
        let reads: Vec<&[u64]> = neighbours.flat_map(|run| run.chunks(READ_PAGES)).collect();
        let read = |buffer: &mut Vec<u8>, numbers: &&[u64]| self.read_run(buffer, numbers);
        // Small tables are not worth waking threads for.
        let found: Vec<Found> = if numbers.len() < READ_PAGES {
            let mut buffer = Vec::new();
            let reads = reads.iter().map(|numbers| read(&mut buffer, numbers));
            reads.collect::<Result<_, _>>()?
        } else {
            let reads = reads.par_iter().map_init(Vec::new, read);
            reads.collect::<Result<_, _>>()?
        };
        for (numbers, found) in reads.iter().zip(found) {
            let pages = numbers.iter().copied().zip(found.pages);
            bat.pages.set(pages, found.slab);
            findings.append(found.findings);
        }
        Ok(())
    }

    /// Reads pages that lie beside each other at once, and judges them.
    fn read_run(&self, buffer: &mut Vec<u8>, numbers: &[u64]) -> Result<Found, ReadError> {
        let start = |number: u64| TABLE_START + number * PAGE_BYTES as u64;
        let mut found = Found::default();
        let Some(&first) = numbers.first() else {
            return Ok(found);
        };
        let most = numbers.len() as u64 * PAGE_BYTES as u64;
        let len = self.end.saturating_sub(start(first)).min(most) / 4 * 4;
        buffer.resize(to_usize(len), 0);
        let whole = self.if_unreadable == IfUnreadable::Fail
            && self.source.read_exact_at(buffer, start(first)).is_ok();
        for (&number, bytes) in numbers.iter().zip(buffer.chunks_mut(PAGE_BYTES)) {
            let mut unreadable = Vec::new();
            if !whole {
                // Page by page: an error is about the page where it is.
                let read = self.read_words(bytes, start(number));
                unreadable = read.map_err(|error| (start(number), error))?;
            }
            let first = number * PAGE_ENTRIES as u64;
            let page = match self.sound_page(bytes, first, &unreadable, &mut found) {
                Some(page) => page,
                None => self.judge_page(bytes, first, &unreadable, &mut found),
            };
            found.pages.push(page);
        }
        Ok(found)
    }

    /// A page of which something is wrong, or unusual. Its unreadable words are taken for
    /// [`NOWHERE`].
    fn judge_page(
        &self,
        bytes: &mut [u8],
        first: u64,
        unreadable: &[Range<u64>],
        found: &mut Found,
    ) -> Page {
        let findings = &mut found.findings;
        let is_unreadable = |index: u64| {
            let at = TABLE_START + index * 4;
            unreadable.iter().any(|range| range.contains(&at))
        };
        let mut is_used = false;
        for (index, word) in (first..).zip(bytes.chunks_exact_mut(4)) {
            if is_unreadable(index) {
                if index < self.rules.clusters {
                    word.copy_from_slice(&NOWHERE.to_le_bytes());
                    is_used = true;
                    findings.unreadable.push(BadEntry {
                        index,
                        host_offset: TABLE_START + index * 4,
                        other: None,
                    });
                }
                continue;
            }
            let entry = word.first_chunk().copied().map_or(0, u32::from_le_bytes);
            if entry == 0 {
                continue;
            } else if index < self.rules.clusters {
                is_used = true;
                self.judge(index, entry, findings);
            } else if index < self.entries {
                findings.beyond_disk += 1;
            } else {
                findings.beyond_table += 1;
            }
        }
        if !is_used {
            return Page::Empty;
        }
        let mut entries = [0; PAGE_ENTRIES];
        let kept = self.rules.clusters.saturating_sub(first);
        let words = bytes.chunks_exact(4).take(to_usize(kept));
        for (entry, word) in entries.iter_mut().zip(words) {
            *entry = word.first_chunk().copied().map_or(0, u32::from_le_bytes);
        }
        found.slab.list(entries)
    }

    /// A whole page of which no entry breaks a rule by itself, as nearly all are; told by
    /// comparisons that the compiler makes for many entries at a time.
    fn sound_page(
        &self,
        bytes: &[u8],
        first: u64,
        unreadable: &[Range<u64>],
        found: &mut Found,
    ) -> Option<Page> {
        let rules = &self.rules;
        let words = <&[[u8; 4]; PAGE_ENTRIES]>::try_from(bytes.as_chunks().0).ok()?;
        let end = first + PAGE_ENTRIES as u64;
        if end > rules.clusters || !unreadable.is_empty() {
            return None;
        }
        let whole = rules.whole_entries()?;
        let is_sound = |entry: u32| whole.contains(entry);
        // Counted to the end, and in words: what ends early, or counts further, is done with fewer
        // entries at a time.
        let entries = || words.iter().map(|word| u32::from_le_bytes(*word));
        let head = entries().next()?;
        let tail = u64::from(head) + u64::from(rules.step()) * (PAGE_ENTRIES as u64 - 1);
        if is_sound(head)
            && tail <= u64::from(whole.highest())
            && entries().next_back().map(u64::from) == Some(tail)
            && !rules.is_misaligned(rules.host_offset(head))
            && others_than_run(words, head, rules.step()) == 0
        {
            found.findings.allocated += PAGE_ENTRIES as u64;
            return Some(Page::Run(head));
        }
        let used: u32 = entries().map(|entry| u32::from(entry != 0)).sum();
        if used == 0 {
            return Some(Page::Empty);
        }
        let sound: u32 = entries().map(|entry| u32::from(is_sound(entry))).sum();
        // An unused entry is never among the sound ones: data starts after the header.
        if rules.may_misalign || sound != used {
            return None;
        }
        found.findings.allocated += u64::from(used);
        Some(found.slab.list(words.map(u32::from_le_bytes)))
    }

    /// Reads words of the table; where salvaging, gives the ranges of the file that could not be
    /// read.
    fn read_words(&self, bytes: &mut [u8], start: u64) -> io::Result<Vec<Range<u64>>> {
        let mut unreadable = Vec::new();
        if self.if_unreadable == IfUnreadable::Salvage {
            rescue(self.source, bytes, start, &mut |range| {
                unreadable.push(range);
            })?;
        } else {
            self.source.read_exact_at(bytes, start)?;
        }
        Ok(unreadable)
    }

    /// The rules for one entry by itself.
    fn judge(&self, index: u64, entry: u32, findings: &mut BatFindings) {
        let rules = &self.rules;
        let host_offset = rules.host_offset(entry);
        findings.allocated += 1;
        if rules.is_whole(host_offset) && !rules.is_misaligned(host_offset) {
            return;
        }
        let bad = BadEntry {
            index,
            host_offset,
            other: None,
        };
        let available = rules.available(host_offset);
        if host_offset < rules.data_start {
            findings.in_table.push(bad);
        } else if available == 0 {
            findings.past_end.push(bad);
        } else if available < rules.used(index) {
            findings.truncated.push(bad);
        } else if available < rules.cluster {
            findings.last_short.push(bad);
        }
        if host_offset >= rules.data_start && rules.is_misaligned(host_offset) {
            findings.misaligned.push(bad);
        }
    }
}

/// How many entries of a page are not those of the run that begins with `head`.
// By itself the compiler makes a better loop of it than within its caller.
#[inline(never)]
fn others_than_run(words: &[[u8; 4]; PAGE_ENTRIES], head: u32, step: u32) -> u32 {
    let entries = words.iter().map(|word| u32::from_le_bytes(*word));
    let run = entries.zip(counted(head, step));
    run.map(|(entry, counted)| u32::from(entry != counted))
        .sum()
}
