//! Clients that are gone after any byte, that are slow or silent, or that come in crowds: other
//! clients do not wait for them long, and nothing of them is left.

use crate::nbd_hostile::{Case, EVERYTHING};
use crate::support::nbd::{
    Client, DF, DISC, GO, INFO, LIST_META, READ, SET_META, STATUS, STRUCTURED, WRITE, go, meta,
    option, request, string,
};
use crate::support::running::big;
use crate::support::served::Served;
use crate::support::{ImageBuilder, Scratch, SourceGuard};
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

/// A whole session, from the greeting's answer to the good-bye.
fn session() -> Vec<u8> {
    [
        3u32.to_be_bytes().to_vec(),
        option(11, b""),
        option(STRUCTURED, b""),
        option(LIST_META, &meta(&[])),
        option(SET_META, &meta(EVERYTHING)),
        option(INFO, &[string(b""), vec![0, 1, 0, 3]].concat()),
        option(GO, &go()),
        request(0, STATUS, 77, 0, 4096),
        request(0, READ, 77, 0, 32 << 10),
        request(DF, READ, 77, 0, 70_000),
        request(0, WRITE, 77, 0, 5),
        b"bytes".to_vec(),
        request(0, READ, 77, 1 << 63, 1),
        request(0, DISC, 77, 0, 0),
    ]
    .concat()
}

#[test]
fn a_client_may_be_gone_after_every_byte() {
    let case = Case::new();
    let files = case.served.open_files();
    let bytes = session();
    for len in 0..=bytes.len() {
        // One that closes and reads nothing, and one that reads to the end.
        let mut client = Client::silent(&case.served.socket);
        client.send(&bytes[..len]);
        drop(client);
        let mut client = Client::silent(&case.served.socket);
        client.send(&bytes[..len]);
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = Vec::new();
        client.stream.read_to_end(&mut said).unwrap();
        assert!(said.starts_with(b"NBDMAGIC"), "after {len} bytes");
    }
    case.serves_still();
    settles(&case.served, files);
    case.served.stop();
}

/// Waits until nothing is left of former connections.
#[track_caller]
fn settles(served: &Served, files: usize) {
    let start = Instant::now();
    while served.open_files() > files {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{} files are open, {files} were",
            served.open_files()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_tcp_connection_may_be_reset_after_every_byte() {
    use std::net::{SocketAddr, TcpStream};
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    ImageBuilder::v2().store_all([0, 3]).write(&path);
    let _guard = crate::support::SourceGuard::new(&scratch.source());
    let mut command = std::process::Command::new(crate::support::program::path());
    command.arg("serve").arg(&path).args(["--tcp", ":0"]);
    let served = Served::start(&mut command, scratch.path().join("none"));
    let address: SocketAddr = served.uri["nbd://".len()..]
        .trim_end_matches('/')
        .parse()
        .unwrap();
    let bytes = session();
    for len in 0..=bytes.len() {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&bytes[..len]).unwrap();
        // What was not read makes the system send a reset.
        drop(stream);
    }
    let mut stream = TcpStream::connect(address).unwrap();
    let mut greeting = [0; 18];
    stream.read_exact(&mut greeting).unwrap();
    drop(stream);
    served.stop();
}

#[test]
fn a_client_on_standard_input_that_only_leaves_gets_an_answer() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    ImageBuilder::v2().store(0).write(&path);
    let leaves = [3u32.to_be_bytes().to_vec(), option(2, b"")].concat();
    let serve = crate::support::Program::new(["serve", "disk.hds", "--stdio"]);
    let outcome = serve.directory(scratch.source()).input(leaves).run();
    // After the greeting.
    let answer = b"\0\x03\xe8\x89\x04\x55\x65\xa9\0\0\0\x02\0\0\0\x01\0\0\0\0";
    assert!(outcome.status(0).stdout[18..] == *answer);
}

/// Asks for 1000 reads of 32 MiB each, and reads nothing.
fn ask_for_too_much(client: &mut Client, flags: u16) {
    let requests: Vec<u8> = (0..1000)
        .flat_map(|_| request(flags, READ, 77, 0, 32 << 20))
        .collect();
    client.stream.set_nonblocking(true).unwrap();
    let mut sent = 0;
    let mut last = Instant::now();
    // The server stops reading at some point, and the socket is full and stays so.
    while sent < requests.len() && last.elapsed() < Duration::from_millis(500) {
        match client.stream.write(&requests[sent..]) {
            Ok(written) => {
                sent += written;
                last = Instant::now();
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[test]
fn a_slow_reader_takes_no_memory_and_nobody_waits_for_it() {
    let scratch = Scratch::new();
    let path = big(&scratch, 40);
    let _guard = SourceGuard::new(&scratch.source());
    let served = Served::new(&path, &scratch);
    let mut slow = Vec::new();
    for flags in [0, DF] {
        let mut client = Client::structured(&served.socket);
        ask_for_too_much(&mut client, flags);
        slow.push(client);
    }
    let mut client = Client::simple(&served.socket);
    ask_for_too_much(&mut client, 0);
    slow.push(client);
    // Somebody else is served meanwhile.
    let mut other = Client::structured(&served.socket);
    other.reads_still(&vec![1; 1 << 20]);
    let highest = served.status("VmHWM") >> 10;
    // 8 MiB and one request of 32 MiB for each of three, and the program.
    assert!(highest <= 3 * 40 + 32, "{highest} MiB at once");
    // And those who ask so much are served in the end.
    let mut client = slow.remove(0);
    client.stream.set_nonblocking(false).unwrap();
    let chunk = client.chunk();
    assert_eq!(chunk.kind, 1);
    let ended = served.end("TERM").status(143);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(!scratch.path().join("socket").exists());
}

#[test]
fn a_thousand_clients_come_and_go() {
    let case = Case::new();
    let files = case.served.open_files();
    let threads = case.served.status("Threads");
    for number in 0..1000 {
        match number % 4 {
            0 => drop(Client::silent(&case.served.socket)),
            1 => drop(case.client()),
            2 => drop(Client::structured(&case.served.socket)),
            _ => {
                let mut client = Client::simple(&case.served.socket);
                client.ask(0, READ, 0, 4096);
            }
        }
    }
    case.serves_still();
    settles(&case.served, files);
    let start = Instant::now();
    while case.served.status("Threads") > threads {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "threads are left"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(case.served.status("VmHWM") < 64 << 10);
    case.served.stop();
}

#[test]
fn two_hundred_clients_that_say_nothing_keep_nobody_out_for_long() {
    let case = Case::new();
    let start = Instant::now();
    // A client that has chosen may be silent as long as it likes, longer than those that come after
    // it and choose nothing.
    let mut quiet = Client::structured(&case.served.socket);
    let mut idle: Vec<_> = (0..198)
        .map(|_| Client::silent(&case.served.socket))
        .collect();
    // Half an option, for ever.
    let mut half = case.client();
    half.send(b"IHAVEOPT\0\0");
    // The 201st connects, and is taken when one of them was given up.
    case.serves_still();
    assert!(start.elapsed() > Duration::from_secs(10), "it did not wait");
    // All of them are gone by now or soon.
    half.is_hung_up_on();
    for client in &mut idle {
        let mut said = Vec::new();
        client.stream.read_to_end(&mut said).unwrap();
        assert_eq!(said.get(..8), Some(&b"NBDMAGIC"[..]));
    }
    quiet.reads_still(&case.content);
    let outcome = case.served.stop();
    outcome.says(["200 clients are connected", "within 10 seconds"]);
}

#[test]
fn it_ends_at_once_whoever_is_connected() {
    for signal in ["TERM", "INT", "HUP"] {
        let case = Case::new();
        let _idle: Vec<_> = (0..20)
            .map(|_| Client::silent(&case.served.socket))
            .collect();
        let mut half = case.client();
        half.send(b"IHAVEOPT\0\0");
        let mut quiet = Client::structured(&case.served.socket);
        quiet.reads_still(&case.content);
        let socket = case.served.socket.clone();
        let status = match signal {
            "TERM" => 143,
            "INT" => 130,
            _ => 129,
        };
        case.served.end(signal).status(status);
        // Had it not ended by itself, it would have been killed, and the socket were there.
        assert!(!socket.exists(), "the socket was left behind");
        quiet.is_hung_up_on();
    }
}
