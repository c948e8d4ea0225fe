//! A client of the NBD server, from its first byte on or after the negotiation.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use ploopconv::disk::RawDisk;
use ploopconv::nbd::{Export, Recorded, Service, serve, serve_kernel};

/// What is served: no byte like the one before it, and no multiple of a sector.
static DISK: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..70_001u32).map(|n| (n % 251) as u8).collect());
static EXPORT: LazyLock<Export> = LazyLock::new(|| {
    let disk = RawDisk::over(std::sync::Arc::new(DISK.clone()), Path::new("disk"));
    Export::new(Arc::new(disk.expect("it has a size")))
});

/// The first byte says where the client begins.
pub fn try_input(input: &[u8]) {
    let Some((&mode, client)) = input.split_first() else {
        return;
    };
    let stop = AtomicBool::new(false);
    let service = Service {
        workers: 1,
        ..Service::new(&EXPORT, &stop, &())
    };
    let stream = match mode % 3 {
        0 => Recorded::new(client),
        1 => Recorded::new(&[GO, client].concat()),
        _ => {
            let stream = Recorded::new(client);
            let _ = serve_kernel(&stream, &service);
            assert_replies(client, &stream.into_output());
            return;
        }
    };
    let _ = serve(&stream, &service);
    assert!(stream.into_output().starts_with(b"NBDMAGICIHAVEOPT"));
}

/// The client's flags (fixed, no zeros), and NBD_OPT_GO for the default export with no request
/// for information.
const GO: &[u8] = b"\0\0\0\x03IHAVEOPT\0\0\0\x07\0\0\0\x06\0\0\0\0\0\0";

/// Asserts that what was read without an error is what the disk holds. One worker answers the
/// requests in their order; the layouts are those of the protocol's text.
fn assert_replies(mut requests: &[u8], mut replies: &[u8]) {
    loop {
        let mut request = [0; 28];
        let mut reply = [0; 16];
        if requests.read_exact(&mut request).is_err() || replies.read_exact(&mut reply).is_err() {
            return;
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
        assert_eq!(reply[..4], [0x67, 0x44, 0x66, 0x98], "a simple reply");
        assert_eq!(reply[8..], request[8..16], "the cookie of its request");
        let (kind, offset, len) = (
            number(&request[6..8]),
            number(&request[16..24]),
            number(&request[24..]),
        );
        let failed = number(&reply[4..8]) != 0;
        match kind {
            0 if !failed => {
                let mut data = vec![0; usize::try_from(len).expect("32 bits")];
                if replies.read_exact(&mut data).is_err() {
                    return; // the client was gone
                }
                let start = usize::try_from(offset).expect("inside the disk");
                assert!(data == DISK[start..start + data.len()]);
            }
            1 => {
                assert!(failed, "nothing is written");
                let len = usize::try_from(len).expect("32 bits").min(requests.len());
                requests = &requests[len..];
            }
            4 | 6 => assert!(failed, "nothing is written"),
            _ => {}
        }
    }
}
