//! How the gateway is: what `/health` and `/readyz` say. No upstream is called for it.

use std::time::Duration;
use std::time::SystemTime;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::base::Moment;
use crate::inbound::circuits;
use crate::inbound::load;
use crate::inbound::server::Server;
use crate::live::LiveSource;
use crate::plan::CallPlan;

/// The body of `/health`.
pub(crate) async fn page(server: &Server) -> Value {
    let db = database(server).await;
    let now = server.shared.clock.now();
    let snapshot = server.shared.live.load();
    let mut upstreams = Map::new();
    let mut any_degraded = false;
    for source in snapshot.sources.iter().filter(|source| matches!(source.plan.call, CallPlan::Http(_))) {
        any_degraded |= circuits::is_degraded(source, now);
        let mut upstream = circuits::of_source(source, now);
        upstream.insert("limits".into(), limits(source, now));
        upstreams.insert(source.plan.name.to_string(), upstream.into());
    }
    let cache = snapshot.cache.stats(now);
    let load = server.status.last();
    let status = match db {
        "error" => "error",
        _ if any_degraded || load.is_refused() => "degraded",
        _ => "ok",
    };
    json!({
        "status": status,
        "db": db,
        "cache": {
            "total_entries": cache.total,
            "fresh_entries": cache.fresh,
            "stale_entries": cache.stale,
            "bytes": cache.bytes,
            "store": "memory",
        },
        "upstreams": upstreams,
        "config": {
            "generation": snapshot.generation,
            "digest": snapshot.plan.digest,
            "loaded_at": rfc3339(snapshot.loaded_at),
            "last_reload": load.result,
            "findings": load.findings,
        },
        "load": load::page(server, &snapshot, now),
        "background": load::background(server),
        "audit": audit(server),
        "uptime_seconds": seconds(now.since(server.started)),
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// Whether the gateway can serve, and why not.
pub(crate) async fn readiness(server: &Server) -> (bool, Value) {
    let db = database(server).await;
    let stopping = server.is_stopping();
    let ready = db != "error" && !stopping;
    (ready, json!({"status": if ready { "ready" } else { "not_ready" }, "db": db, "stopping": stopping}))
}

/// How full its limits are; those that are off are left out.
fn limits(source: &LiveSource, now: Moment) -> Value {
    let mut body = Map::new();
    if let Some(bulkhead) = &source.limits.bulkhead {
        let gate = &bulkhead.gate;
        body.insert("active".into(), gate.active().into());
        body.insert("limit".into(), gate.limit().into());
        body.insert("waiting".into(), gate.waiting().into());
    }
    if let Some(rate) = &source.limits.rate {
        let view = rate.gate.view(now);
        let mut shown = Map::from_iter([("tokens".into(), view.tokens.into()), ("burst".into(), view.burst.into())]);
        shown.insert("waiting".into(), view.waiting.into());
        if !view.paused_for.is_zero() {
            shown.insert("paused_for_seconds".into(), seconds(view.paused_for));
        }
        body.insert("rate".into(), shown.into());
    }
    if let Some(throttle) = &source.limits.throttle {
        let view = throttle.view(now);
        let rejects = (view.rejects * 1000.0).round() / 1000.0;
        let shown = json!({"requests": view.requests, "accepts": view.accepts, "rejects": rejects});
        body.insert("throttle".into(), shown);
    }
    body.into()
}

/// Wall time as RFC 3339, in UTC, to the millisecond.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

async fn database(server: &Server) -> &'static str {
    match &server.store {
        None => "off",
        Some(store) if store.ping(server.shared.clock.now()).await => "ok",
        Some(_) => "error",
    }
}

fn audit(server: &Server) -> Value {
    let Some(queue) = &server.shared.audit else { return Value::Null };
    let counts = queue.counts();
    json!({"pending": counts.pending, "written": counts.written, "dropped": counts.dropped})
}

/// Seconds to the nearest millisecond: how long it has been open and when it recovers then add up.
pub(crate) fn seconds(length: Duration) -> Value {
    ((length.as_secs_f64() * 1000.0).round() / 1000.0).into()
}
