//! How a call fails without an answer, and whose fault that is: what the libraries report, sorted into kinds.
//!
//! | what happened | kind |
//! |---|---|
//! | bad URL, denied address, certificate rejected, TLS cannot be set up | `config_error` |
//! | name not resolved, refused, unreachable, TLS handshake, closed before anything was sent | `connect_error` |
//! | no connection within `connect_timeout` | `connect_timeout` |
//! | no file descriptor left | `local_limit`: says nothing about the upstream |
//! | closed or reset after bytes were sent, before a head | `reset` |
//! | a head that is not HTTP, a body cut short, a corrupt encoding | `body_error`: it answered, unreadably |
//! | an encoding nobody asked for | `decode_error`: asking again gives the same |
//! | a body or a head larger than allowed | `response_too_large` |
//! | `read_timeout` | `attempt_timeout` |
//! | more redirects than allowed, or to another scheme | `redirect` |
//!
//! Messages hold no URL, address, header or body: clients may read them, and a URL may be secret.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::client::legacy;
use thiserror::Error;

use crate::base::ByteSize;
use crate::base::Pretty;
use crate::outbound::connect::ConnectFault;
use crate::outbound::guard::Denied;
use crate::outbound::resolve::ResolveError;
use crate::policy::outcome::Kind;

/// Settings that no client can be made from.
#[derive(Clone, Debug, Error)]
pub(crate) enum ClientError {
    /// Not a header value.
    #[error("`client.user_agent` cannot be sent as a header")]
    UserAgent,
    /// Not a URL of a proxy. The URL may hold a password.
    #[error("`client.proxy` is not an http:// or https:// URL with a host")]
    Proxy,
    /// No certificate in it.
    #[error("`client.ca`: {} holds no usable PEM certificate", .0.display())]
    Ca(PathBuf),
    /// The TLS library's reason.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// A call that brought no answer.
#[derive(Clone, Debug, Error)]
pub(crate) enum CallError {
    /// A URL that cannot be called: `http://` and `https://` with a host only.
    #[error("the URL is not an http:// or https:// URL with a host")]
    Url,
    /// An address that is not called.
    #[error(transparent)]
    Denied(Denied),
    /// TLS or the proxy cannot be set up.
    #[error(transparent)]
    Client(ClientError),
    /// The upstream's certificate is not believed.
    #[error("the certificate was rejected: {0}")]
    Certificate(&'static str),
    /// No connection.
    #[error("no connection: {0}")]
    Connect(&'static str),
    /// No connection in time.
    #[error("no connection within `connect_timeout` ({})", Pretty(*.timeout))]
    ConnectTimeout {
        /// The limit.
        timeout: Duration,
    },
    /// We have no sockets left.
    #[error("no file descriptor left; raise the limit of open files")]
    OutOfSockets,
    /// The connection ended before a response head, after bytes were sent.
    #[error("the connection was closed before an answer")]
    Reset,
    /// Not a response head.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// A response head that would not end.
    #[error("the head of the answer is too large")]
    HeadTooLarge,
    /// The connection ended, or broke its framing, within the body.
    #[error("the body was cut short")]
    BodyCutShort,
    /// The body does not decompress.
    #[error("the body's compression is corrupt or cut short")]
    Corrupt,
    /// A coding we did not ask for.
    #[error("the body has a `Content-Encoding` that was not asked for")]
    Encoding,
    /// Too much of it.
    #[error("the body is larger than `max_response_bytes` ({max})")]
    TooLarge {
        /// The limit.
        max: ByteSize,
    },
    /// Too long a silence within the body.
    #[error("no data within `read_timeout` ({})", Pretty(*.gap))]
    ReadTimeout {
        /// The limit.
        gap: Duration,
    },
    /// More redirects than `redirects`.
    #[error("more than {limit} redirects")]
    TooManyRedirects {
        /// The limit.
        limit: u32,
    },
    /// A redirect that is not followed.
    #[error("redirected {0}, which is not followed")]
    RedirectTo(&'static str),
}

impl CallError {
    /// What policies make of it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Url | Self::Denied(_) | Self::Client(_) | Self::Certificate(_) => Kind::ConfigError,
            Self::Connect(_) => Kind::ConnectError,
            Self::ConnectTimeout { .. } => Kind::ConnectTimeout,
            Self::OutOfSockets => Kind::LocalLimit,
            Self::Reset => Kind::Reset,
            Self::NotHttp | Self::BodyCutShort | Self::Corrupt => Kind::BodyError,
            Self::Encoding => Kind::DecodeError,
            Self::HeadTooLarge | Self::TooLarge { .. } => Kind::ResponseTooLarge,
            Self::ReadTimeout { .. } => Kind::AttemptTimeout,
            Self::TooManyRedirects { .. } | Self::RedirectTo(_) => Kind::Redirect,
        }
    }

    /// From the direct transport.
    pub(crate) fn of_direct(error: &legacy::Error, connect_timeout: Duration) -> Self {
        if error.is_connect() { Self::connecting(error, connect_timeout) } else { Self::exchanging(error) }
    }

    /// From reqwest, which has no timer of its own but `connect_timeout`.
    pub(crate) fn of_reqwest(error: &reqwest::Error, connect_timeout: Duration) -> Self {
        if error.is_builder() {
            Self::Url
        } else if !error.is_connect() {
            Self::exchanging(error)
        } else if error.is_timeout() {
            Self::ConnectTimeout { timeout: connect_timeout }
        } else {
            Self::connecting(error, connect_timeout)
        }
    }

    /// Whether the server says itself that it did nothing about the request: it refused the stream, or was about to close
    /// the connection when the request came. Asking once more asks for the first time.
    pub(crate) fn is_untouched(error: &reqwest::Error) -> bool {
        causes(error).find_map(|cause| cause.downcast_ref::<h2::Error>()).is_some_and(|error| {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            let leaving = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            error.is_remote() && (refused || leaving)
        })
    }

    /// Nothing was sent yet: the innermost cause that is known decides.
    fn connecting(error: &(dyn Error + 'static), connect_timeout: Duration) -> Self {
        let mut found = Self::Connect("the connection failed");
        for cause in causes(error) {
            if let Some(denied) = cause.downcast_ref::<Denied>() {
                return Self::Denied(*denied);
            }
            if let Some(ConnectFault::TimedOut) = cause.downcast_ref() {
                return Self::ConnectTimeout { timeout: connect_timeout };
            }
            if let Some(ResolveError::Lookup(_)) = cause.downcast_ref() {
                return Self::Connect("the name was not resolved");
            }
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return of_tls(tls);
            }
            if let Some(io) = cause.downcast_ref::<io::Error>() {
                found = of_io(io, connect_timeout);
            }
        }
        found
    }

    /// The request may have been sent.
    fn exchanging(error: &(dyn Error + 'static)) -> Self {
        let hyper = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
        match hyper {
            // Handed back unwritten: the one case where it is certain that nothing was sent.
            Some(hyper) if hyper.is_canceled() => Self::Connect("closed before the request was sent"),
            Some(hyper) if hyper.is_parse_too_large() => Self::HeadTooLarge,
            Some(hyper) if hyper.is_parse() => Self::NotHttp,
            Some(_) | None => Self::Reset,
        }
    }
}

impl ClientError {
    /// The innermost cause: the outer ones only say that building failed.
    pub(crate) fn tls(error: &(dyn Error + 'static)) -> Self {
        Self::Tls(causes(error).last().unwrap_or(error).to_string())
    }
}

/// An error and its causes. Looks into I/O errors, whose `source` skips the error they wrap.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
}

fn of_io(error: &io::Error, connect_timeout: Duration) -> CallError {
    /// `EMFILE` and `ENFILE`, which the standard library has no name for; the same on every Unix.
    const NO_DESCRIPTORS: [i32; 2] = [24, 23];

    if error.raw_os_error().is_some_and(|code| NO_DESCRIPTORS.contains(&code)) {
        return CallError::OutOfSockets;
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows; the rest says no more than this")]
    match error.kind() {
        io::ErrorKind::TimedOut => CallError::ConnectTimeout { timeout: connect_timeout },
        io::ErrorKind::ConnectionRefused => CallError::Connect("refused"),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::NotConnected => {
            CallError::Connect("unreachable")
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            CallError::Connect("closed during the handshake")
        }
        _ => CallError::Connect("the connection failed"),
    }
}

fn of_tls(error: &rustls::Error) -> CallError {
    use rustls::CertificateError as Bad;

    let rustls::Error::InvalidCertificate(bad) = error else {
        return CallError::Connect("the TLS handshake failed");
    };
    // The library's own words name hosts.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows; the rest says no more than this")]
    CallError::Certificate(match bad {
        Bad::Expired | Bad::ExpiredContext { .. } => "it has expired",
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => "it is not valid yet",
        Bad::UnknownIssuer => "its issuer is unknown; `client.ca` adds one",
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => "it is for another name",
        Bad::Revoked => "it was revoked",
        _ => "it is not valid",
    })
}
