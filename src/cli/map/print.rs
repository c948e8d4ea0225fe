//! Prints rows in the order of the disk, made by several threads.

use std::io::Write;
use std::mem;
use std::ops::{ControlFlow, Range};
use std::sync::mpsc::{self, Receiver, SyncSender};

use anyhow::Context;
use ploopconv::Workers;
use ploopconv::disk::{Extent, VirtualDisk};

use super::rows::Row;
use crate::cli::output::Stdout;

/// The least bytes of a disk that a thread walks over at a time.
const SECTION: u64 = 4 << 30;
/// The most sections: a header may claim any size, and each section has its cost.
const SECTIONS: u64 = 512;
/// The most threads that make rows.
const MAKERS: usize = 4;
/// Rows are handed over when they are so many bytes, and so many times before a thread waits.
const ROWS: usize = 512 << 10;
const WAITING: usize = 8;

/// Writes a row for every extent. Each of some threads walks over one section of the disk after
/// the other, in turn; a disk may have millions of extents, so the rows on the way are bounded.
pub(super) fn print_rows<R: Row>(
    disk: &dyn VirtualDisk,
    row: &R,
    workers: &Workers,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let makers = workers.threads().clamp(1, MAKERS);
    print_sections(disk, row, SECTION, makers, out)
}

/// As [`print_rows`], with sections of at least `least` bytes.
fn print_sections<R: Row>(
    disk: &dyn VirtualDisk,
    row: &R,
    least: u64,
    makers: usize,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let size = disk.size();
    let len = least.max(size.div_ceil(SECTIONS));
    let count = size.div_ceil(len);
    let section = |number: u64| number * len..size.min((number + 1).saturating_mul(len));
    std::thread::scope(|scope| {
        let makers: Vec<Receiver<Made>> = (0..makers)
            .map(|first| {
                let (made, taken) = mpsc::sync_channel(WAITING);
                let row = row.clone();
                let mut maker = Maker {
                    disk,
                    row,
                    made,
                    room: 0,
                };
                let mut own = (0..count).skip(first).step_by(makers).map(section);
                // It ends early once its rows are not taken any more.
                scope.spawn(move || own.try_for_each(|range| maker.walk(range)));
                taken
            })
            .collect();
        let mut printer = Printer::new(row.clone(), out);
        for (_, taken) in (0..count).zip(makers.iter().cycle()) {
            loop {
                match taken.recv().context("a thread that makes rows is gone")? {
                    Made::Edge(extent) => printer.edge(extent)?,
                    Made::Rows(rows) => printer.rows(&rows)?,
                    Made::End(Ok(())) => break,
                    Made::End(Err(error)) => {
                        // What was found before an error is shown before it.
                        printer.end()?;
                        return Err(error.into());
                    }
                }
            }
        }
        printer.end()
    })
}

/// What a thread hands over of a section, in its order.
enum Made {
    /// An extent that meets the start or the end of the section, and may go on there.
    Edge(Extent),
    Rows(Vec<u8>),
    /// No more of this section, or what the disk said instead.
    End(ploopconv::Result<()>),
}

/// Makes the rows of sections.
struct Maker<'a, R> {
    disk: &'a dyn VirtualDisk,
    row: R,
    made: SyncSender<Made>,
    /// The bytes that rows took at most until they were handed over.
    room: usize,
}

impl<R: Row> Maker<'_, R> {
    /// Hands over what lies in a section, and says whether it is still taken.
    fn walk(&mut self, range: Range<u64>) -> ControlFlow<()> {
        let Self {
            disk,
            row,
            made,
            room,
        } = self;
        let give = |made_now| match made.send(made_now) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let mut rows = Vec::with_capacity(*room);
        let mut give_rows = |rows: &mut Vec<u8>| {
            *room = rows.capacity().max(*room);
            match mem::replace(rows, Vec::with_capacity(*room)) {
                rows if rows.is_empty() => ControlFlow::Continue(()),
                rows => give(Made::Rows(rows)),
            }
        };
        let walked = disk.each_extent_in(range.clone(), &mut |extent| {
            if extent.offset == range.start || extent.end() >= range.end {
                give_rows(&mut rows)?;
                return give(Made::Edge(extent));
            }
            row.add(&mut rows, &extent);
            if rows.len() >= ROWS {
                give_rows(&mut rows)?;
            }
            ControlFlow::Continue(())
        });
        give_rows(&mut rows)?;
        // Where giving failed within the walk, it fails here too.
        give(Made::End(walked))
    }
}

/// Writes rows, and those of extents that lie in several sections as one.
struct Printer<'a, R, W> {
    row: R,
    out: &'a mut W,
    /// An extent that may go on in the next section.
    edge: Option<Extent>,
    /// How many bytes of what comes next are left out.
    left_out: usize,
}

impl<'a, R: Row, W: Write> Printer<'a, R, W> {
    fn new(row: R, out: &'a mut W) -> Self {
        Self {
            row,
            out,
            edge: None,
            left_out: R::LEFT_OUT,
        }
    }

    fn edge(&mut self, extent: Extent) -> anyhow::Result<()> {
        match &mut self.edge {
            Some(edge) if edge.continues_in(&extent) => {
                edge.len = edge.len.saturating_add(extent.len);
                Ok(())
            }
            _ => {
                self.end()?;
                self.edge = Some(extent);
                Ok(())
            }
        }
    }

    fn rows(&mut self, rows: &[u8]) -> anyhow::Result<()> {
        self.end()?;
        self.write(rows)
    }

    /// Writes the row of an extent that goes on no further.
    fn end(&mut self) -> anyhow::Result<()> {
        let Some(edge) = self.edge.take() else {
            return Ok(());
        };
        let mut row = Vec::new();
        self.row.add(&mut row, &edge);
        self.write(&row)
    }

    fn write(&mut self, rows: &[u8]) -> anyhow::Result<()> {
        let rows = rows.get(mem::take(&mut self.left_out)..);
        self.out.write_all(rows.unwrap_or_default()).context(Stdout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ploopconv::disk::{DiskError, ExtentKind, Extents, Store, StoreId};

    use crate::cli::map::rows::{Json, Text};

    /// A disk of nothing but extents, without gap from 0 on; the walk fails at one place.
    #[derive(Debug)]
    struct Listed {
        extents: Vec<Extent>,
        fails_at: Option<u64>,
    }

    impl VirtualDisk for Listed {
        fn size(&self) -> u64 {
            self.extents.last().map_or(0, Extent::end)
        }

        fn stores(&self) -> &[Store] {
            &[]
        }

        fn extent_at(&self, _: u64) -> ploopconv::Result<Extent> {
            unreachable!("only walks are asked for")
        }

        fn read_at(&self, _: &mut [u8], _: u64) -> ploopconv::Result<()> {
            unreachable!("nothing is read")
        }

        fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
            let fails_at = self.fails_at.filter(|at| range.contains(at));
            let read = range.start..fails_at.unwrap_or(range.end);
            let found = self.extents.iter().filter_map(move |one| one.within(&read));
            let (offset, len) = (fails_at.unwrap_or_default(), 1);
            let failed = fails_at.map(|_| Err(DiskError::Lost { offset, len }.into()));
            Box::new(found.map(Ok).chain(failed))
        }
    }

    fn listed() -> Listed {
        let (mut extents, mut offset) = (Vec::new(), 0);
        for number in 0..400u64 {
            // Some are longer than several sections, and some end where one does.
            let len = match number % 50 {
                0 => 700,
                1 => 64 - offset % 64,
                _ => 1 + number * 7 % 40,
            };
            let kind = match number % 3 {
                0 => ExtentKind::Hole,
                1 => ExtentKind::Lost {
                    store: StoreId::FIRST,
                },
                _ => ExtentKind::Data {
                    store: StoreId::FIRST,
                    host_offset: number << 20,
                },
            };
            extents.push(Extent { offset, len, kind });
            offset += len;
        }
        Listed {
            extents,
            fails_at: None,
        }
    }

    fn text() -> Text {
        Text::new(vec!["file".to_owned()], Vec::new())
    }

    fn rows_of(extents: &[Extent], mut row: impl Row) -> String {
        let mut rows = Vec::new();
        extents.iter().for_each(|extent| row.add(&mut rows, extent));
        String::from_utf8(rows).unwrap()
    }

    #[test]
    fn an_extent_over_several_sections_has_one_row() {
        let disk = listed();
        let json = Json {
            files: vec!["\"file\"".to_owned()],
            parts: Vec::new(),
        };
        for (least, makers) in [(1, 1), (64, 3), (64, 1), (1000, 2), (1 << 30, 4)] {
            let mut found = Vec::new();
            print_sections(&disk, &text(), least, makers, &mut found).unwrap();
            let found = String::from_utf8(found).unwrap();
            assert_eq!(found, rows_of(&disk.extents, text()), "{least} {makers}");
            let mut found = Vec::new();
            print_sections(&disk, &json, least, makers, &mut found).unwrap();
            let found = String::from_utf8(found).unwrap();
            let expected = rows_of(&disk.extents, json.clone());
            assert_eq!(found, expected[Json::LEFT_OUT..], "{least} {makers}");
        }
    }

    #[test]
    fn what_lies_before_an_error_is_shown_before_it() {
        let mut disk = listed();
        let before: Vec<_> = disk.extents[..150].to_vec();
        disk.fails_at = before.last().map(Extent::end);
        for (least, makers) in [(64, 3), (1000, 2), (1 << 30, 1)] {
            let mut found = Vec::new();
            let failed = print_sections(&disk, &text(), least, makers, &mut found);
            assert!(failed.unwrap_err().is::<ploopconv::Error>());
            let found = String::from_utf8(found).unwrap();
            assert_eq!(found, rows_of(&before, text()), "{least} {makers}");
        }
    }

    #[test]
    fn no_thread_waits_once_rows_are_not_taken() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let failed = print_sections(&listed(), &text(), 1, 4, &mut Full).unwrap_err();
        assert!(failed.is::<Stdout>());
    }
}
