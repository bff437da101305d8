//! The clients of one configuration: what is built once, and shared by every source with the same needs.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::header::ACCEPT_ENCODING;
use http::header::USER_AGENT;
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioTimer;

use crate::base::Name;
use crate::base::Secret;
use crate::config::spec::ClientSpec;
use crate::outbound::connect::Connector;
use crate::outbound::decompress::ACCEPTED;
use crate::outbound::error::ClientError;
use crate::outbound::guard::Guard;
use crate::outbound::resolve::Resolver;
use crate::outbound::script::Line;
use crate::outbound::script::Network;

/// Response heads of HTTP/2 are bounded to this; those of HTTP/1.1 by hyper to about 400 KiB and 100 headers.
const MAX_HEADER_LIST: u32 = 64 * 1024;

/// Every transport of one `client:` block. Kept across a reload that leaves the block alone, and its idle connections
/// with it.
pub(crate) struct Clients {
    recipe: Arc<Recipe>,
    /// One client per distinct connect timeout. Weak: a profile that no plan uses any more goes with its pool.
    profiles: Mutex<HashMap<Duration, Weak<Client>>>,
    /// In place of the network; then each source has a client of its own.
    network: Option<Arc<dyn Network>>,
}

/// One profile: a pool of connections for each transport.
pub(crate) struct Client {
    pub(crate) recipe: Arc<Recipe>,
    pub(crate) connect_timeout: Duration,
    pub(crate) direct: legacy::Client<Connector, Full<Bytes>>,
    /// Built when first needed: it reads the system's certificates, which an `http://`-only configuration does without.
    reqwest: OnceLock<Result<reqwest::Client, ClientError>>,
    /// In place of both.
    pub(crate) line: Option<Line>,
}

/// What all profiles share, checked.
pub(crate) struct Recipe {
    spec: ClientSpec,
    pub(crate) guard: Arc<Guard>,
    /// Sent where the call has none of its own.
    pub(crate) headers: HeaderMap,
    resolver: Resolver,
    pub(crate) proxy: Option<reqwest::Proxy>,
    roots: Vec<reqwest::Certificate>,
}

impl Clients {
    /// Checks the settings and makes what all clients share. Needs no runtime. `network` takes the place of sockets.
    ///
    /// # Errors
    ///
    /// A `user_agent` that is no header value, a `proxy` that is no `http(s)://` URL, a `ca` without a certificate.
    pub(crate) fn new(spec: &ClientSpec, network: Option<Arc<dyn Network>>) -> Result<Self, ClientError> {
        let proxy = spec.proxy.as_ref().map(proxy).transpose()?;
        let guard = Arc::new(Guard::new(spec));
        // Behind a proxy the only name resolved here is the proxy's own.
        let resolver = Resolver::new(proxy.is_none().then(|| Arc::clone(&guard)));
        let recipe =
            Recipe { headers: headers(spec)?, roots: roots(spec)?, spec: spec.clone(), guard, resolver, proxy };
        Ok(Self { recipe: Arc::new(recipe), profiles: Mutex::default(), network })
    }

    /// Whether these clients are what `spec` asks for, so that a reload can keep them.
    pub(crate) fn serves(&self, spec: &ClientSpec) -> bool {
        self.recipe.spec == *spec
    }

    /// The client for a source with this `connect_timeout`; the same one for equal timeouts.
    pub(crate) fn for_source(&self, source: &Name, connect_timeout: Duration) -> Arc<Client> {
        if let Some(network) = &self.network {
            let line = Line { network: Arc::clone(network), source: source.clone() };
            return Arc::new(Client::new(Arc::clone(&self.recipe), connect_timeout, Some(line)));
        }
        let mut profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = profiles.get(&connect_timeout).and_then(Weak::upgrade) {
            return client;
        }
        profiles.retain(|_, client| client.strong_count() > 0);
        let client = Arc::new(Client::new(Arc::clone(&self.recipe), connect_timeout, None));
        profiles.insert(connect_timeout, Arc::downgrade(&client));
        client
    }
}

impl Client {
    fn new(recipe: Arc<Recipe>, connect_timeout: Duration, line: Option<Line>) -> Self {
        let connector = Connector::new(recipe.resolver.clone(), Arc::clone(&recipe.guard), connect_timeout);
        let direct = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(recipe.spec.pool_idle_timeout)
            .pool_max_idle_per_host(max_idle(&recipe.spec))
            // Closes idle connections when their time is up; without it they wait for the next call.
            .pool_timer(TokioTimer::new())
            // Sends again only what hyper hands back unwritten, because the pooled connection it was meant for had
            // closed: the transparent retry, never of a request that bytes of were sent. It ends with a fresh
            // connection at the latest.
            .retry_canceled_requests(true)
            .build(connector);
        Self { recipe, connect_timeout, direct, reqwest: OnceLock::new(), line }
    }

    /// The transport for TLS and proxies.
    pub(crate) fn reqwest(&self) -> Result<&reqwest::Client, ClientError> {
        let built = self.reqwest.get_or_init(|| self.recipe.build_reqwest(self.connect_timeout));
        built.as_ref().map_err(Clone::clone)
    }

    /// Builds what `https://` and proxies need, so that the first call does not wait for it (some ten milliseconds)
    /// and a missing certificate store shows while loading. Blocks: not for the request path.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up; every such call would fail with `config_error`.
    pub(crate) fn prepare_tls(&self) -> Result<(), ClientError> {
        if self.line.is_some() {
            return Ok(());
        }
        self.reqwest().map(|_| ())
    }
}

impl Recipe {
    fn build_reqwest(&self, connect_timeout: Duration) -> Result<reqwest::Client, ClientError> {
        let mut builder = reqwest::Client::builder()
            // Retries and redirects are ours, or nobody would count them.
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .dns_resolver(self.resolver.clone())
            .connect_timeout(connect_timeout)
            .tcp_nodelay(true)
            .pool_idle_timeout(self.spec.pool_idle_timeout)
            .pool_max_idle_per_host(max_idle(&self.spec))
            .http2_max_header_list_size(MAX_HEADER_LIST)
            .tls_certs_merge(self.roots.iter().cloned());
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        builder.build().map_err(|error| ClientError::tls(&error))
    }
}

fn max_idle(spec: &ClientSpec) -> usize {
    usize::try_from(spec.pool_max_idle_per_host).unwrap_or(usize::MAX)
}

fn headers(spec: &ClientSpec) -> Result<HeaderMap, ClientError> {
    let user_agent = HeaderValue::from_str(&spec.user_agent).map_err(|_| ClientError::UserAgent)?;
    Ok(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED)), (USER_AGENT, user_agent)]))
}

fn proxy(url: &Secret) -> Result<reqwest::Proxy, ClientError> {
    let parsed = url::Url::parse(url.expose()).map_err(|_| ClientError::Proxy)?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(ClientError::Proxy);
    }
    reqwest::Proxy::all(parsed).map_err(|_| ClientError::Proxy)
}

fn roots(spec: &ClientSpec) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let Some(pem) = &spec.ca else { return Ok(Vec::new()) };
    match reqwest::Certificate::from_pem_bundle(&pem.content) {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        Ok(_) | Err(_) => Err(ClientError::Ca(pem.path.clone())),
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("spec", &self.recipe.spec).finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("connect_timeout", &self.connect_timeout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::config::spec::Pem;
    use crate::outbound::tests::client_spec;

    #[test]
    fn sources_with_equal_timeouts_share_a_client() {
        let clients = Clients::new(&client_spec(), None).unwrap();
        let name = Name::parse("a").unwrap();
        let (one, two) = (Duration::from_secs(1), Duration::from_secs(2));
        let first = clients.for_source(&name, one);
        assert!(Arc::ptr_eq(&first, &clients.for_source(&name, one)));
        assert!(!Arc::ptr_eq(&first, &clients.for_source(&name, two)));
        drop(first);
        drop(clients.for_source(&name, two));
        assert_eq!(clients.profiles.lock().unwrap().len(), 1, "profiles without a user go");
    }

    #[test]
    fn clients_serve_the_spec_they_were_made_from_and_no_other() {
        let mut spec = client_spec();
        let clients = Clients::new(&spec, None).unwrap();
        assert!(clients.serves(&spec));
        spec.allow_private_networks = false;
        assert!(!clients.serves(&spec));
    }

    #[test]
    fn settings_that_cannot_work_are_refused_without_showing_them() {
        let with = |change: &dyn Fn(&mut ClientSpec)| {
            let mut spec = client_spec();
            change(&mut spec);
            Clients::new(&spec, None).unwrap_err().to_string()
        };
        assert!(with(&|spec| spec.user_agent = "a\nb".to_owned()).contains("user_agent"));
        for bad in ["ftp://user:hunter2@proxy", "hunter2", "socks5://user:hunter2@proxy:1"] {
            let text = with(&|spec| spec.proxy = Some(Secret::new(bad)));
            assert!(text.contains("client.proxy") && !text.contains("hunter2"), "{text}");
        }
        for bad in ["", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            let text = with(&|spec| spec.ca = Some(Pem { path: "ca.pem".into(), content: bad.into() }));
            assert!(text.contains("ca.pem"), "{text}");
        }
    }
}
