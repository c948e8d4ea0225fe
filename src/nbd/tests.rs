//! Connections over a pair of sockets and over recorded bytes, on disks that are awkward on
//! purpose.

use crate::ErrorKind;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use proptest::prelude::*;

use super::*;
use crate::disk::testing::FakeDisk;
use crate::disk::{VirtualDisk, Writable};
use crate::util::bytes::{be_u32, be_u64};
use crate::util::sync::lock;

const KIB: u64 = 1 << 10;

/// A disk of 4 MiB in which no two blocks are the same.
fn disk() -> FakeDisk {
    disk_of(4 << 20)
}

fn disk_of(size: usize) -> FakeDisk {
    let byte = |at: usize| (at / 1024 * 7 + at % 251) as u8 | 1;
    FakeDisk::of((0..size).map(byte).collect())
}

/// Such a disk with holes, which are never to be read from it.
fn holey(size: usize, holes: Vec<Range<u64>>) -> FakeDisk {
    let never = holes.clone();
    FakeDisk {
        holes,
        before_read: Box::new(move |range| {
            let inside = |hole: &Range<u64>| hole.start <= range.start && range.end <= hole.end;
            assert!(!never.iter().any(inside), "a hole was read from the disk");
            Ok(())
        }),
        ..disk_of(size)
    }
}

/// Keeps the lines that a server would have written.
#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>);

impl Log for Lines {
    fn event(&self, event: &Event<'_>) {
        lock(&self.0).push(event.to_string());
    }

    fn wants_requests(&self) -> bool {
        true
    }
}

impl Lines {
    fn have(&self, part: &str) -> bool {
        lock(&self.0).iter().any(|line| line.contains(part))
    }
}

/// The kernel's end of a connection.
struct Kernel {
    stream: UnixStream,
}

impl Kernel {
    fn ask(&mut self, flags: u16, command: u16, offset: u64, len: u32, cookie: u64) {
        let mut bytes = 0x2560_9513u32.to_be_bytes().to_vec();
        bytes.extend(flags.to_be_bytes());
        bytes.extend(command.to_be_bytes());
        bytes.extend(cookie.to_be_bytes());
        bytes.extend(offset.to_be_bytes());
        bytes.extend(len.to_be_bytes());
        self.stream.write_all(&bytes).unwrap();
    }

    /// The error and the cookie of the next reply.
    fn reply(&mut self) -> (u32, u64) {
        let mut header = [0; 16];
        self.stream.read_exact(&mut header).unwrap();
        assert_eq!(be_u32(&header, 0), 0x6744_6698);
        (be_u32(&header, 4), be_u64(&header, 8))
    }

    fn read(&mut self, offset: u64, len: u32) -> std::result::Result<Vec<u8>, u32> {
        self.ask(0, 0, offset, len, 9);
        match self.reply() {
            (0, 9) => Ok(self.data(len)),
            (error, 9) => Err(error),
            (_, cookie) => panic!("cookie {cookie}"),
        }
    }

    fn data(&mut self, len: u32) -> Vec<u8> {
        let mut data = vec![0; len as usize];
        self.stream.read_exact(&mut data).unwrap();
        data
    }

    fn change(&mut self, flags: u16, command: u16, offset: u64, len: u32, data: &[u8]) -> u32 {
        self.ask(flags, command, offset, len, 9);
        self.stream.write_all(data).unwrap();
        self.reply().0
    }
}

/// Lets the kernel's end do something while the other is served; both have to end.
fn with_kernel(
    export: &Export,
    log: &dyn Log,
    work: impl FnOnce(Kernel, &AtomicBool) + Send,
) -> Ended {
    let (ours, stream) = UnixStream::pair().unwrap();
    let stop = AtomicBool::new(false);
    let service = Service::new(export, &stop, log);
    std::thread::scope(|scope| {
        let stop = &stop;
        let kernel = scope.spawn(move || work(Kernel { stream }, stop));
        let ended = serve_kernel(&ours, &service);
        ours.hang_up();
        kernel.join().unwrap();
        ended
    })
}

#[test]
fn the_kernel_reads_without_negotiation() {
    let holes = vec![
        8 * KIB..100 * KIB,
        101 * KIB..102 * KIB,
        3000 * KIB..4096 * KIB,
    ];
    let disk = Arc::new(holey(4 << 20, holes));
    let content = disk.content();
    let export = Export::new(disk);
    assert_eq!(export.flags(), 0x103);
    let ended = with_kernel(&export, &(), |mut kernel, _| {
        for (offset, len) in [
            (0, 4096),
            (8 * KIB, 4096),
            (7 * KIB, 200 * KIB as u32),
            (5, 0),
            (3500 * KIB, 100 * KIB as u32),
            (0, 4 << 20),
            ((4 << 20) - 1, 1),
        ] {
            let end = (offset + u64::from(len)) as usize;
            let data = kernel.read(offset, len).unwrap();
            assert!(data == content[offset as usize..end], "{offset} {len}");
        }
        assert_eq!(kernel.read(4 << 20, 1), Err(22));
        // A write is drained, and refused.
        assert_eq!(kernel.change(0, 1, 0, 5, b"bytes"), 1);
        assert_eq!(kernel.change(0, 4, 0, 512, b""), 1);
        assert_eq!(kernel.change(0, 3, 0, 0, b""), 0);
        assert_eq!(kernel.read(0, 8).unwrap(), content[..8]);
        kernel.ask(0, 2, 0, 0, 1);
    });
    assert!(matches!(ended, Ended::Disconnected), "{ended}");
}

#[test]
fn what_is_lost_or_panics_is_an_error_and_nothing_else_is() {
    let disk = Arc::new(FakeDisk {
        lost: 64 * KIB..68 * KIB,
        ..disk().panicking_at(128 * KIB..132 * KIB)
    });
    let content = disk.content();
    let export = Export::new(disk);
    let lines = Lines::default();
    let ended = with_kernel(&export, &lines, |mut kernel, _| {
        for block in 0..64 {
            let (offset, len) = (block * 4 * KIB, 4096);
            match kernel.read(offset, len) {
                Ok(data) => assert!(data == content[offset as usize..][..4096], "{block}"),
                Err(error) => assert!([16, 32].contains(&block) && error == 5, "{block}"),
            }
        }
        assert_eq!(kernel.read(60 * KIB, 8192), Err(5));
    });
    assert!(matches!(ended, Ended::Closed), "{ended}");
    assert!(lines.have(
        "read of 4096 bytes at offset 0x10000: 1 bytes at offset 0x10000 of the disk are lost"
    ));
    assert!(lines.have("read of 4096 bytes at offset 0x20000: a mistake in ploopconv"));
    assert!(lines.have("read of 4096 bytes at offset 0x21000: done"));
}

#[test]
fn a_slow_read_does_not_hold_up_others() {
    let (go_on, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let disk = Arc::new(FakeDisk {
        before_read: Box::new(move |range| {
            if range.start < 4096 {
                lock(&wait).recv().unwrap();
            }
            Ok(())
        }),
        ..disk()
    });
    let export = Export::new(disk);
    with_kernel(&export, &(), |mut kernel, _| {
        for cookie in 1..=3 {
            kernel.ask(0, 0, 0, 512, cookie);
        }
        for cookie in 4..100 {
            kernel.ask(0, 0, 8192, 512, cookie);
            assert_eq!(kernel.reply(), (0, cookie));
            kernel.data(512);
        }
        (0..3).for_each(|_| go_on.send(()).unwrap());
        let mut slow: Vec<_> = (0..3)
            .map(|_| {
                let reply = kernel.reply();
                kernel.data(512);
                reply
            })
            .collect();
        slow.sort_unstable();
        assert_eq!(slow, [(0, 1), (0, 2), (0, 3)]);
    });
}

#[test]
fn a_writable_layer_takes_what_is_written() {
    let disk = Arc::new(disk());
    let mut content = disk.content();
    let export = Export::new(Arc::clone(&disk) as Arc<dyn VirtualDisk>)
        .writable(Arc::clone(&disk) as Arc<dyn Writable>);
    assert_eq!(export.flags(), 0x16d);
    with_kernel(&export, &(), |mut kernel, _| {
        assert_eq!(kernel.change(0, 1, 1000, 5, b"bytes"), 0);
        content[1000..1005].copy_from_slice(b"bytes");
        assert_eq!(disk.flushes.load(Ordering::SeqCst), 0);
        // Force unit access, and more than a worker keeps room for.
        let large = vec![0xA5; 3 << 20];
        assert_eq!(kernel.change(1, 1, 8192, 3 << 20, &large), 0);
        content[8192..8192 + (3 << 20)].copy_from_slice(&large);
        assert_eq!(disk.flushes.load(Ordering::SeqCst), 1);
        assert_eq!(kernel.change(0, 6, 100, 50, b""), 0);
        assert_eq!(kernel.change(2, 6, 200, 50, b""), 0);
        assert_eq!(kernel.change(1, 4, 300, 50, b""), 0);
        for at in [100, 200, 300] {
            content[at..at + 50].fill(0);
        }
        assert_eq!(kernel.change(0, 3, 0, 0, b""), 0);
        assert_eq!(disk.flushes.load(Ordering::SeqCst), 3);
        // After the end, there is no room; the bytes are passed over.
        assert_eq!(kernel.change(0, 1, (4 << 20) - 1, 2, b"xy"), 28);
        assert_eq!(kernel.change(0, 1, u64::MAX, 2, b"xy"), 28);
        assert_eq!(kernel.change(1 << 4, 6, 0, 512, b""), 22);
        disk.no_room.store(true, Ordering::SeqCst);
        assert_eq!(kernel.change(0, 1, 0, 2, b"xy"), 28);
        assert!(kernel.read(0, 4 << 20).unwrap() == content);
    });
}

#[test]
fn a_server_that_stops_says_so_and_ends() {
    let export = Export::new(Arc::new(disk()));
    let ended = with_kernel(&export, &(), |mut kernel, stop| {
        kernel.read(0, 512).unwrap();
        stop.store(true, Ordering::SeqCst);
        assert_eq!(kernel.read(0, 512), Err(108));
        kernel.stream.shutdown(std::net::Shutdown::Write).unwrap();
    });
    assert!(matches!(ended, Ended::Stopped), "{ended}");
}

#[test]
fn a_source_that_changed_gives_errors_for_ever() {
    let disk = Arc::new(disk());
    let export = Export::new(Arc::clone(&disk) as Arc<dyn VirtualDisk>);
    let lines = Lines::default();
    with_kernel(&export, &lines, |mut kernel, _| {
        disk.changed.store(true, Ordering::SeqCst);
        export.look(&lines);
        disk.changed.store(false, Ordering::SeqCst);
        assert_eq!(kernel.read(0, 512), Err(5));
        assert_eq!(kernel.read(512, 512), Err(5));
    });
    assert!(lines.have("disk changed while it was being read; it is not served any more"));
    let stop = AtomicBool::new(false);
    let go = [
        &[0, 0, 0, 3][..],
        b"IHAVEOPT\0\0\0\x07\0\0\0\x06\0\0\0\0\0\0",
    ]
    .concat();
    let client = Recorded::new(&go);
    serve(&client, &Service::new(&export, &stop, &()));
    let said = client.into_output();
    let refused = [&7u32.to_be_bytes()[..], &0x8000_0002u32.to_be_bytes()].concat();
    assert_eq!(said[26..34], refused, "{said:?}");
    assert_eq!(export.check(&()).unwrap_err().kind(), ErrorKind::Changed);
}

#[test]
fn an_export_answers_to_its_name_and_to_none() {
    let name = "größe\0rest";
    let export = Export::new(Arc::new(disk()))
        .named(name)
        .described(&"ä".repeat(3000));
    let stop = AtomicBool::new(false);
    let ask = |name: &str| {
        let len = u32::try_from(name.len()).unwrap();
        let data = [&len.to_be_bytes()[..], name.as_bytes(), &[0, 1, 0, 2]].concat();
        let data_len = u32::try_from(data.len()).unwrap().to_be_bytes();
        let go = [&[0, 0, 0, 3][..], b"IHAVEOPT\0\0\0\x07", &data_len, &data].concat();
        let client = Recorded::new(&go);
        serve(&client, &Service::new(&export, &stop, &()));
        client.into_output()
    };
    for good in ["", "größe"] {
        let said = ask(good);
        // The description is cut off between two letters.
        assert_eq!(said.len(), 18 + 32 + (20 + 2 + 4096) + 20, "{good}");
    }
    for bad in ["grö", "größe2"] {
        let said = ask(bad);
        let refused = [&7u32.to_be_bytes()[..], &0x8000_0006u32.to_be_bytes()].concat();
        assert_eq!(said[26..34], refused);
    }
}

/// Bytes that look like a session, as far as a few of them are left out or changed.
fn session() -> impl Strategy<Value = Vec<u8>> {
    let option =
        (0u32..14, proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(number, data)| {
            let len = data.len() as u32;
            [
                &b"IHAVEOPT"[..],
                &number.to_be_bytes(),
                &len.to_be_bytes(),
                &data,
            ]
            .concat()
        });
    let known = prop_oneof![
        Just(b"IHAVEOPT\0\0\0\x08\0\0\0\0".to_vec()),
        Just(b"IHAVEOPT\0\0\0\x07\0\0\0\x06\0\0\0\0\0\0".to_vec()),
        Just(b"IHAVEOPT\0\0\0\x0a\0\0\0\x1b\0\0\0\0\0\0\0\x01\0\0\0\x0fbase:allocation".to_vec()),
    ];
    let request = (0u16..32, 0u16..10, 0u64..300 << 10, any::<u32>(), 0u32..24).prop_map(
        |(flags, command, offset, len, bits)| {
            [
                &0x2560_9513u32.to_be_bytes()[..],
                &flags.to_be_bytes(),
                &command.to_be_bytes(),
                &7u64.to_be_bytes(),
                &offset.to_be_bytes(),
                &(len >> (32 - bits).min(31)).to_be_bytes(),
            ]
            .concat()
        },
    );
    let piece = prop_oneof![
        2 => option,
        4 => known,
        6 => request,
        1 => proptest::collection::vec(any::<u8>(), 0..60),
    ];
    proptest::collection::vec(piece, 0..20)
        .prop_map(|pieces| [&[0, 0, 0, 3][..], &pieces.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_client_sends_the_server_neither_panics_nor_hangs(
        bytes in session(), kernel in any::<bool>(), writable in any::<bool>(),
    ) {
        let disk = Arc::new(FakeDisk {
            lost: 200 * KIB..201 * KIB,
            ..holey(256 << 10, vec![8 * KIB..100 * KIB, 101 * KIB..102 * KIB])
        });
        let mut export = Export::new(Arc::clone(&disk) as Arc<dyn VirtualDisk>);
        if writable {
            export = export.writable(disk);
        }
        let stop = AtomicBool::new(false);
        let lines = Lines::default();
        let service = Service { workers: 1, ..Service::new(&export, &stop, &lines) };
        let client = Recorded::new(&bytes);
        let ended = if kernel {
            serve_kernel(&client, &service)
        } else {
            serve(&client, &service)
        };
        prop_assert!(!matches!(ended, Ended::Io(_) | Ended::Stopped), "{}", ended);
        prop_assert!(!lines.have("mistake"), "{:?}", lines);
    }
}
