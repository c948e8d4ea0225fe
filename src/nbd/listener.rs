//! Where clients connect: a Unix socket of the user's own, or a TCP port.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr, sockopt};
use nix::sys::stat::{Mode, fchmod};

use super::error::ListenError;
use super::stream::Stream;
use crate::error::{Error, Result};

/// Takes clients.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Unix {
        listener: UnixListener,
        /// Absolute, as far as the system could say.
        path: PathBuf,
        /// Device and inode of the path, so that no other socket is removed at the end.
        identity: Option<(u64, u64)>,
    },
    Tcp {
        listener: TcpListener,
        address: SocketAddr,
    },
}

impl Listener {
    /// Listens at a new Unix socket that only this user may connect to, from the moment it
    /// exists. It is removed when the listener is dropped.
    ///
    /// A socket that exists and has no listener is replaced.
    ///
    /// # Errors
    ///
    /// [`ListenError::Taken`] where there is something else, or a server listens there;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the socket cannot be made.
    pub fn unix(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io("listening at", path, error);
        let listener = match bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if let Some(why) = why_not_replaced(path) {
                    let path = path.to_owned();
                    return Err(ListenError::Taken { path, why }.into());
                }
                std::fs::remove_file(path).map_err(failed)?;
                bind(path)
            }
            other => other,
        };
        let listener = listener.map_err(failed)?;
        let identity = std::fs::symlink_metadata(path)
            .ok()
            .map(|meta| (meta.dev(), meta.ino()));
        Ok(Self {
            socket: Socket::Unix {
                listener,
                path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
                identity,
            },
        })
    }

    /// Listens at a TCP address. Every host that reaches it can read the disk: there is neither
    /// encryption nor a password. Port 0 means any free one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the system does not give the address.
    pub fn tcp(address: SocketAddr) -> Result<Self> {
        let name = PathBuf::from(address.to_string());
        let failed = |error| Error::io("listening at", &name, error);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            socket: Socket::Tcp { listener, address },
        })
    }

    /// Where it listens, as NBD clients take it.
    #[must_use]
    pub fn uri(&self) -> String {
        match &self.socket {
            Socket::Unix { path, .. } => {
                let path = percent_encoded(path.as_os_str().as_encoded_bytes());
                format!("nbd+unix:///?socket={path}")
            }
            Socket::Tcp { address, .. } => format!("nbd://{address}/"),
        }
    }

    /// Takes a client that waits, if one does; says who it is.
    pub(super) fn accept(&self) -> io::Result<(Arc<dyn Stream>, String)> {
        match &self.socket {
            Socket::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(false)?;
                let peer = socket::getsockopt(&stream, sockopt::PeerCredentials);
                let peer = peer.map_or_else(
                    |_| "an unknown process".to_owned(),
                    |peer| format!("process {} of user {}", peer.pid(), peer.uid()),
                );
                Ok((Arc::new(stream), peer))
            }
            Socket::Tcp { listener, .. } => {
                let (stream, peer) = listener.accept()?;
                stream.set_nonblocking(false)?;
                // A small reply must not wait for a larger one.
                stream.set_nodelay(true)?;
                // A client whose host is gone would stay connected for ever.
                socket::setsockopt(&stream, sockopt::KeepAlive, &true)?;
                Ok((Arc::new(stream), peer.to_string()))
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Unix { listener, .. } => listener.as_fd(),
            Socket::Tcp { listener, .. } => listener.as_fd(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix { path, identity, .. } = &self.socket {
            let there = std::fs::symlink_metadata(path);
            let there = there.ok().map(|meta| (meta.dev(), meta.ino()));
            if there.is_some() && there == *identity {
                // It may be gone already.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Makes a socket with the mode 0600.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let socket = socket::socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    // Linux gives the path the mode of the socket that is bound to it, less the umask: there is
    // no moment at which others may connect, and no need to change the umask of all threads.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket::bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    socket::listen(&socket, Backlog::new(128)?)?;
    Ok(socket.into())
}

/// Why what is at the path may not be removed; `None` for a socket without a listener.
fn why_not_replaced(path: &Path) -> Option<&'static str> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if !is_socket {
        return Some("is no socket");
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
        Ok(_) => Some("a server listens there"),
        Err(_) => Some("whether a server listens there is unknown"),
    }
}

/// A path as part of a URI's query (RFC 3986): what is not plain is written as `%` and two digits.
fn percent_encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_uri_has_nothing_that_ends_it_early() {
        assert_eq!(percent_encoded(b"/run/a-b_c.sock"), "/run/a-b_c.sock");
        assert_eq!(percent_encoded(b"/a b&c?#%"), "/a%20b%26c%3F%23%25");
        assert_eq!(percent_encoded("ä\u{1b}".as_bytes()), "%C3%A4%1B");
    }
}
