//! From one snapshot to the next: settings change, state stays. State is found by name; what no longer is the same
//! thing (another upstream, another meaning) starts anew.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::SystemTime;

use crate::base::Clock;
use crate::base::Name;
use crate::live::cache::Cache;
use crate::live::cache::CacheKey;
use crate::live::cache::Limits;
use crate::live::cache::Scope;
use crate::live::carry_endpoints::Endpoints;
use crate::live::gate::Gate;
use crate::live::in_flight::InFlight;
use crate::live::limits::Of;
use crate::live::limits::SourceLimits;
use crate::live::overload::Overload;
use crate::live::quota::LiveQuota;
use crate::live::snapshot::LiveRoute;
use crate::live::snapshot::LiveSource;
use crate::live::snapshot::RouteRoom;
use crate::live::snapshot::Snapshot;
use crate::outbound::Clients;
use crate::plan::CallPlan;
use crate::plan::Plan;
use crate::plan::RoutePlan;
use crate::plan::SourcePlan;
use crate::policy::limiter::LimiterSettings;
use crate::policy::limiter::QueueOrder;
use crate::policy::line::LINE;
use crate::policy::quota::LimitSettings;
use crate::policy::strategy::Latencies;
use crate::record::Event;
use crate::record::Events;
use crate::record::InvalidationCause;
use crate::record::Metrics;

/// The path under which single-source requests are counted and logged.
pub(crate) const SINGLE: &str = "/aggregate/{source}";
/// What single-source requests store belongs to the aggregate.
const SINGLE_TAG: &str = "aggregate_all";

/// What the next snapshot is made from besides its plan.
pub(crate) struct Carry<'a> {
    /// The snapshot in force; `None` at start.
    pub(crate) previous: Option<&'a Snapshot>,
    pub(crate) clients: &'a Clients,
    pub(crate) metrics: &'a Metrics,
    pub(crate) events: &'a Events,
    pub(crate) clock: &'a Clock,
    pub(crate) wall: SystemTime,
}

impl Carry<'_> {
    /// Builds the snapshot of a plan, with the state of its predecessor.
    pub(crate) fn snapshot(&self, plan: Plan) -> Snapshot {
        let limits = plan.server.limits;
        self.events.apply(plan.server.events);
        let bounds = Limits { max_bytes: plan.server.cache.max_bytes, max_entries: plan.server.cache.max_entries };
        let cache = match self.previous {
            Some(previous) => {
                previous.cache.resize(bounds);
                Arc::clone(&previous.cache)
            }
            None => Arc::new(Cache::new(bounds)),
        };
        let global = LimiterSettings {
            limit: limits.concurrency,
            max_waiting: limits.max_waiting,
            queue_timeout: None,
            order: QueueOrder::Fifo,
        };
        let gate = match self.previous {
            Some(previous) => {
                previous.gate.resize(global, self.clock);
                Arc::clone(&previous.gate)
            }
            None => Arc::new(Gate::new(global)),
        };
        for gone in self.gone(&plan) {
            // Flights in the air for it end, and store nothing.
            self.invalidate(&cache, gone);
        }
        let sources = plan.sources.iter().map(|source| Arc::new(self.source(source, &cache))).collect();
        let route = |path: &str, tag: &str, room: RouteRoom| {
            Arc::new(LiveRoute { tag: cache.tag(tag), metrics: self.metrics.route(path), room })
        };
        let routes = plan.routes.iter().map(|plan| route(&plan.path, &plan.tag, self.room(plan))).collect();
        let single = route(SINGLE, SINGLE_TAG, RouteRoom::default());
        let overload = self.overload(&plan);
        let gate_metrics = self.metrics.limiter("global");
        let generation = self.previous.map_or(1, |previous| previous.generation + 1);
        let quotas = self.quotas(&plan);
        let loaded_at = self.wall;
        Snapshot { plan, sources, routes, cache, gate, gate_metrics, overload, quotas, generation, loaded_at, single }
    }

    /// The limits of clients, each with what it remembered under its name.
    fn quotas(&self, plan: &Plan) -> Vec<Arc<LiveQuota>> {
        let now = self.clock.now();
        let before = self.previous.map(|previous| previous.quotas.as_slice()).unwrap_or_default();
        let carried = |set: &Arc<LimitSettings>| {
            let before = before.iter().find(|before| before.set.name == set.name);
            Arc::new(LiveQuota::carried(set, before.map(|before| &**before), now))
        };
        plan.limits.iter().map(carried).collect()
    }

    /// The load of the process: those who wait go on under the new settings.
    fn overload(&self, plan: &Plan) -> Arc<Overload> {
        let Some(previous) = self.previous else { return Arc::new(Overload::new(self.clock)) };
        let set = plan.server.load_shedding.as_ref();
        // Where nobody may wait any more, those who do still get their turn, or wait in vain as long as they would have.
        previous.overload.in_flight.apply(set.map(|set| (set.floors, set.queue.unwrap_or(LINE))));
        Arc::clone(&previous.overload)
    }

    /// What a route counts of its requests; the same counts as before where the path is the same.
    fn room(&self, plan: &RoutePlan) -> RouteRoom {
        let before = self.previous.and_then(|previous| {
            let is_same = |known: &&Arc<RoutePlan>| known.path == plan.path && known.method == plan.method;
            let place = previous.plan.routes.iter().position(|known| is_same(&known))?;
            previous.routes.get(place).map(|route| &route.room)
        });
        let in_flight = plan.limits.load_shedding.as_ref().map(|_| {
            let before = before.and_then(|before| before.in_flight.clone());
            before.unwrap_or_else(|| Arc::new(InFlight::new(self.clock)))
        });
        let bulkhead = plan.limits.bulkhead.as_ref().map(|bulkhead| {
            let metrics = self.metrics.route_limiter(&plan.path);
            match before.and_then(|before| before.bulkhead.as_ref()) {
                Some((gate, _)) => {
                    gate.resize(bulkhead.limit, self.clock);
                    (Arc::clone(gate), metrics)
                }
                None => (Arc::new(Gate::new(bulkhead.limit)), metrics),
            }
        });
        RouteRoom { in_flight, bulkhead }
    }

    /// The sources that the next configuration no longer has.
    fn gone(&self, plan: &Plan) -> Vec<Name> {
        let before = self.previous.map(|previous| previous.plan.sources.as_slice()).unwrap_or_default();
        let gone = before.iter().filter(|source| !plan.by_name.contains_key(&source.name));
        gone.map(|source| source.name.clone()).collect()
    }

    fn source(&self, plan: &Arc<SourcePlan>, cache: &Cache) -> LiveSource {
        let before = self.previous.and_then(|previous| previous.source(plan.name.as_str()));
        let endpoints =
            Endpoints { plan, before: before.map(|before| &**before), events: self.events, metrics: self.metrics }
                .carry();
        let allowance = before.map(|before| Arc::clone(&before.allowance)).unwrap_or_default();
        let mark = cache.source_mark(&plan.name);
        if before.is_some_and(|before| before.plan.revision != plan.revision) {
            // What was fetched under the old meaning is dropped, and flights in the air store nothing.
            self.invalidate(cache, plan.name.clone());
        }
        let fixed = plan.params.is_empty() && plan.varies_by().next().is_none() && !plan.is_scoped();
        let fixed_key = fixed.then(|| CacheKey::new(&plan.name, plan.revision, ""));
        let client = match &plan.call {
            CallPlan::Http(http) => {
                let client = self.clients.for_source(&plan.name, http.connect_timeout);
                if http.targets.iter().any(|target| target.origin.starts_with("https:"))
                    && let Err(error) = client.prepare_tls()
                {
                    // Its calls fail with `config_error` until the machine has its certificates; others are served.
                    tracing::error!(source = plan.name.as_str(), %error, "no TLS");
                }
                Some(client)
            }
            CallPlan::Static(_) => None,
        };
        let metrics = self.metrics.source(&plan.name, endpoints.first().map_or("", |first| &first.name));
        let same =
            before.filter(|before| before.endpoints.iter().any(|old| endpoints.iter().any(|new| new.name == old.name)));
        let latencies = match same {
            Some(before) => Arc::clone(&before.latencies),
            None => Arc::new(Mutex::new(Latencies::new(self.clock.now()))),
        };
        let of = Of { name: &plan.name, metrics: self.metrics, clock: self.clock };
        let limits = SourceLimits::carry(before.map(|before| &before.limits), &plan.admission, of);
        LiveSource {
            plan: Arc::clone(plan),
            endpoints,
            turn: AtomicUsize::new(0),
            latencies,
            allowance,
            limits,
            mark,
            fixed_key,
            client,
            metrics,
        }
    }

    fn invalidate(&self, cache: &Cache, source: Name) {
        let scope = Scope::Source(source.clone());
        let done = cache.invalidate(&scope);
        self.events.of_source(
            &source,
            Event::CacheInvalidated {
                scope: scope.as_str(),
                of: scope.of(),
                entries: done.count,
                generation: done.generation,
                cause: InvalidationCause::Reload,
            },
        );
    }
}
