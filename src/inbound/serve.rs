//! Connections: accepted up to a bound, spoken to in HTTP/1.1 or HTTP/2, ended gently.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::watch;

use crate::inbound::control;
use crate::inbound::listen::Listener;
use crate::inbound::respond::Service;
use crate::inbound::server::Server;

/// A client must send a request's head within this; it is also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest head of an HTTP/1.1 request.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// Streams that a client reset and that are not yet gone: more ends the connection (rapid reset).
const MAX_RESETS: usize = 32;
/// After a failed accept (no file descriptors left) new ones are not tried for this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plane {
    /// Everything, or the data plane alone where `admin.listen` is set.
    Main,
    /// The control plane alone.
    Admin,
}

/// Serves a listener until `stop` says true; then lets requests under way finish, at most for `grace`.
pub(crate) async fn serve(
    server: Arc<Server>,
    listener: Listener,
    plane: Plane,
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) {
    let control = control::router(&server);
    let graceful = GracefulShutdown::new();
    let builder = builder();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(open) = Open::count(&server.connections, server.max_connections) else {
            // Over the bound a connection is closed at once: a client that is told nothing tries elsewhere.
            server.shared.metrics.server.connection_rejected();
            continue;
        };
        let service = Service { server: Arc::clone(&server), control: control.clone(), plane, peer };
        // Boxed, so that a connection between two requests keeps a pointer and not the room for an answer.
        let service = hyper::service::service_fn(move |request| Box::pin(service.clone().answer_encoded(request)));
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        // A combinator rather than a block, which would hold the connection twice, for all the time that it idles.
        drop(server.shared.tasks.spawn(connection.map(move |end| {
            drop(open);
            if let Err(error) = end {
                tracing::debug!(%error, "connection ended");
            }
        })));
    }
    drop(listener);
    if tokio::time::timeout(grace, pin!(graceful.shutdown())).await.is_err() {
        tracing::warn!(grace_s = grace.as_secs(), "requests under way were cut off at shutdown");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT);
    builder
}

/// Counts one open connection.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn count(connections: &Arc<AtomicUsize>, bound: usize) -> Option<Self> {
        let open = Self(Arc::clone(connections));
        (connections.fetch_add(1, Ordering::AcqRel) < bound).then_some(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
