//! One source, ready to be called: its request built as far as it can be before the parameters are known.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Uri;
use http::header;

use crate::base::ByteSize;
use crate::base::Name;
use crate::config::spec::AuthSpec;
use crate::config::spec::BodySpec;
use crate::config::spec::ClientSpec;
use crate::config::spec::EndpointSpec;
use crate::config::spec::HttpSpec;
use crate::config::spec::ParamSpec;
use crate::config::spec::Propagate;
use crate::config::spec::Template;
use crate::plan::params::Bound;
use crate::plan::params::ParamError;
use crate::plan::template;
use crate::policy::admission::AdmissionSettings;
use crate::policy::breaker::BreakerSettings;
use crate::policy::fallback::FallbackOn;
use crate::policy::freshness::CacheScope;
use crate::policy::freshness::CacheSettings;
use crate::policy::outcome::Classify;
use crate::policy::retry::Terms;
use crate::policy::strategy::Ring;
use crate::policy::strategy::StrategySettings;
use crate::shape::Shape;
use crate::shape::ShapeError;

/// A source, compiled.
#[derive(Debug)]
pub(crate) struct SourcePlan {
    pub(crate) name: Name,
    /// For people.
    pub(crate) description: Option<String>,
    pub(crate) params: Arc<[ParamSpec]>,
    pub(crate) call: CallPlan,
    pub(crate) shape: Arc<Shape>,
    pub(crate) classify: Classify,
    pub(crate) terms: Terms,
    pub(crate) strategy: StrategySettings,
    /// Its endpoints with their weights.
    pub(crate) ring: Ring,
    /// Whether all endpoints have one circuit.
    pub(crate) one_circuit: bool,
    pub(crate) breaker: Arc<BreakerSettings>,
    pub(crate) admission: AdmissionSettings,
    pub(crate) cache: Option<CacheSettings>,
    pub(crate) fallback: Vec<Fallback>,
    /// The failures that `fallback` is for.
    pub(crate) fallback_on: FallbackOn,
    /// Kept from the budget for fallbacks over the network; less than it.
    pub(crate) fallback_reserve: Duration,
    /// The longest `stale` step of the routes that it is part of.
    pub(crate) stale_in_routes: Duration,
    /// Total budget within one request.
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Option<Duration>,
    /// Whether it is part of `GET /aggregate`.
    pub(crate) aggregate: bool,
    pub(crate) revision: u64,
}

/// How its data is had.
#[derive(Debug)]
pub(crate) enum CallPlan {
    Http(Box<HttpPlan>),
    /// `static:` data, already projected; or why the projection fails.
    Static(Result<Bytes, ShapeError>),
}

/// One step when the call failed.
#[derive(Debug)]
pub(crate) enum Fallback {
    /// A copy at most this long past its ttl.
    Stale(Duration),
    /// The source at this place of the plan.
    Source(usize),
    /// A constant, as JSON.
    Value(Bytes),
}

impl Fallback {
    /// The step's name in answers and metrics.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Stale(_) => "stale",
            Self::Source(_) => "source",
            Self::Value(_) => "value",
        }
    }
}

impl SourcePlan {
    /// How long a flight may take: the budget, less what fallbacks over the network need.
    pub(crate) fn flight_timeout(&self) -> Duration {
        let calls_again = self.fallback.iter().any(|step| matches!(step, Fallback::Source(_)));
        if calls_again { self.timeout.saturating_sub(self.fallback_reserve) } else { self.timeout }
    }

    /// The longest `stale` step, its own or a route's, which decides how long entries are kept.
    pub(crate) fn longest_stale(&self) -> Duration {
        let ages = self.fallback.iter().filter_map(|step| match step {
            Fallback::Stale(max_age) => Some(*max_age),
            Fallback::Source(_) | Fallback::Value(_) => None,
        });
        ages.max().unwrap_or_default().max(self.stale_in_routes)
    }

    /// Client headers whose values shape the answer: those forwarded, and those that the key names.
    pub(crate) fn varies_by(&self) -> impl Iterator<Item = &str> {
        let forwarded = self.forward_headers();
        let keyed = self.cache.iter().flat_map(|cache| cache.key_headers.iter().map(String::as_str));
        forwarded.iter().map(HeaderName::as_str).chain(keyed)
    }

    /// Whether who asks is part of what tells copies apart.
    pub(crate) fn is_scoped(&self) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.scope != CacheScope::Shared)
    }

    /// Client headers passed on.
    pub(crate) fn forward_headers(&self) -> &[HeaderName] {
        match &self.call {
            CallPlan::Http(http) => &http.forward_headers,
            CallPlan::Static(_) => &[],
        }
    }

    /// Whether several endpoints share a circuit.
    pub(crate) fn has_one_circuit(&self) -> bool {
        self.one_circuit && self.terms.endpoints > 1
    }

    /// The names of its endpoints, in their order: `id`, or `scheme://host:port`.
    pub(crate) fn endpoints(&self) -> Vec<&str> {
        match &self.call {
            CallPlan::Http(http) => http.targets.iter().map(|target| target.id.as_str()).collect(),
            CallPlan::Static(_) => vec!["static"],
        }
    }
}

/// A request to an upstream, compiled.
#[derive(Debug)]
pub(crate) struct HttpPlan {
    pub(crate) method: Method,
    /// Where it may be sent: at least one.
    pub(crate) targets: Vec<Target>,
    /// What every call sends: user agent, accept, auth, headers without parameters.
    headers: HeaderMap,
    varying_headers: Vec<(HeaderName, Template)>,
    body: Option<BodySpec>,
    forward_headers: Vec<HeaderName>,
    pub(crate) propagate: Propagate,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Option<Duration>,
    pub(crate) redirects: u32,
    pub(crate) max_response_bytes: ByteSize,
}

/// One of the places that a request may be sent to.
#[derive(Debug)]
pub(crate) struct Target {
    /// The identity of its circuit.
    pub(crate) id: String,
    pub(crate) origin: String,
    /// Its share of the calls.
    pub(crate) weight: u32,
    /// The whole URL, where no parameter is part of it.
    fixed: Option<Uri>,
    path: Template,
    query: Vec<(String, Template)>,
}

/// A request to an upstream, complete.
#[derive(Debug, Clone)]
pub(crate) struct SourceCall {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl HttpPlan {
    /// Compiles the request part of a source.
    pub(crate) fn new(spec: &HttpSpec, client: &ClientSpec, connect: Duration, read: Option<Duration>) -> Self {
        let mut headers = HeaderMap::new();
        let agent = HeaderValue::from_str(&client.user_agent);
        headers.insert(header::USER_AGENT, agent.unwrap_or_else(|_| HeaderValue::from_static("aggd")));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        let mut varying_headers = Vec::new();
        for (name, value) in &spec.headers {
            match template::plain(value, &Bound::none()).map(|text| HeaderValue::from_str(&text)) {
                Some(Ok(text)) if template::is_constant(value) => {
                    set_or_append(&mut headers, name, text, &spec.headers)
                }
                Some(_) | None => varying_headers.push((name.clone(), value.clone())),
            }
        }
        if let Some((name, value)) = spec.auth.as_ref().and_then(authorization) {
            headers.insert(name, value);
        }
        if let Some(kind) = spec.body.as_ref().and_then(content_type) {
            headers.entry(header::CONTENT_TYPE).or_insert(kind);
        }
        Self {
            method: spec.method.clone(),
            targets: spec.endpoints.iter().map(|endpoint| Target::new(endpoint, &spec.query)).collect(),
            headers,
            varying_headers,
            body: spec.body.clone(),
            forward_headers: spec.forward_headers.clone(),
            propagate: spec.propagate,
            connect_timeout: connect,
            read_timeout: read,
            redirects: spec.redirects,
            max_response_bytes: spec.max_response_bytes,
        }
    }

    /// Whether these parameters make a request at all: path and headers take not every value.
    pub(crate) fn check(&self, bound: &Bound) -> Result<(), ParamError> {
        for target in self.targets.iter().filter(|target| target.fixed.is_none()) {
            template::path(&target.path, bound)?;
        }
        for (name, value) in &self.varying_headers {
            self.header(name, value, bound)?;
        }
        Ok(())
    }

    fn header(&self, name: &HeaderName, value: &Template, bound: &Bound) -> Result<Option<HeaderValue>, ParamError> {
        let text = template::plain(value, bound).map(|text| HeaderValue::from_str(&text)).transpose();
        let parameter = template::parameters(value).next().unwrap_or(name.as_str());
        text.map_err(|_| {
            ParamError::new(parameter, format!("it stands in the header `{name}`, which takes visible ASCII only"))
        })
    }

    /// The request to one of the targets, for these parameters and this client's headers.
    pub(crate) fn call(&self, target: &Target, bound: &Bound, client: &HeaderMap) -> Result<SourceCall, ParamError> {
        let mut headers = self.headers.clone();
        for (name, value) in &self.varying_headers {
            if let Some(text) = self.header(name, value, bound)? {
                headers.append(name.clone(), text);
            }
        }
        for name in &self.forward_headers {
            headers.remove(name);
            for value in client.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Ok(SourceCall { method: self.method.clone(), uri: target.uri(bound)?, headers, body: self.body(bound) })
    }

    fn body(&self, bound: &Bound) -> Bytes {
        match &self.body {
            None => Bytes::new(),
            Some(BodySpec::Text { text, .. }) => template::plain(text, bound).unwrap_or_default().into(),
            Some(BodySpec::Json(tree)) => {
                let mut out = String::new();
                template::body(tree, bound, &mut out);
                out.into()
            }
        }
    }
}

impl Target {
    /// The URL with the source's own `query` behind it.
    fn new(spec: &EndpointSpec, query: &[(String, Template)]) -> Self {
        let query: Vec<_> = spec.url.query.iter().chain(query).cloned().collect();
        let constant =
            template::is_constant(&spec.url.path) && query.iter().all(|(_, value)| template::is_constant(value));
        let (id, origin) = (spec.id.clone(), spec.url.origin.clone());
        let mut target = Self { id, origin, weight: spec.weight, fixed: None, path: spec.url.path.clone(), query };
        if constant {
            target.fixed = target.uri(&Bound::none()).ok();
        }
        target
    }

    fn uri(&self, bound: &Bound) -> Result<Uri, ParamError> {
        if let Some(uri) = &self.fixed {
            return Ok(uri.clone());
        }
        let mut text = self.origin.clone();
        text.push_str(&template::path(&self.path, bound)?);
        let query = template::query(&self.query, bound);
        if !query.is_empty() {
            text.push('?');
            text.push_str(&query);
        }
        Uri::try_from(text).map_err(|_| ParamError::new("*", "the parameters make a URL that is too long"))
    }
}

/// The first value of a configured name replaces what we send by default; a list's further values are added.
fn set_or_append(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue, all: &[(HeaderName, Template)]) {
    if all.iter().filter(|(other, _)| other == name).count() > 1
        && *name != header::USER_AGENT
        && *name != header::ACCEPT
    {
        headers.append(name.clone(), value);
    } else {
        headers.insert(name.clone(), value);
    }
}

fn content_type(body: &BodySpec) -> Option<HeaderValue> {
    match body {
        BodySpec::Json(_) => Some(HeaderValue::from_static("application/json")),
        BodySpec::Text { content_type, .. } => HeaderValue::from_str(content_type).ok(),
    }
}

fn authorization(auth: &AuthSpec) -> Option<(HeaderName, HeaderValue)> {
    let (name, text) = match auth {
        AuthSpec::Bearer(token) => (header::AUTHORIZATION, format!("Bearer {}", token.expose())),
        AuthSpec::Basic { user, password } => {
            let pair = base64(format!("{user}:{}", password.expose()).as_bytes());
            (header::AUTHORIZATION, format!("Basic {pair}"))
        }
        AuthSpec::Header { name, value } => (name.clone(), value.expose().to_owned()),
    };
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
