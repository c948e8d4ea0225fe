//! Clients that mean no good, or are broken: what they send, by each class of what has gone wrong
//! in NBD servers.

use crate::support::nbd::{
    ABORT, ACK, CACHE, Client, DF, ERR_INVALID, ERR_UNKNOWN, ERR_UNSUP, FLUSH, GO, INFO, LIST,
    LIST_META, READ, REQ_ONE, SET_META, STATUS, STRUCTURED, TRIM, WRITE, WRITE_ZEROES, be32, be64,
    go, meta, option, string,
};
use crate::support::served::Served;
use crate::support::{ImageBuilder, Scratch, SourceGuard};
use std::io::Write as _;

const EPERM: u32 = 1;
const EINVAL: u32 = 22;
pub(crate) const EVERYTHING: &[&str] = &["base:allocation"];

pub(crate) struct Case {
    /// Dropped first: the source is looked at when the server is gone.
    pub(crate) served: Served,
    _guard: SourceGuard,
    pub(crate) content: Vec<u8>,
    _scratch: Scratch,
}

impl Case {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        let path = scratch.source().join("disk.hds");
        let image = ImageBuilder::v2()
            .cluster_sectors(64)
            .clusters(40)
            .seed(5)
            .store_all([0, 1, 7, 20, 39])
            .write(&path);
        let content = crate::support::Model::new(vec![image.layer]).content();
        Self {
            _guard: SourceGuard::new(&scratch.source()),
            served: Served::new(&path, &scratch),
            content,
            _scratch: scratch,
        }
    }

    fn size(&self) -> u64 {
        self.content.len() as u64
    }

    pub(crate) fn client(&self) -> Client {
        Client::greeted(&self.served.socket, 3)
    }

    /// The server is alive, and was not confused by what came before.
    #[track_caller]
    pub(crate) fn serves_still(&self) {
        Client::structured(&self.served.socket).reads_still(&self.content);
    }
}

/// The client chooses the export after all, and reads.
#[track_caller]
fn goes_on(mut client: Client, case: &Case) {
    client.agree(GO, &go());
    client.reads_still(&case.content);
}

#[test]
fn names_of_every_length_get_an_answer() {
    let case = Case::new();
    for (number, tail) in [(INFO, &[0, 0][..]), (GO, &[0, 0]), (LIST_META, &[0; 4])] {
        let mut client = case.client();
        client.agree(STRUCTURED, b"");
        let ask = |client: &mut Client, name: &[u8]| {
            client.verdict(number, &[&string(name), tail].concat())
        };
        for len in [1, 255, 256, 257, 1024, 4095, 4096] {
            assert_eq!(ask(&mut client, &vec![b'n'; len]), ERR_UNKNOWN, "{len}");
        }
        for name in [
            &[b'n'; 4097][..],
            &[b'n'; 60_000],
            b"a\0b",
            b"\0",
            b"\xff\xfe",
            b"\xc3",
        ] {
            assert_eq!(ask(&mut client, name), ERR_INVALID, "{} bytes", name.len());
        }
        // Lengths that have nothing to do with what is there.
        for len in [1u32, 2, 3, 4096, 1 << 31, u32::MAX - 3, u32::MAX] {
            let data = [&len.to_be_bytes(), tail].concat();
            assert_eq!(client.verdict(number, &data), ERR_INVALID, "length {len}");
        }
        for short in [&b""[..], b"\0", b"\0\0\0", b"\0\0\0\0", b"\0\0\0\0\0"] {
            assert_eq!(client.verdict(number, short), ERR_INVALID);
        }
        goes_on(client, &case);
    }
    // The old way to choose has no errors: the client is hung up on.
    for name in [&b"other"[..], &[b'n'; 4096], &[b'n'; 4097], b"\0", b"\xff"] {
        let mut client = case.client();
        client.send(&option(1, name));
        client.is_hung_up_on();
    }
    case.serves_still();
    case.served.stop();
}

#[test]
fn announced_counts_are_not_believed() {
    let case = Case::new();
    let mut client = case.client();
    client.agree(STRUCTURED, b"");
    let infos = |count: u16, words: usize| {
        [
            string(b""),
            count.to_be_bytes().to_vec(),
            vec![0; 2 * words],
        ]
        .concat()
    };
    for (count, words) in [(u16::MAX, 0), (u16::MAX, 10), (1, 0), (0, 1), (2, 1)] {
        for number in [INFO, GO] {
            let verdict = client.verdict(number, &infos(count, words));
            assert_eq!(verdict, ERR_INVALID, "{count} of {words}");
        }
    }
    // As many as an option has room for are answered.
    assert_eq!(client.verdict(INFO, &infos(30_000, 30_000)), ACK);
    for (count, rest) in [
        (u32::MAX, &b""[..]),
        (u32::MAX, &[0; 400]),
        (1, b""),
        (1, &[0xff; 4]),
        (1, &[0, 0, 0, 9, b'b']),
        (0, b"\0"),
        (2, &[0, 0, 0, 1, b'b']),
    ] {
        let data = [&string(b"")[..], &count.to_be_bytes(), rest].concat();
        for number in [LIST_META, SET_META] {
            assert_eq!(client.verdict(number, &data), ERR_INVALID, "{count}");
        }
    }
    let long = "q".repeat(4097);
    assert_eq!(client.verdict(SET_META, &meta(&[&long])), ERR_INVALID);
    let many = vec![""; 16_000];
    assert_eq!(client.verdict(SET_META, &meta(&many)), ACK);
    goes_on(client, &case);
    case.served.stop();
}

#[test]
fn options_in_every_order() {
    let case = Case::new();
    // What is not known, or not wanted: encryption and extended headers among it.
    let mut client = case.client();
    for number in [0, 4, 5, 11, 12, 4711, u32::MAX] {
        for data in [&b""[..], b"data", &[7; 60_000]] {
            assert_eq!(client.verdict(number, data), ERR_UNSUP, "option {number}");
        }
    }
    assert_eq!(client.verdict(LIST, b"x"), ERR_INVALID);
    assert_eq!(client.verdict(STRUCTURED, b"x"), ERR_INVALID);
    // Contexts come after structured replies.
    assert_eq!(client.verdict(LIST_META, &meta(&[])), ERR_INVALID);
    assert_eq!(client.verdict(SET_META, &meta(EVERYTHING)), ERR_INVALID);
    client.agree(STRUCTURED, b"");
    client.agree(STRUCTURED, b"");
    // What is listed is not chosen.
    for (queries, count) in [
        (&[][..], 1),
        (&["base:"], 1),
        (EVERYTHING, 1),
        (&["qemu:dirty-bitmap:", "base:other"], 0),
        (&["", "base"], 0),
    ] {
        let replies = client.option(LIST_META, &meta(queries));
        assert_eq!(replies.len(), count + 1, "{queries:?}");
    }
    client.agree(GO, &go());
    assert_eq!(client.chunk_error(0, STATUS, 0, 4096), EINVAL);
    client.reads_still(&case.content);
    // After the choice there are no options.
    client.send(&option(GO, &[0; 64]));
    client.is_hung_up_on();

    // What was chosen is replaced by the next choice, also by one that fails.
    for second in [
        &meta(&[])[..],
        &meta(&["base:"]),
        &meta(&["x:y"]),
        b"nonsense",
    ] {
        let mut client = case.client();
        client.agree(STRUCTURED, b"");
        let replies = client.option(SET_META, &meta(EVERYTHING));
        assert_eq!(replies.len(), 2);
        assert_eq!(replies[0].data[4..], b"base:allocation"[..]);
        client.option(SET_META, second);
        client.agree(GO, &go());
        assert_eq!(client.chunk_error(0, STATUS, 0, 4096), EINVAL);
        client.reads_still(&case.content);
    }
    // Leaving before choosing is allowed, with anything along.
    let mut client = case.client();
    assert_eq!(client.verdict(ABORT, b"anything"), ACK);
    client.is_hung_up_on();
    // As nbdinfo does it: gone before the answer.
    let mut client = case.client();
    client.send(&option(ABORT, b""));
    drop(client);
    case.serves_still();
    case.served.stop();
}

#[test]
fn endless_and_enormous_options_are_not_waited_for() {
    let case = Case::new();
    let mut client = case.client();
    for _ in 0..64 {
        assert_eq!(client.verdict(4711, b""), ERR_UNSUP);
    }
    // Not answered, if it is taken at all.
    let _ = client.stream.write_all(&option(GO, &go()));
    client.is_hung_up_on();
    for len in [65_537, 1 << 24, u32::MAX] {
        for number in [1, ABORT, LIST, INFO, GO, SET_META, 4711] {
            let mut client = case.client();
            let header = [b"IHAVEOPT", &number.to_be_bytes()[..], &len.to_be_bytes()].concat();
            client.send(&header);
            client.is_hung_up_on();
        }
    }
    assert!(case.served.status("VmHWM") < 64 << 10);
    case.serves_still();
    let outcome = case.served.stop();
    let outcome = outcome.says(["more than 64 options", "an option of more than 64 KiB"]);
    // For what was announced, and not because nothing more came.
    assert!(
        !outcome.stderr.contains("within 10 seconds"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn greetings_that_nobody_knows_are_not_answered() {
    let case = Case::new();
    for flags in [4, 8, 1 << 31, u32::MAX, 7] {
        let mut client = Client::greeted(&case.served.socket, flags);
        client.is_hung_up_on();
    }
    let mut client = case.client();
    client.send(b"IHAVEOPS\0\0\0\x03\0\0\0\0");
    client.is_hung_up_on();
    // An old client, which gets padding and chooses by name alone.
    for (flags, padding) in [(0, 124), (1, 124), (2, 0), (3, 0)] {
        let mut client = Client::greeted(&case.served.socket, flags);
        client.send(&option(1, b""));
        let answer = client.take(10 + padding);
        assert_eq!(be64(&answer[0..8]), case.size());
        assert_eq!(answer[8..10], [1, 3], "multi-conn, read-only, has flags");
        assert!(answer[10..].iter().all(|&byte| byte == 0));
        client.reads_still(&case.content);
    }
    case.served.stop();
}

#[test]
fn ranges_that_are_not_there_are_refused_and_the_next_request_is_answered() {
    let case = Case::new();
    let size = case.size();
    let ranges = [
        (size, 1),
        (size - 1, 2),
        (size + 1, 0),
        (u64::MAX, 1),
        (u64::MAX, u32::MAX),
        (u64::MAX - 1, 2),
        (1 << 63, 1),
        (1 << 63, u32::MAX),
        (0, u32::MAX),
        (1, u32::try_from(size).unwrap()),
    ];
    let mut simple = Client::simple(&case.served.socket);
    let mut structured = Client::structured(&case.served.socket);
    for (offset, len) in ranges {
        assert_eq!(
            simple.error(0, READ, offset, len),
            EINVAL,
            "{offset:#x} {len}"
        );
        for (command, flags) in [(READ, 0), (READ, DF), (STATUS, 0), (STATUS, REQ_ONE)] {
            let error = structured.chunk_error(flags, command, offset, len);
            assert_eq!(error, EINVAL, "{offset:#x} {len}");
        }
        for command in [TRIM, WRITE_ZEROES] {
            assert_eq!(simple.error(0, command, offset, len), EPERM);
            assert_eq!(structured.error(0, command, offset, len), EPERM);
        }
    }
    // Flags and commands that were not agreed on.
    for (flags, command) in [
        (DF, READ),
        (REQ_ONE, READ),
        (1, READ),
        (1 << 15, READ),
        (0, STATUS),
        (0, CACHE),
        (0, 8),
        (0, u16::MAX),
        (1 << 15, FLUSH),
    ] {
        assert_eq!(simple.error(flags, command, 0, 512), EINVAL, "{command}");
    }
    for flags in [REQ_ONE, 1, 2, 1 << 14] {
        assert_eq!(structured.chunk_error(flags, READ, 0, 512), EINVAL);
    }
    assert_eq!(structured.chunk_error(0, STATUS, 0, 0), EINVAL);
    // Nothing, which is no chunk of data: libnbd would hang up.
    assert_eq!(simple.error(0, READ, 0, 0), 0);
    assert_eq!(simple.error(0, READ, size, 0), 0);
    structured.ask(0, READ, size, 0);
    let chunks = structured.chunks();
    assert_eq!(
        (chunks.len(), chunks[0].kind, chunks[0].data.len()),
        (1, 0, 0)
    );
    assert_eq!(simple.error(0, FLUSH, 0, 0), 0);
    simple.reads_still(&case.content);
    structured.reads_still(&case.content);
    simple.send(&[0x25, 0x60, 0x95, 0x14]);
    simple.send(&[0; 24]);
    simple.is_hung_up_on();
    case.served.stop();
}

#[test]
fn what_is_written_is_passed_over_and_refused() {
    let case = Case::new();
    for mut client in [
        Client::simple(&case.served.socket),
        Client::structured(&case.served.socket),
    ] {
        for (offset, len) in [
            (0, 1),
            (0, 4096),
            (case.size(), 5),
            (u64::MAX, 1 << 20),
            (0, 0),
        ] {
            client.ask(0, WRITE, offset, len);
            client.send(&vec![0xEE; len as usize]);
            assert_eq!(client.simple_reply(), EPERM);
        }
        client.reads_still(&case.content);
        client.ask(0, WRITE, 0, (32 << 20) + 1);
        client.is_hung_up_on();
    }
    case.serves_still();
    case.served.stop();
}

#[test]
fn a_status_is_bounded_and_says_no_more_than_was_asked() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    // Every other cluster of one sector is stored: as many extents as can be.
    let clusters = 40_000;
    ImageBuilder::v2()
        .cluster_sectors(1)
        .clusters(clusters)
        .store_all((0..clusters).filter(|at| at % 2 == 1))
        .write(&path);
    let _guard = SourceGuard::new(&scratch.source());
    let served = Served::new(&path, &scratch);
    let mut client = Client::structured(&served.socket);
    let size = u64::from(clusters) * 512;
    for (offset, len, flags) in [
        (0, size, 0),
        (1, size - 1, 0),
        (0, size, REQ_ONE),
        (513, 100, 0),
        (size - 1, 1, 0),
        (512, 1, REQ_ONE),
    ] {
        client.ask(flags, STATUS, offset, u32::try_from(len).unwrap());
        let chunks = client.chunks();
        assert_eq!(chunks.len(), 1);
        let (id, body) = chunks[0].data.split_at(4);
        assert_eq!((chunks[0].kind, be32(id)), (5, 1));
        let extents: Vec<_> = body
            .chunks(8)
            .map(|pair| (u64::from(be32(&pair[0..4])), be32(&pair[4..8])))
            .collect();
        assert!(
            !extents.is_empty() && extents.len() <= 4096,
            "{}",
            extents.len()
        );
        let sum: u64 = extents.iter().map(|(len, _)| len).sum();
        assert!(sum <= len && extents.iter().all(|(len, _)| *len > 0));
        let data = offset / 512 % 2 == 1;
        assert_eq!(extents[0].0, (512 - offset % 512).min(len));
        assert_eq!(extents[0].1, if data { 0 } else { 3 });
        if flags == REQ_ONE {
            assert_eq!(extents.len(), 1);
        }
    }
    served.stop();
}
