//! The snapshot: one generation of the configuration with the state behind it. A request loads it once and keeps it to
//! the end, so that every answer is explained by exactly one generation.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::live::allowance::Allowance;
use crate::live::cache::Cache;
use crate::live::cache::CacheKey;
use crate::live::cache::SourceMark;
use crate::live::cache::Tag;
use crate::live::endpoint::LiveEndpoint;
use crate::live::gate::Gate;
use crate::live::in_flight::InFlight;
use crate::live::limits::SourceLimits;
use crate::live::overload::Overload;
use crate::live::quota::LiveQuota;
use crate::outbound::Client;
use crate::plan::Plan;
use crate::plan::RoutePlan;
use crate::plan::SourcePlan;
use crate::policy::strategy::Latencies;
use crate::record::LimiterMetrics;
use crate::record::RouteMetrics;
use crate::record::SourceMetrics;

/// One generation, complete.
pub(crate) struct Snapshot {
    pub(crate) plan: Plan,
    /// In the order of `plan.sources`.
    pub(crate) sources: Vec<Arc<LiveSource>>,
    /// In the order of `plan.routes`.
    pub(crate) routes: Vec<Arc<LiveRoute>>,
    pub(crate) cache: Arc<Cache>,
    /// The global semaphore over all sources.
    pub(crate) gate: Arc<Gate>,
    pub(crate) gate_metrics: Arc<LimiterMetrics>,
    /// Limits of clients, in the order of `plan.limits`.
    pub(crate) quotas: Vec<Arc<LiveQuota>>,
    /// The requests under way, and how hard the machine is pressed.
    pub(crate) overload: Arc<Overload>,
    /// Counts applied configurations, from 1.
    pub(crate) generation: u64,
    pub(crate) loaded_at: SystemTime,
    /// Metrics of `GET /aggregate/{source}`, and the tag of what it stores.
    pub(crate) single: Arc<LiveRoute>,
}

/// A source with the state that outlives reloads.
pub(crate) struct LiveSource {
    pub(crate) plan: Arc<SourcePlan>,
    /// In the order of the plan; at least one.
    pub(crate) endpoints: Vec<LiveEndpoint>,
    /// How many calls chose among them.
    pub(crate) turn: AtomicUsize,
    /// How long its calls take, where hedges go by that.
    pub(crate) latencies: Arc<Mutex<Latencies>>,
    pub(crate) limits: SourceLimits,
    /// What it may spend on further attempts.
    pub(crate) allowance: Arc<Allowance>,
    pub(crate) mark: SourceMark,
    /// Its cache key, where neither parameters nor headers are part of it.
    pub(crate) fixed_key: Option<CacheKey>,
    /// `None` for `static:`.
    pub(crate) client: Option<Arc<Client>>,
    pub(crate) metrics: Arc<SourceMetrics>,
}

/// A route's handles.
pub(crate) struct LiveRoute {
    pub(crate) tag: Tag,
    pub(crate) metrics: Arc<RouteMetrics>,
    pub(crate) room: RouteRoom,
}

/// What a route counts of its own requests, where it has limits of its own.
#[derive(Default)]
pub(crate) struct RouteRoom {
    /// `load_shedding:`
    pub(crate) in_flight: Option<Arc<InFlight>>,
    /// `bulkhead:`, and how long its places are waited for.
    pub(crate) bulkhead: Option<(Arc<Gate>, Arc<LimiterMetrics>)>,
}

impl Snapshot {
    /// A source by name.
    pub(crate) fn source(&self, name: &str) -> Option<&Arc<LiveSource>> {
        self.plan.by_name.get(name).and_then(|place| self.sources.get(*place))
    }

    /// The route at a place of the plan, with its handles.
    pub(crate) fn route(&self, place: usize) -> Option<(&Arc<RoutePlan>, &Arc<LiveRoute>)> {
        self.plan.routes.get(place).zip(self.routes.get(place))
    }
}

/// The current snapshot. Loading it is one atomic read.
pub(crate) struct Live {
    current: ArcSwap<Snapshot>,
}

impl Live {
    /// Starts with the first snapshot.
    pub(crate) fn new(first: Arc<Snapshot>) -> Self {
        Self { current: ArcSwap::new(first) }
    }

    /// The snapshot in force.
    pub(crate) fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts a new snapshot in force. Requests under way keep theirs.
    pub(crate) fn swap(&self, next: Arc<Snapshot>) {
        self.current.store(next);
    }
}
