//! The circuits of a source, as `/health` and the orders to circuits show them.

use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use crate::base::Moment;
use crate::inbound::health::seconds;
use crate::live::CircuitView;
use crate::live::LiveSource;

/// The circuits of a source as one, and, where there are several, each by the name of its endpoint.
pub(crate) fn of_source(source: &LiveSource, now: Moment) -> Map<String, Value> {
    let circuits = source.circuits();
    let mut body = source.view(now).map(|view| circuit(&view)).unwrap_or_default();
    if circuits.len() > 1 {
        let each = circuits.iter().map(|endpoint| {
            let view = endpoint.circuit.view(&source.plan.breaker, now);
            (endpoint.name.to_string(), circuit(&view).into())
        });
        body.insert("endpoints".into(), Value::Object(each.collect()));
    }
    body
}

/// Whether calls are kept from any of its endpoints.
pub(crate) fn is_degraded(source: &LiveSource, now: Moment) -> bool {
    let set = &source.plan.breaker;
    source.circuits().iter().any(|endpoint| endpoint.circuit.view(set, now).state.is_degraded())
}

fn circuit(view: &CircuitView) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("circuit_state".into(), view.state.as_str().into());
    body.insert("consecutive_failures".into(), view.consecutive_failures.into());
    if let Some(ago) = view.opened_ago {
        body.insert("opened_ago_seconds".into(), seconds(ago));
    }
    if let Some(wait) = view.recovers_in {
        body.insert("recovers_in_seconds".into(), seconds(wait));
    }
    let since = |ago: Option<Duration>| ago.map_or(Value::Null, seconds);
    body.insert("last_success_ago_seconds".into(), since(view.last_success_ago));
    body
}
