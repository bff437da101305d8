//! New connections of the direct transport: guarded, and within `connect_timeout`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::outbound::guard::Denied;
use crate::outbound::guard::Guard;
use crate::outbound::resolve::Resolver;

/// Opens TCP connections. One `Arc`, because hyper clones it on every call, needed or not.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Inner>);

struct Inner {
    http: HttpConnector<Resolver>,
    guard: Arc<Guard>,
    connect_timeout: Duration,
}

/// What the connector itself can say about a failure.
#[derive(Debug, Error)]
pub(crate) enum ConnectFault {
    /// The host is an address that is not called.
    #[error("the host is a denied address")]
    Denied(#[source] Denied),
    /// Resolving and connecting took longer than `connect_timeout`.
    #[error("no connection in time")]
    TimedOut,
    /// The system's answer, or the resolver's.
    #[error("no connection")]
    Tcp(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Connector {
    /// A connector for `http://` origins.
    pub(crate) fn new(resolver: Resolver, guard: Arc<Guard>, connect_timeout: Duration) -> Self {
        let mut http = HttpConnector::new_with_resolver(resolver);
        http.set_nodelay(true);
        // Shared out among a name's addresses, so that a dead first one leaves time for the next.
        http.set_connect_timeout(Some(connect_timeout));
        Self(Arc::new(Inner { http, guard, connect_timeout }))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectFault;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The inner connector is always ready: its resolver is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            // The inner connector asks no resolver about hosts that are addresses.
            inner.guard.check_host(destination.host().unwrap_or_default()).map_err(ConnectFault::Denied)?;
            let connecting = inner.http.clone().call(destination);
            match tokio::time::timeout(inner.connect_timeout, connecting).await {
                Ok(connected) => connected.map_err(|cause| ConnectFault::Tcp(Box::new(cause))),
                Err(_elapsed) => Err(ConnectFault::TimedOut),
            }
        })
    }
}
