//! What can be told, with what each type says. Nothing here is secret: declared names, words of ours, numbers.

use std::time::Duration;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::policy::breaker::Change;
use crate::policy::events::EventType;

/// How many changes of a configuration are listed; the number of them is told in any case.
const CHANGES_SHOWN: usize = 50;

/// How much of what was invalidated is named: it may be a text of whoever asked.
const NAME_SHOWN: usize = 200;

/// Something that happened. Borrows what it can, so that one nobody wants costs nothing.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "some producers are not there yet; the contract is whole"))]
pub(crate) enum Event<'a> {
    /// A circuit changed.
    Circuit(Change),
    /// A call is tried again: the `n`th retry, after `delay`, because the attempt before ended so.
    RetryAttempt { n: u32, delay: Duration, outcome: &'a str },
    /// A call succeeded that was tried again.
    RetrySuccess { attempts: u32 },
    /// A call failed for good, and why it was not tried again.
    RetryExhausted { attempts: u32, reason: &'a str },
    /// A second call for the same answer was begun, `after` so long without one.
    HedgeLaunched { n: u32, after: Duration },
    /// It was the first to answer.
    HedgeWon { n: u32, took: Duration },
    /// It was due, and was not begun.
    HedgeSuppressed { reason: &'a str },
    /// A timer cut work off: at `attempt`, `coalesce`, `fallback`.
    TimeoutExceeded { stage: &'a str, timeout: Duration, by_client: bool },
    /// A limiter had no place.
    BulkheadRejected { limiter: &'a str, reason: &'a str },
    /// A rate limit refused; `wait` is when it is worth asking again.
    RateLimitExceeded { limiter: &'a str, wait: Duration },
    /// An upstream asked to be left alone for so long.
    RateLimitPaused { limiter: &'a str, pause: Duration },
    /// Load shedding refuses more, or less.
    ShedLevelChanged { from: &'a str, to: &'a str, reason: &'a str },
    /// A background queue fills up.
    BackpressureHigh { queue: &'a str, pending: u64 },
    /// It has emptied again.
    BackpressureLow { queue: &'a str, pending: u64 },
    /// An adaptive limit moved.
    AdaptiveLimitChanged { from: u32, to: u32, reason: &'a str },
    /// Something stood in for a failed call: `via` a step of `fallback`, or `stale`.
    FallbackUsed { via: &'a str, kind: &'a str },
    /// Entries of the cache are no longer seen. `of` names what, where it is not everything.
    CacheInvalidated { scope: &'a str, of: Option<&'a str>, entries: usize, generation: u64, cause: InvalidationCause },
    /// The shared cache store is not used for now.
    CacheStoreDegraded { reason: &'a str },
    /// A configuration is in force; `changes` is empty where there was nothing to change.
    ConfigReloaded { result: &'a str, generation: u64, digest: &'a str, changes: &'a [String], findings: usize },
    /// A configuration was refused; the old one stays in force.
    ConfigRejected { generation: u64, findings: usize },
    /// A webhook's target took an event.
    WebhookDelivered { target: &'a str, event: &'a str, attempts: u32 },
    /// It did not, and is not tried any more.
    WebhookFailed { target: &'a str, event: &'a str, attempts: u32, reason: &'a str },
    /// It wants no more.
    WebhookDisabled { target: &'a str, reason: &'a str },
    /// A shared store is away: local state is used.
    StoreDegraded { store: &'a str, reason: &'a str },
    /// It is back.
    StoreRecovered { store: &'a str, away: Duration },
}

/// Why entries are no longer seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidationCause {
    /// Somebody asked for it.
    Order,
    /// Their source changed, or is gone.
    Reload,
}

impl Event<'_> {
    /// The type of it.
    pub(crate) fn kind(&self) -> EventType {
        match self {
            Self::Circuit(change) => change.event_type(),
            Self::RetryAttempt { .. } => EventType::RetryAttempt,
            Self::RetrySuccess { .. } => EventType::RetrySuccess,
            Self::RetryExhausted { .. } => EventType::RetryExhausted,
            Self::HedgeLaunched { .. } => EventType::HedgeLaunched,
            Self::HedgeWon { .. } => EventType::HedgeWon,
            Self::HedgeSuppressed { .. } => EventType::HedgeSuppressed,
            Self::TimeoutExceeded { .. } => EventType::TimeoutExceeded,
            Self::BulkheadRejected { .. } => EventType::BulkheadRejected,
            Self::RateLimitExceeded { .. } => EventType::RateLimitExceeded,
            Self::RateLimitPaused { .. } => EventType::RateLimitPaused,
            Self::ShedLevelChanged { .. } => EventType::ShedLevelChanged,
            Self::BackpressureHigh { .. } => EventType::BackpressureHigh,
            Self::BackpressureLow { .. } => EventType::BackpressureLow,
            Self::AdaptiveLimitChanged { .. } => EventType::AdaptiveLimitChanged,
            Self::FallbackUsed { .. } => EventType::FallbackUsed,
            Self::CacheInvalidated { .. } => EventType::CacheInvalidated,
            Self::CacheStoreDegraded { .. } => EventType::CacheStoreDegraded,
            Self::ConfigReloaded { .. } => EventType::ConfigReloaded,
            Self::ConfigRejected { .. } => EventType::ConfigRejected,
            Self::WebhookDelivered { .. } => EventType::WebhookDelivered,
            Self::WebhookFailed { .. } => EventType::WebhookFailed,
            Self::WebhookDisabled { .. } => EventType::WebhookDisabled,
            Self::StoreDegraded { .. } => EventType::StoreDegraded,
            Self::StoreRecovered { .. } => EventType::StoreRecovered,
        }
    }

    /// The generation that began with it, of what it tells of.
    pub(super) fn generation(&self) -> Option<u64> {
        if let Self::Circuit(Change { generation, .. })
        | Self::CacheInvalidated { generation, .. }
        | Self::ConfigReloaded { generation, .. }
        | Self::ConfigRejected { generation, .. } = self
        {
            Some(*generation)
        } else {
            None
        }
    }

    /// What is particular to its type.
    pub(super) fn details(&self) -> Map<String, Value> {
        match self.value() {
            Value::Object(members) => members,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
        }
    }

    fn value(&self) -> Value {
        match *self {
            Self::Circuit(change) => circuit(&change),
            Self::RetryAttempt { n, delay, outcome } => json!({"n": n, "delay_ms": millis(delay), "outcome": outcome}),
            Self::RetrySuccess { attempts } => json!({"attempts": attempts}),
            Self::RetryExhausted { attempts, reason } => json!({"attempts": attempts, "reason": reason}),
            Self::HedgeLaunched { n, after } => json!({"n": n, "after_ms": millis(after)}),
            Self::HedgeWon { n, took } => json!({"n": n, "took_ms": millis(took)}),
            Self::HedgeSuppressed { reason } => json!({"reason": reason}),
            Self::TimeoutExceeded { stage, timeout, by_client } => {
                json!({"stage": stage, "timeout_ms": millis(timeout), "by_client": by_client})
            }
            Self::BulkheadRejected { limiter, reason } => json!({"limiter": limiter, "reason": reason}),
            Self::RateLimitExceeded { limiter, wait } => json!({"limiter": limiter, "wait_ms": millis(wait)}),
            Self::RateLimitPaused { limiter, pause } => json!({"limiter": limiter, "pause_ms": millis(pause)}),
            Self::ShedLevelChanged { from, to, reason } => json!({"from": from, "to": to, "reason": reason}),
            Self::BackpressureHigh { queue, pending } | Self::BackpressureLow { queue, pending } => {
                json!({"queue": queue, "pending": pending})
            }
            Self::AdaptiveLimitChanged { from, to, reason } => json!({"from": from, "to": to, "reason": reason}),
            Self::FallbackUsed { via, kind } => json!({"via": via, "kind": kind}),
            Self::CacheInvalidated { scope, of, entries, cause, .. } => {
                let of = of.map(|of| of.chars().take(NAME_SHOWN).collect::<String>());
                let cause = match cause {
                    InvalidationCause::Order => "order",
                    InvalidationCause::Reload => "reload",
                };
                json!({"scope": scope, "of": of, "entries": entries, "cause": cause})
            }
            Self::CacheStoreDegraded { reason } => json!({"reason": reason}),
            Self::ConfigReloaded { result, digest, changes, findings, .. } => {
                let shown: Vec<&String> = changes.iter().take(CHANGES_SHOWN).collect();
                json!({
                    "result": result, "digest": digest, "changed": changes.len(), "changes": shown, "findings": findings
                })
            }
            Self::ConfigRejected { findings, .. } => json!({"findings": findings}),
            Self::WebhookDelivered { target, event, attempts } => {
                json!({"target": target, "event": event, "attempts": attempts})
            }
            Self::WebhookFailed { target, event, attempts, reason } => {
                json!({"target": target, "event": event, "attempts": attempts, "reason": reason})
            }
            Self::WebhookDisabled { target, reason } => json!({"target": target, "reason": reason}),
            Self::StoreDegraded { store, reason } => json!({"store": store, "reason": reason}),
            Self::StoreRecovered { store, away } => json!({"store": store, "away_ms": millis(away)}),
        }
    }
}

fn circuit(change: &Change) -> Value {
    let mut members = json!({
        "from": change.from.as_str(),
        "to": change.to.as_str(),
        "reason": change.reason.as_str(),
        "consecutive_failures": change.consecutive_failures,
    });
    if let (Some(members), Some(open_for)) = (members.as_object_mut(), change.open_for) {
        members.insert("open_for_ms".to_owned(), millis(open_for).into());
    }
    members
}

/// To the microsecond.
fn millis(length: Duration) -> f64 {
    (length.as_secs_f64() * 1e6).round() / 1e3
}
