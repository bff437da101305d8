//! Where connections come from: TCP or a unix socket.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::UnixListener;

use crate::config::spec::Listen;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}: {source}; {advice}")]
pub(crate) struct ListenError {
    address: String,
    source: io::Error,
    advice: &'static str,
}

/// An open listening socket.
pub(crate) enum Listener {
    Tcp(TcpListener),
    /// With the path, which is removed at the end.
    Unix(UnixListener, PathBuf),
}

/// One end of a connection, whatever it came over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection's other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Tcp(SocketAddr),
    /// On this machine, with the file's permission.
    Unix,
}

impl Peer {
    /// Its address; whoever comes over a unix socket is on this machine.
    pub(crate) fn address(self) -> IpAddr {
        match self {
            Self::Tcp(address) => address.ip().to_canonical(),
            Self::Unix => Ipv4Addr::LOCALHOST.into(),
        }
    }
}

impl Listener {
    /// Opens the socket. Needs a tokio runtime.
    pub(crate) fn open(listen: &Listen) -> Result<Self, ListenError> {
        match listen {
            Listen::Tcp(address) => tcp(*address).map(Self::Tcp).map_err(|source| ListenError {
                address: address.to_string(),
                advice: advice(&source),
                source,
            }),
            Listen::Unix(path) => unix(path).map(|socket| Self::Unix(socket, path.clone())).map_err(|source| {
                ListenError { address: format!("unix:{}", path.display()), advice: advice(&source), source }
            }),
        }
    }

    /// The address in force, with the port that the kernel chose.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Tcp(socket) => {
                socket.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
            }
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// The next connection. Safe to cancel.
    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Peer::Tcp(peer)))
            }
            Self::Unix(socket, _) => {
                let (stream, _) = socket.accept().await?;
                Ok((Box::new(stream), Peer::Unix))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Somebody may have removed it already; there is nothing left to do about it then.
            drop(std::fs::remove_file(path));
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for connections of the last run to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn unix(path: &PathBuf) -> io::Result<UnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        // Left behind by a process that was killed.
        std::fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "there are forty kinds, and advice for four of them")]
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process has it: end that, or choose another with `--listen`",
        io::ErrorKind::PermissionDenied => "choose a port above 1023, or a folder you may write to",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address: use one of its own, or 0.0.0.0",
        io::ErrorKind::NotFound => "create the folder first",
        _ => "choose another with `--listen`",
    }
}
