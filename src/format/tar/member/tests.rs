use super::*;
use crate::tree::{DeviceNumber, Moment};

fn metadata() -> Metadata {
    Metadata {
        inode: 12,
        file_type: FileType::File,
        permissions: 0o4755,
        uid: 1000,
        gid: 2_097_151,
        links: 1,
        size: 5,
        sectors: 8,
        device: None,
        accessed: Moment::default(),
        modified: Moment {
            seconds: 1_000_000_000,
            nanoseconds: 0,
        },
        changed: Moment::default(),
        created: None,
    }
}

fn bytes(path: &[u8], metadata: &Metadata, attributes: &[(&str, &[u8])], kind: Kind) -> Vec<u8> {
    let attributes: Vec<_> = attributes
        .iter()
        .map(|(name, value)| Attribute {
            name: name.as_bytes().to_vec(),
            value: value.to_vec(),
        })
        .collect();
    let mut out = Vec::new();
    let member = Member {
        path,
        metadata,
        attributes: &attributes,
        kind,
    };
    member.write(&mut out);
    out
}

/// The records of a member that begins with some, as text.
fn records(bytes: &[u8]) -> String {
    if bytes[156] != b'x' {
        return String::new();
    }
    let size = std::str::from_utf8(&bytes[124..135]).unwrap();
    let size = usize::from_str_radix(size, 8).unwrap();
    assert_eq!(bytes.len(), 1024 + size.next_multiple_of(512));
    let text = String::from_utf8_lossy(&bytes[512..512 + size]);
    let values = text.lines().map(|line| line.split_once(' ').unwrap().1);
    values.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_fits_into_a_header_needs_no_record() {
    let bytes = bytes(b"./bin/ping", &metadata(), &[], Kind::Plain);
    assert_eq!(bytes.len(), 512);
    assert!(bytes.starts_with(b"./bin/ping\0"));
    assert_eq!(
        &bytes[100..157],
        b"0004755\x000001750\x007777777\x0000000000005\x0007346545000\x00007674\x00 0"
    );
    assert_eq!(&bytes[257..265], b"ustar\x0000");
    // No names of owners.
    assert!(bytes[265..329].iter().all(|&byte| byte == 0));
}

#[test]
fn each_thing_that_does_not_fit_has_its_record() {
    let plain = metadata();
    let of = |metadata: &Metadata| records(&bytes(b"./a", metadata, &[], Kind::Plain));
    assert_eq!(of(&plain), "");
    let owners = Metadata {
        uid: 2_097_152,
        gid: 4_294_967_294,
        ..plain.clone()
    };
    assert_eq!(of(&owners), "uid=2097152\ngid=4294967294");
    let size = |size| {
        of(&Metadata {
            size,
            ..plain.clone()
        })
    };
    assert_eq!(size((8 << 30) - 1), "");
    assert_eq!(size(8 << 30), "size=8589934592");
    let time = |seconds, nanoseconds| {
        let modified = Moment {
            seconds,
            nanoseconds,
        };
        of(&Metadata {
            modified,
            ..plain.clone()
        })
    };
    assert_eq!(time(0, 0), "");
    assert_eq!(time(0, 5), "mtime=0.000000005");
    assert_eq!(time(-2, 750_000_000), "mtime=-1.25");
    assert_eq!(time((8 << 30) - 1, 0), "");
    assert_eq!(time(8 << 30, 0), "mtime=8589934592");
}

#[test]
fn names_stand_where_readers_find_them() {
    let metadata = metadata();
    let of = |name: &[u8]| bytes(name, &metadata, &[], Kind::Plain);
    let hundred = [b"./".as_slice(), &[b'n'; 98]].concat();
    assert_eq!(of(&hundred).len(), 512);
    assert!(of(&hundred).starts_with(&[&hundred[..], b"0004755"].concat()));
    let longer = [&hundred[..], b"x"].concat();
    let expected = format!("path={}", String::from_utf8(longer.clone()).unwrap());
    assert_eq!(records(&of(&longer)), expected);
    assert_eq!(records(&of("./ü".as_bytes())), "path=./ü");
    // Other bytes stand in the header, or in a long name of GNU.
    assert_eq!(of(b"./\xff").len(), 512);
    assert!(of(b"./\xff").starts_with(b"./\xff\0"));
    let long = [b"./".as_slice(), &[0xff; 100]].concat();
    let bytes = of(&long);
    assert_eq!(bytes.len(), 3 * 512);
    assert!(bytes.starts_with(b"././@LongLink\0") && bytes[156] == b'L');
    assert!(bytes[512..].starts_with(&[&long[..], b"\0"].concat()));
    // No character is cut in two.
    let odd = format!("./{}", "ü".repeat(60));
    let header = of(odd.as_bytes());
    let header = &header[header.len() - 512..];
    assert!(std::str::from_utf8(&header[..100]).is_ok());
}

#[test]
fn links_devices_and_sparse_files_say_what_they_are() {
    let plain = metadata();
    let link = bytes(
        b"./l",
        &plain,
        &[("user.x", b"1")],
        Kind::HardLink(b"./bin/ping"),
    );
    // Attributes stand at every name: a reader that changes the owner of a link clears some.
    assert_eq!(records(&link), "SCHILY.xattr.user.x=1");
    let header = &link[1024..];
    assert!(header[156] == b'1' && header[157..].starts_with(b"./bin/ping\0"));
    assert_eq!(&header[124..136], b"00000000000\0");
    let device = Metadata {
        file_type: FileType::BlockDevice,
        device: Some(DeviceNumber {
            major: 259,
            minor: 1_048_575,
        }),
        ..plain.clone()
    };
    let header = bytes(b"./d", &device, &[], Kind::Other);
    assert!(header[156] == b'4' && &header[329..345] == b"0000403\x003777777\0");
    let holes = Metadata {
        size: 16 << 40,
        ..plain
    };
    let sparse = bytes(b"./big", &holes, &[], Kind::Sparse(1024));
    assert_eq!(
        records(&sparse),
        "GNU.sparse.name=./big\nGNU.sparse.major=1\nGNU.sparse.minor=0\n\
         GNU.sparse.realsize=17592186044416"
    );
    assert!(sparse[1024..].starts_with(b"./GNUSparseFile.0/12\0"));
    assert_eq!(&sparse[1024 + 124..1024 + 136], b"00000002000\0");
}

#[test]
fn an_acl_is_written_twice() {
    let acl = [&[2, 0, 0, 0][..], &[1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff]].concat();
    let attributes = [("system.posix_acl_access", &acl[..])];
    let bytes = bytes(b"./a", &metadata(), &attributes, Kind::Plain);
    let text = records(&bytes);
    assert!(text.starts_with("SCHILY.acl.access=user::rw-\n"), "{text}");
    assert!(text.contains("SCHILY.xattr.system.posix_acl_access=\u{2}\0"));
}
