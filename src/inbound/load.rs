//! The load of the process as it is shown: on the metrics page and in `/health`.

use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::base::Moment;
use crate::inbound::server::Server;
use crate::live::Gate;
use crate::live::LiveRoute;
use crate::live::Snapshot;
use crate::plan::RoutePlan;
use crate::record::BackgroundGauges;
use crate::record::LimiterGauges;
use crate::record::LoadGauges;
use crate::record::limiter_of_route;

/// The requests under way, and how hard the machine is pressed.
pub(crate) fn gauges(snapshot: &Snapshot, now: Moment) -> LoadGauges {
    let overload = &snapshot.overload;
    let counted = |(plan, route): (&Arc<RoutePlan>, &Arc<LiveRoute>)| {
        route.room.in_flight.as_ref().map(|in_flight| (plan.path.to_string(), in_flight.count()))
    };
    LoadGauges {
        in_flight: overload.in_flight.count(),
        max_in_flight: snapshot.plan.server.load_shedding.as_ref().map_or(0, |set| set.floors.max_in_flight),
        waiting: overload.in_flight.waiting(),
        level: overload.level(now),
        signals: overload.signals(),
        routes: snapshot.plan.routes.iter().zip(&snapshot.routes).filter_map(counted).collect(),
    }
}

/// The bulkheads of routes.
pub(crate) fn bulkheads(snapshot: &Snapshot) -> impl Iterator<Item = LimiterGauges> {
    let routes = snapshot.plan.routes.iter().zip(&snapshot.routes);
    routes.filter_map(|(plan, route)| {
        let (gate, _) = route.room.bulkhead.as_ref()?;
        Some(limiter(limiter_of_route(&plan.path), gate))
    })
}

/// One limiter.
pub(crate) fn limiter(limiter: String, gate: &Gate) -> LimiterGauges {
    LimiterGauges {
        limiter,
        active: gate.active().into(),
        limit: gate.limit().into(),
        waiting: gate.waiting().into(),
        counts: gate.counts(),
    }
}

/// The member `load` of `/health`.
pub(crate) fn page(server: &Server, snapshot: &Snapshot, now: Moment) -> Value {
    let load = gauges(snapshot, now);
    let signals: Map<String, Value> = load
        .signals
        .iter()
        .map(|view| {
            let value = (view.value * 1000.0).round() / 1000.0;
            (
                view.signal.as_str().to_owned(),
                json!({"value": value, "level": view.level.as_str(), "stale": view.stale}),
            )
        })
        .collect();
    json!({
        "in_flight": load.in_flight,
        "max_in_flight": (load.max_in_flight > 0).then_some(load.max_in_flight),
        "waiting": load.waiting,
        "level": load.level.as_str(),
        "signals": signals,
        "shed": server.shared.metrics.shedding.total(),
    })
}

/// The member `background` of `/health`.
pub(crate) fn background(server: &Server) -> Value {
    let queue = |one: &BackgroundGauges| {
        let shown = json!({
            "pending": one.pending,
            "max_pending": one.max_pending,
            "backpressure": one.active,
            "dropped": one.dropped,
        });
        (one.queue.to_owned(), shown)
    };
    Value::Object(server.shared.background().iter().map(queue).collect())
}
