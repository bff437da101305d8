//! Names to addresses, by the system's resolver, less the addresses that may not be called.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use hyper_util::client::legacy::connect::dns::Name;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::outbound::guard::Denied;
use crate::outbound::guard::Guard;

/// Look-ups at once. A look-up holds a thread until the system gives up, long after its caller did: without a bound a
/// dead name server would eat the threads that files and databases need.
const LOOKUPS: usize = 64;

/// Resolves and filters. Cheap to clone; clones share their bound.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    lookups: Arc<Semaphore>,
    /// `None` when a proxy is in use: then only the proxy's name comes here, which the operator chose.
    guard: Option<Arc<Guard>>,
}

/// Why a name gave no address.
#[derive(Debug, Error)]
pub(crate) enum ResolveError {
    /// The system did not resolve it.
    #[error("the name was not resolved")]
    Lookup(#[source] io::Error),
    /// Each of its addresses is denied; the first one's reason.
    #[error("the name leads to denied addresses only")]
    Denied(#[source] Denied),
}

impl Resolver {
    /// A resolver that gives only what the guard allows.
    pub(crate) fn new(guard: Option<Arc<Guard>>) -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS)), guard }
    }

    /// The addresses of a host, port 0. Safe to cancel, though the system's look-up runs to its end.
    async fn resolve(self, host: String) -> Result<Vec<SocketAddr>, ResolveError> {
        let permit = self.lookups.acquire_owned().await.map_err(lookup_failed)?;
        let lookup = tokio::task::spawn_blocking(move || {
            // The permit goes when the thread does, not when the caller does.
            let _permit = permit;
            (host.as_str(), 0).to_socket_addrs().map(Vec::from_iter)
        });
        let found = lookup.await.map_err(lookup_failed)?.map_err(ResolveError::Lookup)?;
        match self.guard {
            Some(guard) => allowed(&guard, found),
            None => Ok(found),
        }
    }
}

fn lookup_failed(cause: impl std::error::Error + Send + Sync + 'static) -> ResolveError {
    ResolveError::Lookup(io::Error::other(cause))
}

/// The addresses that may be called; an error if there were some and none may.
fn allowed(guard: &Guard, mut found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ResolveError> {
    let mut denied = None;
    found.retain(|address| match guard.check(address.ip()) {
        Ok(()) => true,
        Err(why) => {
            denied.get_or_insert(why);
            false
        }
    });
    match denied {
        Some(why) if found.is_empty() => Err(ResolveError::Denied(why)),
        Some(_) | None => Ok(found),
    }
}

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let lookup = self.clone().resolve(name.as_str().to_owned());
        Box::pin(async move { Ok(lookup.await?.into_iter()) })
    }
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let lookup = Self::resolve(self.clone(), name.as_str().to_owned());
        Box::pin(async move {
            let addresses: reqwest::dns::Addrs = Box::new(lookup.await?.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::outbound::tests::client_spec;

    #[test]
    fn a_name_keeps_the_addresses_that_may_be_called() {
        let guard = Guard::new(&client_spec());
        let parse = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let mixed = vec![parse("169.254.169.254"), parse("192.0.2.1"), parse("fe80::1")];
        assert_eq!(allowed(&guard, mixed).unwrap(), [parse("192.0.2.1")]);
        assert!(allowed(&guard, Vec::new()).unwrap().is_empty());
        let all_denied = allowed(&guard, vec![parse("fe80::1"), parse("0.0.0.0")]);
        assert!(matches!(all_denied, Err(ResolveError::Denied(Denied::LinkLocal))));
    }

    #[tokio::test]
    async fn an_odd_spelling_of_an_address_is_resolved_and_so_checked() {
        let mut spec = client_spec();
        spec.allow_private_networks = false;
        let resolver = Resolver::new(Some(Arc::new(Guard::new(&spec))));
        for odd in ["2130706433", "0x7f.1", "localhost"] {
            let refused = resolver.clone().resolve(odd.to_owned()).await;
            assert!(matches!(refused, Err(ResolveError::Denied(Denied::Private))), "{odd}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn look_ups_are_bounded() {
        let resolver = Resolver::new(None);
        let taken = resolver.lookups.clone().acquire_many_owned(u32::try_from(LOOKUPS).unwrap()).await.unwrap();
        let mut waiting = std::pin::pin!(resolver.clone().resolve("localhost".to_owned()));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(taken);
        assert!(!waiting.await.unwrap().is_empty());
    }
}
