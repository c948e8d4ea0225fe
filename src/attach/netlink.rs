//! The kernel's generic netlink family `nbd`: messages as bytes, and a socket that sends them.
//!
//! Numbers and layouts are those of `linux/netlink.h`, `linux/genetlink.h` and
//! `linux/nbd-netlink.h`. Everything is in the byte order of the machine.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::util::bytes::to_usize;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLMSG_ERROR: u16 = 2;
const NLA_F_NESTED: u16 = 1 << 15;
const NLA_TYPE_MASK: u16 = 0x3fff;

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const NBD_CMD_CONNECT: u8 = 1;
const NBD_CMD_DISCONNECT: u8 = 2;
const NBD_CMD_STATUS: u8 = 5;
const ATTR_INDEX: u16 = 1;
const ATTR_SIZE_BYTES: u16 = 2;
const ATTR_BLOCK_SIZE_BYTES: u16 = 3;
const ATTR_TIMEOUT: u16 = 4;
const ATTR_SERVER_FLAGS: u16 = 5;
const ATTR_SOCKETS: u16 = 7;
const ATTR_DEVICE_LIST: u16 = 9;
const ATTR_BACKEND_IDENTIFIER: u16 = 10;
const SOCK_ITEM: u16 = 1;
const SOCK_FD: u16 = 1;
const DEVICE_ITEM: u16 = 1;
const DEVICE_CONNECTED: u16 = 2;

/// What a device is connected with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connect<'a> {
    /// The device, or whichever is free.
    pub(super) index: Option<u32>,
    /// In bytes.
    pub(super) size: u64,
    /// In bytes: a power of two, 512 to the size of a page.
    pub(super) block_size: u32,
    /// Transmission flags of the protocol.
    pub(super) flags: u16,
    /// Shown in sysfs.
    pub(super) backend: &'a str,
    /// The ends of socket pairs that the kernel talks to.
    pub(super) sockets: &'a [BorrowedFd<'a>],
}

/// A list of attributes under construction.
#[derive(Debug, Default)]
struct Attributes(Vec<u8>);

impl Attributes {
    fn bytes(mut self, kind: u16, data: &[u8]) -> io::Result<Self> {
        let len = u16::try_from(data.len().saturating_add(4)).map_err(io::Error::other)?;
        self.0.extend_from_slice(&len.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        Ok(self)
    }

    fn u32(self, kind: u16, value: u32) -> io::Result<Self> {
        self.bytes(kind, &value.to_ne_bytes())
    }

    fn u64(self, kind: u16, value: u64) -> io::Result<Self> {
        self.bytes(kind, &value.to_ne_bytes())
    }

    fn text(self, kind: u16, text: &str) -> io::Result<Self> {
        let mut data = text.as_bytes().to_vec();
        data.push(0);
        self.bytes(kind, &data)
    }

    fn nest(self, kind: u16, inner: &Self) -> io::Result<Self> {
        self.bytes(kind | NLA_F_NESTED, &inner.0)
    }
}

/// Reads a list of attributes: their kinds and what they hold. Ends at the first that makes no
/// sense.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?) & NLA_TYPE_MASK;
        let data = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, data))
    })
}

fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(kind, data)| (kind == wanted).then_some(data))
}

fn u32_attribute(bytes: &[u8], wanted: u16) -> Option<u32> {
    attribute(bytes, wanted)?
        .first_chunk()
        .map(|value| u32::from_ne_bytes(*value))
}

/// One netlink message: its kind and what follows its header.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = to_usize(u32::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        let body = bytes.get(16..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// What the kernel answered so far.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// More is to come.
    Unfinished,
    /// The command was carried out.
    Done,
    /// It was refused, with this number.
    Refused(i32),
}

/// Takes the attributes of data replies out of what was received, and finds the acknowledgement.
fn digest(received: &[u8], replies: &mut Vec<Vec<u8>>) -> Answer {
    for (kind, body) in messages(received) {
        if kind != NLMSG_ERROR {
            // After the header of generic netlink: command, version, two bytes of nothing.
            replies.push(body.get(4..).unwrap_or_default().to_vec());
            continue;
        }
        let number = body.first_chunk().map_or(0, |n| i32::from_ne_bytes(*n));
        return match number {
            0 => Answer::Done,
            refused => Answer::Refused(refused.saturating_neg()),
        };
    }
    Answer::Unfinished
}

fn message(
    family: u16,
    command: u8,
    sequence: u32,
    attributes: &Attributes,
) -> io::Result<Vec<u8>> {
    let len = attributes.0.len().saturating_add(20);
    let mut message = Vec::with_capacity(len);
    message.extend_from_slice(&u32::try_from(len).map_err(io::Error::other)?.to_ne_bytes());
    message.extend_from_slice(&family.to_ne_bytes());
    message.extend_from_slice(&(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    message.extend_from_slice(&sequence.to_ne_bytes());
    message.extend_from_slice(&0u32.to_ne_bytes());
    message.extend_from_slice(&[command, 1, 0, 0]);
    message.extend_from_slice(&attributes.0);
    Ok(message)
}

/// A socket to the kernel's `nbd` family.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
    family: u16,
}

impl Netlink {
    /// Finds the family; `None` where the kernel (or this network namespace) has none.
    pub(super) fn open() -> io::Result<Option<Self>> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkGeneric,
        );
        let socket = match socket {
            Ok(socket) => socket,
            // A kernel, or a sandbox, without netlink.
            Err(nix::Error::EPROTONOSUPPORT | nix::Error::EAFNOSUPPORT) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        let mut this = Self {
            socket,
            family: GENL_ID_CTRL,
        };
        let name = Attributes::default().text(CTRL_ATTR_FAMILY_NAME, "nbd")?;
        let reply = match this.call(CTRL_CMD_GETFAMILY, &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let id = reply
            .iter()
            .find_map(|reply| attribute(reply, CTRL_ATTR_FAMILY_ID)?.first_chunk());
        match id {
            Some(id) => this.family = u16::from_ne_bytes(*id),
            None => {
                return Err(io::Error::other(
                    "netlink named the family without a number",
                ));
            }
        }
        Ok(Some(this))
    }

    /// Sends a command and waits until it was carried out; gives the attributes of each reply.
    fn call(&self, command: u8, attributes: &Attributes) -> io::Result<Vec<Vec<u8>>> {
        let fd = self.socket.as_raw_fd();
        send(
            fd,
            &message(self.family, command, 1, attributes)?,
            MsgFlags::empty(),
        )?;
        let mut replies = Vec::new();
        let mut buf = vec![0; 1 << 16];
        loop {
            let len = match recv(fd, &mut buf, MsgFlags::empty()) {
                Err(nix::Error::EINTR) => continue,
                other => other?,
            };
            match digest(buf.get(..len).unwrap_or_default(), &mut replies) {
                Answer::Unfinished if len == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Answer::Unfinished => {}
                Answer::Done => return Ok(replies),
                Answer::Refused(number) => return Err(io::Error::from_raw_os_error(number)),
            }
        }
    }

    /// Connects a device, and gives its number.
    pub(super) fn connect(&self, connect: &Connect<'_>) -> io::Result<u32> {
        let mut list = Attributes::default();
        if let Some(index) = connect.index {
            list = list.u32(ATTR_INDEX, index)?;
        }
        let mut sockets = Attributes::default();
        for socket in connect.sockets {
            let fd = u32::try_from(socket.as_raw_fd()).map_err(io::Error::other)?;
            sockets = sockets.nest(SOCK_ITEM, &Attributes::default().u32(SOCK_FD, fd)?)?;
        }
        let list = list
            .u64(ATTR_SIZE_BYTES, connect.size)?
            .u64(ATTR_BLOCK_SIZE_BYTES, connect.block_size.into())?
            // A slow read is not a failed one. Left out, the value of the device's last user
            // would stay.
            .u64(ATTR_TIMEOUT, 0)?
            .u64(ATTR_SERVER_FLAGS, connect.flags.into())?
            .nest(ATTR_SOCKETS, &sockets)?
            .text(ATTR_BACKEND_IDENTIFIER, connect.backend)?;
        let replies = self.call(NBD_CMD_CONNECT, &list)?;
        replies
            .iter()
            .find_map(|reply| u32_attribute(reply, ATTR_INDEX))
            .ok_or_else(|| io::Error::other("the kernel did not say which device it took"))
    }

    /// Ends the connections of a device.
    pub(super) fn disconnect(&self, index: u32) -> io::Result<()> {
        let list = Attributes::default().u32(ATTR_INDEX, index)?;
        self.call(NBD_CMD_DISCONNECT, &list).map(drop)
    }

    /// Whether a device is connected, or held open by somebody.
    pub(super) fn is_referenced(&self, index: u32) -> io::Result<bool> {
        let list = Attributes::default().u32(ATTR_INDEX, index)?;
        let replies = match self.call(NBD_CMD_STATUS, &list) {
            // There is no such device.
            Err(error) if error.raw_os_error() == Some(nix::Error::EINVAL as i32) => {
                return Ok(false);
            }
            other => other?,
        };
        let connected = replies.iter().find_map(|reply| {
            let item = attribute(attribute(reply, ATTR_DEVICE_LIST)?, DEVICE_ITEM)?;
            attribute(item, DEVICE_CONNECTED)?.first().copied()
        });
        Ok(connected == Some(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_read_back() {
        let inner = Attributes::default().u32(1, 7).unwrap();
        let list = Attributes::default()
            .text(10, "ab")
            .unwrap()
            .nest(7, &inner)
            .unwrap();
        // The length counts the header and no padding.
        assert_eq!(&list.0[..2], &7u16.to_ne_bytes());
        assert_eq!(list.0.len(), 8 + 4 + 8);
        assert_eq!(attribute(&list.0, 10), Some(&b"ab\0"[..]));
        assert_eq!(u32_attribute(attribute(&list.0, 7).unwrap(), 1), Some(7));
        assert_eq!(attribute(&list.0, 2), None);
    }

    #[test]
    fn lengths_that_make_no_sense_end_the_list() {
        for len in [0u16, 3, 9, 0xffff] {
            let mut bytes = len.to_ne_bytes().to_vec();
            bytes.extend_from_slice(&[1, 0, 5, 5, 5, 5]);
            assert_eq!(attributes(&bytes).count(), 0, "a length of {len}");
        }
        for cut in 0..20 {
            assert_eq!(messages(&[40; 20][..cut]).count(), 0);
        }
    }

    #[test]
    fn an_acknowledgement_ends_the_answer_and_a_refusal_has_a_number() {
        let with = |number: i32| {
            let mut bytes = 20u32.to_ne_bytes().to_vec();
            bytes.extend_from_slice(&NLMSG_ERROR.to_ne_bytes());
            bytes.resize(16, 0);
            bytes.extend_from_slice(&number.to_ne_bytes());
            bytes
        };
        let mut replies = Vec::new();
        assert_eq!(digest(&with(0), &mut replies), Answer::Done);
        assert_eq!(digest(&with(-16), &mut replies), Answer::Refused(16));
        let data = message(20, 1, 1, &Attributes::default().u32(1, 3).unwrap()).unwrap();
        assert_eq!(digest(&data, &mut replies), Answer::Unfinished);
        assert_eq!(u32_attribute(&replies[0], ATTR_INDEX), Some(3));
    }
}
