//! The whole plan of a configuration.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use crate::base::Name;
use crate::config::spec::PartSpec;
use crate::config::spec::PolicySpec;
use crate::config::spec::Respond;
use crate::config::spec::RouteLimits;
use crate::config::spec::RouteSpec;
use crate::config::spec::ServerSpec;
use crate::config::spec::SourceSpec;
use crate::config::spec::Spec;
use crate::config::spec::Upstream;
use crate::config::spec::is_below;
use crate::plan::door::DoorPlan;
use crate::plan::door::Doors;
use crate::plan::door::RouteDoor;
use crate::plan::fallback::RouteFallback;
use crate::plan::route::PartPlan;
use crate::plan::route::RoutePlan;
use crate::plan::source::CallPlan;
use crate::plan::source::Fallback;
use crate::plan::source::HttpPlan;
use crate::plan::source::SourcePlan;
use crate::plan::table::RouteTable;
use crate::plan::table::Target;
use crate::policy::fallback::FallbackSpec;
use crate::policy::fallback::RouteFallbackSpec;
use crate::policy::outcome::Classify;
use crate::policy::quota::LimitSettings;
use crate::policy::retry::Terms;
use crate::policy::strategy::Ring;
use crate::policy::strategy::StrategyKind;
use crate::shape::Format;
use crate::shape::Projection;
use crate::shape::Shape;

/// The path and the cache tag of the built-in route over every source.
const AGGREGATE: (&str, &str) = ("/aggregate", "aggregate_all");
/// The path of single sources.
const SINGLE: &str = "/aggregate/{source}";
/// The timeout of the built-in route: that of any route which names none.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(10);

/// A configuration, compiled.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) server: ServerSpec,
    /// In configuration order; routes and fallbacks refer to places in this list.
    pub(crate) sources: Vec<Arc<SourcePlan>>,
    pub(crate) by_name: HashMap<Name, usize>,
    /// Every source as the one part of `GET /aggregate/{source}`, in the order of `sources`.
    pub(crate) alone: Vec<PartPlan>,
    /// The built-in route first, unless it is replaced; then in configuration order.
    pub(crate) routes: Vec<Arc<RoutePlan>>,
    pub(crate) table: RouteTable,
    /// The door of `/aggregate/{source}`.
    pub(crate) single: DoorPlan,
    /// Limits of clients: the server's, then those of routes.
    pub(crate) limits: Vec<Arc<LimitSettings>>,
    /// Whether `GET /aggregate/{source}` is never shed.
    pub(crate) single_exempt: bool,
    pub(crate) digest: String,
    /// The configuration in force, secrets as `***`.
    pub(crate) rendered: Arc<str>,
}

/// Compiles settings that validation has found good. What refers to nothing (it can't, after validation) is left out.
pub(crate) fn compile(spec: Spec) -> Plan {
    let by_name: HashMap<Name, usize> =
        spec.sources.iter().enumerate().map(|(place, source)| (source.name.clone(), place)).collect();
    let stale = stale_in_routes(&spec.routes);
    let compiled = |source: SourceSpec| {
        let stale_in_routes = stale.get(&source.name).copied().unwrap_or_default();
        Arc::new(self::source(source, &spec.server, &by_name, stale_in_routes))
    };
    let sources: Vec<_> = spec.sources.into_iter().map(compiled).collect();
    let mut doors = Doors::new(&spec.server);
    let exempted = |route: RoutePlan| {
        let exempt = is_exempt(&spec.server, &route.path);
        Arc::new(RoutePlan { exempt, ..route })
    };
    let mut routes: Vec<Arc<RoutePlan>> =
        spec.routes.into_iter().map(|route| exempted(self::route(route, &by_name, &mut doors))).collect();
    if !routes.iter().any(|route| &*route.path == AGGREGATE.0 && route.method == Method::GET) {
        routes.insert(0, exempted(aggregate(&sources, doors.plain(AGGREGATE.0))));
    }
    let alone = sources.iter().enumerate().map(|(place, source)| part(source, place)).collect();
    let door = doors.plain(SINGLE);
    let mut table = RouteTable::default();
    let numbered = routes.iter().enumerate();
    let targets = numbered.map(|(place, route)| (&*route.path, route.method.clone(), Target::Route(place)));
    let single = (SINGLE, Method::GET, Target::Single);
    for (path, method, target) in targets.chain([single]) {
        if let Err(clash) = table.add(path, method, target) {
            tracing::error!(path, %clash, "route left out");
        }
    }
    let single_exempt = is_exempt(&spec.server, SINGLE);
    let (server, digest, rendered, limits) = (spec.server, spec.digest, spec.rendered, doors.limits());
    Plan { server, sources, by_name, alone, routes, table, single: door, single_exempt, limits, digest, rendered }
}

/// How far past their ttl the routes want copies of each source.
fn stale_in_routes(routes: &[RouteSpec]) -> HashMap<Name, Duration> {
    let mut longest: HashMap<Name, Duration> = HashMap::new();
    for route in routes {
        let ages = route.fallback.iter().filter_map(|step| match step {
            RouteFallbackSpec::Stale { max_age } => Some(*max_age),
            RouteFallbackSpec::Value { .. } => None,
        });
        let Some(age) = ages.max() else { continue };
        for part in &route.parts {
            let kept = longest.entry(part.source.clone()).or_default();
            *kept = age.max(*kept);
        }
    }
    longest
}

fn source(
    spec: SourceSpec,
    server: &ServerSpec,
    by_name: &HashMap<Name, usize>,
    stale_in_routes: Duration,
) -> SourcePlan {
    let policies = spec.policies;
    let call = match spec.upstream {
        Upstream::Http(http) => CallPlan::Http(Box::new(HttpPlan::new(
            &http,
            &server.client,
            policies.connect_timeout,
            policies.read_timeout,
        ))),
        Upstream::Static(text) => {
            let body = Bytes::copy_from_slice(text.as_bytes());
            CallPlan::Static(spec.shape.apply(&body, None))
        }
    };
    let (ring, terms) = terms(&policies, &spec.classify, &call);
    let fallback = policies.fallback.steps.into_iter().filter_map(|step| match step {
        FallbackSpec::Stale { max_age } => Some(Fallback::Stale(max_age)),
        FallbackSpec::Source(name) => by_name.get(&name).map(|place| Fallback::Source(*place)),
        FallbackSpec::Value(text) => Some(Fallback::Value(Bytes::copy_from_slice(text.as_bytes()))),
    });
    let cache = policies.cache.map(|mut cache| {
        // Calls that may change something are never shared, though what they answer may be kept.
        if let CallPlan::Http(http) = &call
            && matches!(http.method, Method::POST | Method::PATCH)
        {
            cache.coalesce = None;
        }
        cache
    });
    SourcePlan {
        terms,
        ring,
        strategy: policies.strategy,
        one_circuit: policies.one_circuit,
        name: spec.name,
        description: spec.description,
        params: spec.params.into(),
        call,
        shape: Arc::new(spec.shape),
        classify: spec.classify,
        breaker: Arc::new(policies.breaker),
        admission: policies.admission,
        cache,
        fallback: fallback.collect(),
        fallback_on: policies.fallback.on,
        fallback_reserve: policies.fallback.reserve,
        stale_in_routes,
        timeout: policies.timeout,
        attempt_timeout: policies.attempt_timeout,
        aggregate: spec.aggregate,
        revision: spec.revision,
    }
}

/// Where the attempts of this source go, and how they follow each other.
fn terms(policies: &PolicySpec, classify: &Classify, call: &CallPlan) -> (Ring, Terms) {
    let mut retry = policies.retry.clone();
    if !classify.retry.is_empty() {
        retry.retry_on.to_mut().extend(&classify.retry);
    }
    let (ring, repeatable) = match call {
        CallPlan::Http(http) => {
            let weights: Vec<_> = http.targets.iter().map(|target| target.weight).collect();
            (Ring::new(&weights), retry.may_repeat(&http.method))
        }
        CallPlan::Static(_) => (Ring::new(&[1]), true),
    };
    let terms = Terms {
        retry,
        repeatable,
        endpoints: ring.len(),
        failover: policies.strategy.kind == StrategyKind::Sequential,
        split: policies.split_deadline,
        min_attempt_budget: policies.min_attempt_budget,
    };
    (ring, terms)
}

fn route(spec: RouteSpec, by_name: &HashMap<Name, usize>, doors: &mut Doors) -> RoutePlan {
    let own = RouteDoor { auth: spec.auth, priority: spec.priority, limit: spec.rate_limit };
    let door = doors.of(&spec.path, &spec.method, own);
    let parts = spec.parts.iter().filter_map(|part| by_name.get(&part.source).map(|place| PartPlan::new(part, *place)));
    let whole = matches!(spec.project, Projection::Whole) && spec.omit.is_empty();
    let shape = Shape { format: Format::Json, success_when: None, projection: spec.project, omit: spec.omit };
    RoutePlan {
        path: spec.path.into(),
        description: spec.description,
        method: spec.method,
        parts: parts.collect(),
        respond: spec.respond,
        shape: (!whole).then(|| Arc::new(shape)),
        timeout: spec.timeout,
        min_sources: usize::try_from(spec.min_sources).unwrap_or(usize::MAX),
        max_parallel: spec.max_parallel.map(|most| usize::try_from(most.get()).unwrap_or(usize::MAX)),
        fallback: spec.fallback.into_iter().map(RouteFallback::of).collect(),
        tag: spec.cache_key.into(),
        headers: spec.headers,
        door,
        limits: spec.limits,
        exempt: false,
    }
}

/// `GET /aggregate`: every source that takes part, in configuration order.
fn aggregate(sources: &[Arc<SourcePlan>], door: DoorPlan) -> RoutePlan {
    let parts = sources.iter().enumerate().filter(|(_, source)| source.aggregate);
    let parts = parts.map(|(place, source)| part(source, place));
    RoutePlan {
        path: AGGREGATE.0.into(),
        description: Some("every source at once".to_owned()),
        method: Method::GET,
        parts: parts.collect(),
        respond: Respond::Envelope,
        shape: None,
        timeout: ROUTE_TIMEOUT,
        min_sources: 0,
        max_parallel: None,
        fallback: Vec::new(),
        tag: AGGREGATE.1.into(),
        headers: Vec::new(),
        door,
        limits: RouteLimits::default(),
        exempt: false,
    }
}

/// A source as a part under its own name.
fn part(source: &SourcePlan, place: usize) -> PartPlan {
    let (alias, source) = (source.name.clone(), source.name.clone());
    PartPlan::new(&PartSpec { alias, source, params: Vec::new(), required: false }, place)
}

/// Whether a route is never shed.
fn is_exempt(server: &ServerSpec, path: &str) -> bool {
    let listed = server.load_shedding.as_ref().map(|set| set.exempt.as_slice()).unwrap_or_default();
    listed.iter().any(|above| is_below(path, above))
}
