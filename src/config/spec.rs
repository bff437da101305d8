//! The settings: what a configuration means, with every default filled in and every reference checked.
//!
//! No `Option` stands for a defaulted value, no text is left to parse, and nothing here knows YAML. `plan` compiles it.

pub(crate) use crate::config::call_spec::AuthSpec;
pub(crate) use crate::config::call_spec::BodySpec;
pub(crate) use crate::config::call_spec::BodyTree;
pub(crate) use crate::config::call_spec::EndpointSpec;
pub(crate) use crate::config::call_spec::HttpSpec;
pub(crate) use crate::config::call_spec::Piece;
pub(crate) use crate::config::call_spec::Propagate;
pub(crate) use crate::config::call_spec::Template;
pub(crate) use crate::config::call_spec::UrlTemplate;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::Method;
use http::StatusCode;
use regex::Regex;

use crate::base::ByteSize;
use crate::base::Name;
use crate::base::Secret;
use crate::config::selftest::TestSpec;
use crate::policy::admission::AdmissionSettings;
use crate::policy::breaker::BreakerSettings;
use crate::policy::events::EventSettings;
use crate::policy::fallback::FallbackSettings;
use crate::policy::fallback::RouteFallbackSpec;
use crate::policy::freshness::CacheSettings;
use crate::policy::keys::AccessSettings;
use crate::policy::keys::Wanted;
use crate::policy::limiter::LimiterSettings;
use crate::policy::outcome::Classify;
use crate::policy::priority::Priority;
use crate::policy::quota::LimitSettings;
use crate::policy::retry::RetrySettings;
use crate::policy::shedding::Floors;
use crate::policy::shedding::SheddingSettings;
use crate::policy::strategy::StrategySettings;
use crate::policy::watermark::BackgroundSettings;
use crate::shape::Path;
use crate::shape::Projection;
use crate::shape::Shape;

/// A whole configuration.
#[derive(Debug)]
pub(crate) struct Spec {
    /// `aggd.yaml`.
    pub(crate) server: ServerSpec,
    /// The sources, in configuration order.
    pub(crate) sources: Vec<SourceSpec>,
    /// The routes, in configuration order.
    pub(crate) routes: Vec<RouteSpec>,
    /// The tests of all that. No part of the digest: they change nothing that is served.
    pub(crate) tests: Vec<TestSpec>,
    /// SHA-256 over the effective text of every file, in hexadecimal: two equal digests are one configuration.
    pub(crate) digest: String,
    /// The configuration in force, as `/admin/config` shows it: defaults merged in, secrets as `***`. A JSON object
    /// `{"server": {…}, "sources": [{…}], "routes": [{…}]}` whose keys are those of the YAML files.
    pub(crate) rendered: Arc<str>,
}

/// `aggd.yaml`.
#[derive(Debug, Clone)]
pub(crate) struct ServerSpec {
    pub(crate) listen: Listen,
    pub(crate) admin_listen: Option<Listen>,
    pub(crate) admin_token: Option<Secret>,
    pub(crate) database: Database,
    pub(crate) limits: Limits,
    pub(crate) deadline: DeadlineSpec,
    /// The header in which clients say how important a request is; `None`: `off`.
    pub(crate) priority_header: Option<HeaderName>,
    /// Who may ask; `None`: everybody.
    pub(crate) auth: Option<AccessSettings>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Limits of clients, in the order written.
    pub(crate) rate_limits: Vec<Arc<LimitSettings>>,
    /// `None`: `off`.
    pub(crate) load_shedding: Option<SheddingSettings>,
    pub(crate) background: BackgroundSettings,
    pub(crate) cache: StoreLimits,
    pub(crate) client: ClientSpec,
    pub(crate) reload: ReloadSpec,
    pub(crate) events: EventSettings,
    pub(crate) telemetry: TelemetrySpec,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// `127.0.0.1:8080`
    Tcp(SocketAddr),
    /// `unix:/path`
    Unix(PathBuf),
}

/// `database:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// `off`: no audit log.
    Off,
    /// `sqlite://PATH`: the file, relative paths resolved against the folder of `aggd.yaml` (or the working directory
    /// where there is no `aggd.yaml`).
    Sqlite(PathBuf),
    /// `postgres://…`: the URL as written; it may hold a password.
    Postgres(Secret),
}

/// `limits:`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Outbound calls in flight over all sources. At least 1.
    pub(crate) concurrency: u32,
    /// Callers waiting for one of those.
    pub(crate) max_waiting: u32,
    pub(crate) max_request_bytes: ByteSize,
    pub(crate) max_connections: u32,
}

/// `deadline:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadlineSpec {
    /// The header in which clients say how long they wait; `None`: `off`.
    pub(crate) header: Option<HeaderName>,
    /// The most that a request may take, whatever the client says.
    pub(crate) max: Duration,
    /// A client that waits no longer than this is refused at once.
    pub(crate) low_timeout_threshold: Duration,
    /// Kept back to assemble and write the answer.
    pub(crate) response_reserve: Duration,
}

/// `cache:` of `aggd.yaml`: the bounds of the in-memory store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreLimits {
    pub(crate) max_bytes: ByteSize,
    pub(crate) max_entries: u64,
}

/// `client:`, the shared HTTP client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientSpec {
    /// Sent as `User-Agent`.
    pub(crate) user_agent: String,
    /// The default of every source's `connect_timeout`.
    pub(crate) connect_timeout: Duration,
    pub(crate) pool_idle_timeout: Duration,
    pub(crate) pool_max_idle_per_host: u32,
    /// An `http://` or `https://` proxy for every call; its URL may hold a password.
    pub(crate) proxy: Option<Secret>,
    /// PEM certificates trusted besides the system's: the file and what it held when it was read.
    pub(crate) ca: Option<Pem>,
    /// Whether addresses of private networks and loopback may be called.
    pub(crate) allow_private_networks: bool,
    /// Networks never called, besides link-local and metadata addresses.
    pub(crate) deny_networks: Vec<Network>,
}

/// A PEM file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pem {
    pub(crate) path: PathBuf,
    pub(crate) content: Vec<u8>,
}

/// A network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: std::net::IpAddr,
    /// 0 to 32, or to 128.
    pub(crate) prefix: u8,
}

/// `reload:`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReloadSpec {
    /// Whether the operating system is asked to tell of changes.
    pub(crate) watch: bool,
    /// How often the files are read to see changes that it does not tell; `None`: `off`.
    pub(crate) poll: Option<Duration>,
    /// How long the files must be quiet before they are loaded.
    pub(crate) debounce: Duration,
    pub(crate) on_invalid: OnInvalid,
}

/// `on_invalid:`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnInvalid {
    /// One finding refuses the whole new configuration.
    Reject,
    /// A broken document keeps its last good version; the rest is applied.
    Quarantine,
}

/// `telemetry:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TelemetrySpec {
    pub(crate) logs: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a tracing filter such as `info,aggd=debug`.
    pub(crate) level: String,
}

/// `telemetry.logs`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A `source:` document.
#[derive(Debug)]
pub(crate) struct SourceSpec {
    pub(crate) name: Name,
    pub(crate) description: Option<String>,
    pub(crate) upstream: Upstream,
    /// In the order written.
    pub(crate) params: Vec<ParamSpec>,
    /// `format`, `success_when`, `project`, `omit`, compiled.
    pub(crate) shape: Shape,
    pub(crate) classify: Classify,
    pub(crate) policies: PolicySpec,
    /// Whether it is part of `GET /aggregate`. Never with a required parameter.
    pub(crate) aggregate: bool,
    /// A hash of everything that changes what its answers mean (request, decode, shape): two configurations with equal
    /// revisions may share cache entries.
    pub(crate) revision: u64,
}

/// Where a source's data comes from.
#[derive(Debug)]
pub(crate) enum Upstream {
    Http(Box<HttpSpec>),
    /// `static:` — the data as JSON text.
    Static(Arc<str>),
}

/// One of `params:`.
#[derive(Debug, Clone)]
pub(crate) struct ParamSpec {
    pub(crate) name: String,
    pub(crate) kind: ParamKind,
    pub(crate) required: bool,
    /// The default, as the text a client would send; valid for the kind and its limits.
    pub(crate) default: Option<String>,
    /// For numbers and integers.
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    /// For strings; anchored at both ends.
    pub(crate) pattern: Option<Regex>,
    /// The texts allowed; empty: any.
    pub(crate) allowed: Vec<String>,
    /// Whether any of the limits came from `${…}`, so that no message may show them.
    pub(crate) hidden: bool,
}

/// `type:` of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParamKind {
    String,
    Integer,
    Number,
    Boolean,
}

/// The policies of a source, `defaults` merged in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PolicySpec {
    /// Total budget within one request.
    pub(crate) timeout: Duration,
    /// Per attempt; `None`: what is left of the budget.
    pub(crate) attempt_timeout: Option<Duration>,
    /// DNS, TCP and TLS.
    pub(crate) connect_timeout: Duration,
    /// The longest gap between two chunks of a body; `None`: none of its own.
    pub(crate) read_timeout: Option<Duration>,
    /// With less than this left, an attempt is not worth starting.
    pub(crate) min_attempt_budget: Duration,
    /// `deadline_split: even`.
    pub(crate) split_deadline: bool,
    pub(crate) strategy: StrategySettings,
    pub(crate) retry: RetrySettings,
    pub(crate) breaker: BreakerSettings,
    /// `scope: source`: all endpoints have one circuit.
    pub(crate) one_circuit: bool,
    /// The limits between an attempt and the network.
    pub(crate) admission: AdmissionSettings,
    /// `None`: `cache: off`: nothing stored, nothing shared, every request calls.
    pub(crate) cache: Option<CacheSettings>,
    pub(crate) fallback: FallbackSettings,
}

/// The first segments of aggd's own paths: no route may lead there, not even one that takes every path.
pub(crate) const OWN_SEGMENTS: [&str; 11] =
    ["health", "livez", "readyz", "metrics", "history", "cache", "admin", "events", "openapi.json", "docs", "ui"];

/// A `route:` document.
#[derive(Debug)]
pub(crate) struct RouteSpec {
    /// As written: `/cities/{city}`, `/files/{*rest}`. Checked: leads with `/`, no clash, no path of aggd's own
    /// but `/aggregate` (declaring which replaces it).
    pub(crate) path: String,
    pub(crate) description: Option<String>,
    pub(crate) method: Method,
    /// In the order written.
    pub(crate) parts: Vec<PartSpec>,
    pub(crate) respond: Respond,
    /// Only with `respond: merge`, over the merged document.
    pub(crate) project: Projection,
    /// Only with `respond: merge`.
    pub(crate) omit: Vec<Path>,
    pub(crate) timeout: Duration,
    pub(crate) min_sources: u32,
    /// Its parts in flight at the same time; `None`: all of them.
    pub(crate) max_parallel: Option<NonZeroU32>,
    pub(crate) fallback: Vec<RouteFallbackSpec>,
    /// The tag of the entries fetched for this route.
    pub(crate) cache_key: String,
    /// Of its requests.
    pub(crate) limits: RouteLimits,
    /// Added to the response; no placeholders.
    pub(crate) headers: Vec<(HeaderName, http::HeaderValue)>,
    /// Whether it wants a key; `None`: as the server says.
    pub(crate) auth: Option<Wanted>,
    pub(crate) priority: Option<Priority>,
    /// A limit of clients for it alone.
    pub(crate) rate_limit: Option<Arc<LimitSettings>>,
}

/// What a route takes on at the same time; `None`: as much as the server does.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RouteLimits {
    pub(crate) load_shedding: Option<RouteShedding>,
    pub(crate) bulkhead: Option<RouteBulkhead>,
}

/// `load_shedding:` of a route.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RouteShedding {
    pub(crate) floors: Floors,
    pub(crate) refusal: RefusalSpec,
}

/// `bulkhead:` of a route.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RouteBulkhead {
    pub(crate) limit: LimiterSettings,
    pub(crate) refusal: RefusalSpec,
}

/// How a route's own limit refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusalSpec {
    pub(crate) status: StatusCode,
    /// `None`: what was full.
    pub(crate) message: Option<String>,
    /// `None`: as the server's load shedding says.
    pub(crate) retry_after: Option<Duration>,
}

/// Whether a path is another one, or below it.
pub(crate) fn is_below(path: &str, above: &str) -> bool {
    let above = above.trim_end_matches('/');
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// One source of a route.
#[derive(Debug, Clone)]
pub(crate) struct PartSpec {
    pub(crate) alias: Name,
    /// A declared source.
    pub(crate) source: Name,
    /// Values for the source's `params`, by name, each declared there. A parameter not listed here is filled from the
    /// request's query by its name.
    pub(crate) params: Vec<(String, RouteTemplate)>,
    pub(crate) required: bool,
}

/// A text made from the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RouteTemplate {
    pub(crate) pieces: Vec<RoutePiece>,
}

/// One piece of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RoutePiece {
    Literal(String),
    Value(RouteValue),
}

/// What a route's placeholder names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RouteValue {
    /// `{path.x}`: declared in the route's path.
    Path(String),
    /// `{query.x}`
    Query(String),
    /// `{header.x}`
    Header(HeaderName),
}

/// `respond:`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Respond {
    Envelope,
    Merge,
}
