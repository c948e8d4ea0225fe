//! Reads the table page by page, in parallel, and judges every entry.

use std::io;
use std::ops::Range;

use rayon::prelude::*;

use super::duplicates::duplicates;
use super::{BadEntry, Bat, BatFindings, NOWHERE, PAGE_BYTES, PAGE_ENTRIES, Rules};
use crate::ploop::header::Header;
use crate::source::{Source, rescue};

/// Why the table could not be read: the offset in the file, and what the source said.
type ReadError = (u64, io::Error);

/// The table starts right behind the header.
const TABLE_START: u64 = Header::SIZE as u64;
/// Pages read before their findings are put together: bounds what is on the way, not the table.
const BATCH_PAGES: usize = 4096;

impl Bat {
    /// Reads and judges the whole table of an image of `file_len` bytes, in parallel on the
    /// current rayon pool. With `salvage`, entries in sectors that cannot be read are lost (never
    /// absent, or the layer below would show), and [`Bat::doubtful_in`] answers.
    ///
    /// # Errors
    ///
    /// The offset in the file and what the source said, where the table cannot be read. Entries
    /// that break a rule are no error but findings.
    pub fn read(
        source: &dyn Source,
        header: &Header,
        file_len: u64,
        salvage: bool,
    ) -> Result<(Self, BatFindings), (u64, io::Error)> {
        let rules = Rules::new(header, file_len);
        let table = Table {
            source,
            rules,
            salvage,
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
        if salvage && findings.duplicate.count + findings.misaligned.count > 0 {
            bat.find_doubtful();
        }
        Ok((bat, findings))
    }
}

/// The table in the file, while it is being read.
struct Table<'a> {
    source: &'a dyn Source,
    rules: Rules,
    salvage: bool,
    /// Entries that count; the words behind them are padding.
    entries: u64,
    /// First byte of the file behind the table and its padding.
    end: u64,
}

/// What one page gave.
struct Page {
    entries: Option<Box<[u32; PAGE_ENTRIES]>>,
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
        (offset - TABLE_START) / PAGE_BYTES
    }

    fn read_pages(
        &self,
        numbers: &[u64],
        bat: &mut Bat,
        findings: &mut BatFindings,
    ) -> Result<(), ReadError> {
        let read = |&number: &u64| self.read_page(number);
        // Small tables are not worth waking threads for.
        let pages: Vec<Page> = if numbers.len() < 64 {
            numbers.iter().map(read).collect::<Result<_, _>>()?
        } else {
            numbers.par_iter().map(read).collect::<Result<_, _>>()?
        };
        for (&number, page) in numbers.iter().zip(pages) {
            if let Some(place) = usize::try_from(number)
                .ok()
                .and_then(|n| bat.pages.get_mut(n))
            {
                *place = page.entries;
            }
            findings.append(page.findings);
        }
        Ok(())
    }

    fn read_page(&self, number: u64) -> Result<Page, ReadError> {
        let start = TABLE_START + number * PAGE_BYTES;
        let len = self.end.saturating_sub(start).min(PAGE_BYTES) / 4 * 4;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        let first = number * PAGE_ENTRIES as u64;
        let unreadable = self
            .read_words(&mut bytes, start)
            .map_err(|error| (start, error))?;
        let is_unreadable = |index: u64| {
            let at = TABLE_START + index * 4;
            unreadable.iter().any(|range| range.contains(&at))
        };
        let mut findings = BatFindings::default();
        for (index, word) in (first..).zip(bytes.chunks_exact_mut(4)) {
            if is_unreadable(index) {
                if index < self.rules.clusters {
                    word.copy_from_slice(&NOWHERE.to_le_bytes());
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
                self.judge(index, entry, &mut findings);
            } else if index < self.entries {
                findings.beyond_disk += 1;
            } else {
                findings.beyond_table += 1;
            }
        }
        let entries = (findings.allocated + findings.unreadable.count > 0).then(|| {
            let mut entries = Box::new([0; PAGE_ENTRIES]);
            let kept = self.rules.clusters.saturating_sub(first);
            let words = bytes
                .chunks_exact(4)
                .take(usize::try_from(kept).unwrap_or(usize::MAX));
            for (entry, word) in entries.iter_mut().zip(words) {
                *entry = word.first_chunk().copied().map_or(0, u32::from_le_bytes);
            }
            entries
        });
        Ok(Page { entries, findings })
    }

    /// Reads words of the table; where salvaging, gives the ranges of the file that could not be
    /// read.
    fn read_words(&self, bytes: &mut [u8], start: u64) -> io::Result<Vec<Range<u64>>> {
        let mut unreadable = Vec::new();
        if self.salvage {
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
