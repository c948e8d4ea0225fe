//! `serve` as a command: where it listens, what it says, how it ends, and what it does with a
//! source that fails or changes.

use crate::faults::on_a_broken_device;
use crate::support::image::pattern;
use crate::support::nbd::{ACK, Client, DISC, GO, READ, STATUS, be32, go, option};
use crate::support::served::Served;
use crate::support::{ImageBuilder, Model, Program, Scratch, SourceGuard, field, program};
use crate::tools::tool;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const EIO: u32 = 5;

fn image(scratch: &Scratch) -> (PathBuf, Vec<u8>) {
    let path = scratch.source().join("disk.hds");
    let image = ImageBuilder::v2().seed(3).store_all([0, 3]).write(&path);
    (path, Model::new(vec![image.layer]).content())
}

fn serve(image: &Path) -> Program {
    Program::new(["serve".as_ref(), image.as_os_str()]).within(20)
}

fn nbdinfo_size(uri: &str) -> String {
    let said = tool("libnbd-bin", Command::new("nbdinfo").args(["--size", uri]));
    said.trim().to_owned()
}

#[test]
fn the_socket_belongs_to_its_user_alone() {
    let scratch = Scratch::new();
    let (path, _) = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let socket = scratch.path().join("socket");
    // A shell that would let everybody in.
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 0; exec \"$@\"", "sh"])
        .arg(program::path())
        .arg("serve")
        .arg(&path)
        .arg("--socket")
        .arg(&socket);
    let served = Served::start(&mut command, socket.clone());
    let meta = std::fs::symlink_metadata(&socket).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.mode() & 0o7777, 0o600);
    drop(scratch.as_nobody()); // lets others into the folder
    let output = Command::new("nbdinfo")
        .arg(&served.uri)
        .uid(65534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("ermission denied"),
        "{said}"
    );
    served.stop();
}

/// Looked at from outside while it is made: whenever there is a socket, it has its mode.
#[test]
fn the_socket_never_had_another_mode() {
    let scratch = Scratch::new();
    let (path, _) = image(&scratch);
    let socket = scratch.path().join("socket");
    let _guard = crate::support::SourceGuard::new(&scratch.source());
    let output = Command::new("strace")
        .args(["-f", "-e", "trace=bind,chmod,fchmod,fchmodat,umask", "--"])
        .arg("timeout")
        .args(["--signal=TERM", "2"])
        .arg(program::path())
        .arg("serve")
        .arg(&path)
        .arg("--socket")
        .arg(&socket)
        .output()
        .unwrap_or_else(|error| panic!("strace: {error}; it is in the Debian package strace"));
    let trace = String::from_utf8_lossy(&output.stderr);
    let at = |what: &str| {
        trace
            .find(what)
            .unwrap_or_else(|| panic!("{what}: {trace}"))
    };
    assert!(at("fchmod(") < at("bind("), "{trace}");
    assert!(trace[at("bind(")..].find("chmod").is_none(), "{trace}");
    assert!(
        trace[at("fchmod(")..]
            .lines()
            .next()
            .unwrap()
            .contains("0600")
    );
}

#[test]
fn what_is_at_the_path_already_is_left_alone() {
    let scratch = Scratch::new();
    let (path, _) = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let socket = scratch.path().join("socket");
    let at_socket = || serve(&path).arg("--socket").arg(&socket);

    std::fs::write(&socket, "precious").unwrap();
    at_socket()
        .run()
        .refused(1, &["socket exists, and is no socket"]);
    assert_eq!(std::fs::read(&socket).unwrap(), b"precious");
    std::fs::remove_file(&socket).unwrap();

    std::fs::create_dir(&socket).unwrap();
    at_socket().run().refused(1, &["socket", "exists"]);
    std::fs::remove_dir(&socket).unwrap();

    let target = scratch.path().join("nowhere");
    std::os::unix::fs::symlink(&target, &socket).unwrap();
    at_socket().run().refused(1, &["socket", "exists"]);
    assert!(!target.exists());
    std::fs::remove_file(&socket).unwrap();

    // Somebody listens, and is not disturbed.
    let served = Served::new(&path, &scratch);
    at_socket()
        .run()
        .refused(1, &["socket exists, and a server listens there"]);
    nbdinfo_size(&served.uri);
    served.stop();

    // The socket of a server that was killed.
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let served = Served::new(&path, &scratch);
    nbdinfo_size(&served.uri);

    // What took its place is not removed at the end.
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "precious").unwrap();
    served.end("TERM").status(143);
    assert_eq!(std::fs::read(&socket).unwrap(), b"precious");
}

#[test]
fn any_path_makes_a_uri_that_clients_take() {
    let scratch = Scratch::new();
    let (path, content) = image(&scratch);
    for name in ["a b&c?d#e%41+", "größe", "=;:@!$'()*,"] {
        let socket = scratch.path().join(name);
        let _guard = crate::support::SourceGuard::new(&scratch.source());
        let mut command = Command::new(program::path());
        // A relative path, from the folder that it is in.
        command
            .current_dir(scratch.path())
            .arg("serve")
            .arg(&path)
            .arg(format!("--socket={name}"));
        let served = Served::start(&mut command, socket);
        assert_eq!(
            nbdinfo_size(&served.uri),
            content.len().to_string(),
            "{name}"
        );
        let info = Command::new("qemu-img")
            .args(["info", &served.uri])
            .output();
        assert!(info.unwrap().status.success(), "{}", served.uri);
        let outcome = served.stop();
        assert_eq!(outcome.stdout, b"", "one line and nothing else");
    }
    let long = "x".repeat(120);
    let outcome = serve(&path).arg("--socket").arg(long).run();
    outcome.refused(1, &["listening at", "long"]);
}

#[test]
fn a_tcp_port_is_for_this_host_unless_an_address_is_given() {
    let scratch = Scratch::new();
    let (path, content) = image(&scratch);
    for (given, prefix) in [
        (":0", "nbd://127.0.0.1:"),
        ("0", "nbd://127.0.0.1:"),
        ("localhost:0", "nbd://127.0.0.1:"),
        ("127.0.0.1:0", "nbd://127.0.0.1:"),
        ("0.0.0.0:0", "nbd://0.0.0.0:"),
    ] {
        let _guard = crate::support::SourceGuard::new(&scratch.source());
        let mut command = Command::new(program::path());
        command.arg("serve").arg(&path).args(["--tcp", given]);
        let served = Served::start(&mut command, scratch.path().join("none"));
        assert!(served.uri.starts_with(prefix), "{}", served.uri);
        assert_eq!(nbdinfo_size(&served.uri), content.len().to_string());
        let port = served.uri.trim_end_matches('/').rsplit(':').next().unwrap();
        let again = serve(&path)
            .args(["--tcp", &format!("127.0.0.1:{port}")])
            .run();
        again.refused(1, &["listening at", "in use"]);
        served.stop();
    }
    for wrong in ["example.com:1", "127.0.0.1", "70000", "", ":"] {
        serve(&path).args(["--tcp", wrong]).run().status(2);
    }
}

#[test]
fn one_place_is_needed_and_only_one_is_taken() {
    let scratch = Scratch::new();
    let (path, _) = image(&scratch);
    let two = ["--socket", "s", "--tcp", ":0"];
    for args in [&[][..], &two, &["--stdio", "--tcp", ":0"]] {
        let outcome = serve(&path).args(args).run().status(2);
        outcome.says(["--socket"]);
    }
}

#[test]
fn it_says_where_it_serves_and_how_it_ended() {
    for (signal, status) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let scratch = Scratch::new();
        let (path, _) = image(&scratch);
        let _guard = SourceGuard::new(&scratch.source());
        let served = Served::new(&path, &scratch);
        let uri = served.uri.clone();
        let said = served.end(signal).status(status);
        let said = said.says([
            "serving",
            "disk.hds",
            &uri,
            &format!("stopped by SIG{signal}"),
        ]);
        assert_eq!(said.stderr.lines().count(), 2, "{}", said.stderr);
        assert!(!scratch.path().join("socket").exists());
    }
}

#[test]
fn an_ordinary_user_serves_and_is_served() {
    let scratch = Scratch::new();
    let (path, content) = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let mut command = scratch.as_nobody();
    let folder = scratch.path().join("theirs");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).unwrap();
    let socket = folder.join("socket");
    command.arg("serve").arg(&path).arg("--socket").arg(&socket);
    let served = Served::start(&mut command, socket);
    let copy = folder.join("copy.raw");
    let mut nbdcopy = Command::new("nbdcopy");
    tool("libnbd-bin", nbdcopy.arg(&served.uri).arg(&copy).uid(65534));
    assert!(std::fs::read(&copy).unwrap() == content);
    served.stop();
}

#[test]
fn one_client_is_served_on_standard_input_and_output() {
    let scratch = Scratch::new();
    let (path, content) = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let expected = scratch.out().join("expected.raw");
    std::fs::write(&expected, &content).unwrap();
    let script = format!(
        "h.connect_command([{:?}, 'serve', {path:?}, '--stdio'])\n\
         expected = open({expected:?}, 'rb').read()\n\
         assert h.pread(h.get_size(), 0) == expected\n\
         h.shutdown()\n",
        program::path()
    );
    tool(
        "python3-libnbd",
        crate::tools::nbdsh().args(["-c", &script]),
    );
}

#[test]
fn a_server_on_standard_input_that_is_idle_ends_when_it_is_told() {
    let scratch = Scratch::new();
    let (path, _) = image(&scratch);
    let _guard = crate::support::SourceGuard::new(&scratch.source());
    let mut child = Command::new(program::path())
        .arg("serve")
        .arg(&path)
        .arg("--stdio")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut greeting = [0; 18];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut greeting).unwrap();
    let stdin = child.stdin.take();
    crate::support::running::signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(143));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("stopped by SIGTERM"), "{said}");
}

#[test]
fn every_request_is_traced_where_that_is_asked_for() {
    let scratch = Scratch::new();
    let (path, content) = image(&scratch);
    let served = Served::with(&path, &scratch, &["--trace"]);
    let mut client = Client::structured(&served.socket);
    client.reads_still(&content[..4096]);
    assert_eq!(client.chunk_error(0, READ, 1 << 40, 512), 22);
    client.ask(0, STATUS, 0, 512);
    client.chunks();
    client.ask(0, DISC, 0, 0);
    client.is_hung_up_on();
    served.stop().says([
        "connection 1: from process",
        "of user 0",
        "connection 1: read of 4096 bytes at offset 0x0: done, ",
        "connection 1: read of 512 bytes at offset 0x10000000000: EINVAL, ",
        "connection 1: block status of 512 bytes at offset 0x0: done, ",
        "connection 1: the client disconnected",
    ]);
}

#[test]
fn a_range_that_cannot_be_read_is_an_error_and_the_others_are_served() {
    let scratch = Scratch::new();
    // The file is 2 MiB, which ext4 stores in one piece; its last cluster is lost.
    let built = ImageBuilder::v2()
        .cluster_sectors(512)
        .clusters(9)
        .seed(1)
        .store_all(0..7)
        .build();
    built.write(&scratch.source().join("disk.hds"));
    let content = Model::new(vec![built.layer.clone()]).content();
    let mounted = on_a_broken_device(&scratch, &pattern(1_000_003 + 6, 0, 4096));
    let served = Served::new(&mounted.dir.join("disk.hds"), &scratch);
    let lost = 6 * 512 * 512;

    let mut simple = Client::simple(&served.socket);
    assert_eq!(simple.error(0, READ, lost, 4096), EIO);
    simple.reads_still(&content[..65536]);

    let mut client = Client::structured(&served.socket);
    for flags in [0, crate::support::nbd::DF] {
        assert_eq!(client.chunk_error(flags, READ, lost, 4096), EIO);
    }
    // What comes before the lost range in the same request is right where it is given.
    client.ask(0, READ, 0, u32::try_from(content.len()).unwrap());
    let chunks = client.chunks();
    let (last, before) = chunks.split_last().unwrap();
    assert_eq!(last.error(), Some(EIO));
    for chunk in before {
        let at = usize::try_from(crate::support::nbd::be64(&chunk.data[0..8])).unwrap();
        if chunk.kind == 1 {
            let data = &chunk.data[8..];
            assert!(data == &content[at..at + data.len()]);
        }
    }
    // It is said to be data, so that no client takes it for zeros.
    client.ask(0, STATUS, lost, 4096);
    assert_eq!(be32(&client.chunks()[0].data[8..12]), 0);
    client.reads_still(&content[..65536]);

    // A copy fails; it does not end with zeros.
    let output = Command::new("nbdcopy")
        .arg(&served.uri)
        .arg(scratch.target())
        .output()
        .unwrap();
    assert!(!output.status.success());
    served.stop().says([
        "read of 4096 bytes at offset 0x180000",
        "disk.hds",
        "input/output error",
    ]);
}

#[test]
fn a_source_that_changes_is_not_served_any_more() {
    let scratch = Scratch::new();
    let (path, content) = image(&scratch);
    let mut served = Served::new(&path, &scratch);
    served.let_the_source_change();
    let mut client = Client::structured(&served.socket);
    client.reads_still(&content);
    let file = std::fs::File::options().append(true).open(&path).unwrap();
    file.set_len(std::fs::metadata(&path).unwrap().len() + 4096)
        .unwrap();
    // Noticed within a second or so, whether the client asks or not.
    let outcome = served.ended().status(4);
    outcome.says([
        "disk.hds changed while it was being read",
        "stop whatever writes",
    ]);
    client.is_hung_up_on();
    assert!(!scratch.path().join("socket").exists());
}

#[test]
fn a_client_of_a_source_that_changed_gets_no_byte() {
    let scratch = Scratch::new();
    let (path, _) = image(&scratch);
    // No client is connected, so the server has not looked since.
    let mut served = Served::new(&path, &scratch);
    served.let_the_source_change();
    let file = std::fs::File::options().append(true).open(&path).unwrap();
    file.set_len(std::fs::metadata(&path).unwrap().len() + 4096)
        .unwrap();
    let mut client = Client::silent(&served.socket);
    // It gets an error, or is disconnected at once.
    let _ = client
        .stream
        .write_all(&[&[0, 0, 0, 3][..], &option(GO, &go())].concat());
    let mut said = Vec::new();
    let _ = client.stream.read_to_end(&mut said);
    let done = [GO.to_be_bytes(), ACK.to_be_bytes()].concat();
    assert!(!said.windows(8).any(|bytes| bytes == done), "{said:?}");
    served.ended().status(4);
}

#[test]
fn what_the_other_commands_refuse_is_not_served() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    let socket = scratch.path().join("socket");
    let at_socket = || serve(&path).arg("--socket").arg(&socket);
    let builder = ImageBuilder::v2().seed(3).store_all([0, 3]);

    builder.clone().in_use(field::DIRTY).write(&path);
    at_socket().run().refused(4, &["--allow-dirty"]);
    let served = Served::with(&path, &scratch, &["--allow-dirty"]);
    nbdinfo_size(&served.uri);
    served.stop();

    let mut damaged = builder.build();
    damaged.put_u32(field::entry(3), 4711);
    damaged.write(&path);
    at_socket().run().refused(3, &["disk.hds"]);
    // Read on over damage, what is lost is an error for clients, and never zeros.
    let served = Served::with(&path, &scratch, &["--salvage"]);
    let lost = 3 * 64 * 512;
    let mut client = Client::structured(&served.socket);
    assert_eq!(client.chunk_error(0, READ, lost, 512), EIO);
    assert_eq!(client.chunk_error(0, READ, lost - 512, 512), 0);
    client.ask(0, STATUS, lost, 4096);
    assert_eq!(be32(&client.chunks()[0].data[8..12]), 0);
    served.stop();

    std::fs::write(&path, b"QFI\xfb and so on").unwrap();
    at_socket().run().refused(1, &["qcow2"]);
    at_socket().args(["--partition", "1"]).run().refused(1, &[]);
    assert!(!socket.exists(), "a refusal left a socket");
}

#[test]
fn what_is_lost_or_doubtful_is_an_error_and_never_zeros() {
    const CLUSTER: u64 = 32 << 10;
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    let mut damaged = ImageBuilder::v2()
        .clusters(6)
        .seed(3)
        .store_all(0..5)
        .build();
    let content = Model::new(vec![damaged.layer.clone()]).content();
    damaged.put_u32(field::entry(1), 4711); // beyond the end
    damaged.put_u32(field::entry(3), 5); // that of cluster 4
    damaged.write(&path);
    let served = Served::with(&path, &scratch, &["--salvage"]);
    let mut simple = Client::simple(&served.socket);
    let mut client = Client::structured(&served.socket);
    for cluster in 0..6 {
        let at = usize::try_from(cluster * CLUSTER).unwrap();
        match cluster {
            1 | 3 | 4 => {
                assert_eq!(client.chunk_error(0, READ, cluster * CLUSTER, 4096), EIO);
                // Said to be data, so that no client takes it for zeros.
                client.ask(0, STATUS, cluster * CLUSTER, 512);
                assert_eq!(be32(&client.chunks()[0].data[8..12]), 0, "{cluster}");
            }
            _ => {
                simple.ask(0, READ, cluster * CLUSTER, 32 << 10);
                assert_eq!(simple.simple_reply(), 0, "{cluster}");
                assert!(
                    simple.take(32 << 10) == content[at..at + (32 << 10)],
                    "{cluster}"
                );
            }
        }
    }
    // A part of a cluster that cannot be trusted spoils the request.
    assert_eq!(client.chunk_error(0, READ, 3 * CLUSTER - 512, 1024), EIO);
    served.stop().says(["entry-duplicate", "lost"]);
}
