//! `retry:` → its settings, with what only shows where its keys meet.

use std::borrow::Cow;

use http::HeaderName;
use http::Method;

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::values;
use crate::policy::outcome::Selector;
use crate::policy::retry::BackoffSettings;
use crate::policy::retry::BackoffStrategy;
use crate::policy::retry::BudgetSettings;
use crate::policy::retry::IdempotencyKey;
use crate::policy::retry::Jitter;
use crate::policy::retry::KeyFrom;
use crate::policy::retry::RETRY_OFF;
use crate::policy::retry::RetryAfterSettings;
use crate::policy::retry::RetrySettings;

/// Used where `idempotency_key` names no header.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Reads `retry:`; without it, one attempt is made.
pub(crate) fn retry(node: Option<&Node>, at: &At<'_>, findings: &mut Findings) -> RetrySettings {
    let off = RETRY_OFF;
    let Some(node) = node.filter(|node| node.is_map()) else { return off };
    RetrySettings {
        max_attempts: node.count("max_attempts").unwrap_or(RetrySettings::DEFAULT_ATTEMPTS),
        retry_on: node.get("retry_on").map_or(off.retry_on, |list| selectors(list).into()),
        methods: node.get("methods").map_or(off.methods, methods),
        idempotent: node.switch("idempotent"),
        idempotency_key: node.get("idempotency_key").and_then(idempotency_key),
        backoff: backoff(node.get("backoff"), &at.key("backoff"), findings),
        retry_after: retry_after(node.get("retry_after"), off.retry_after),
        delay_on_failover: node.switch("delay_on_failover").unwrap_or(off.delay_on_failover),
        budget: if node.is_switched_off("budget") {
            None
        } else {
            off.budget.map(|set| budget(node.get("budget"), set))
        },
    }
}

/// A list of selectors, or one alone.
pub(crate) fn selectors(list: &Node) -> Vec<Selector> {
    list.one_or_many().iter().filter_map(|item| values::selector(item.scalar()?).ok()).collect()
}

fn methods(list: &Node) -> Cow<'static, [Method]> {
    list.items().iter().filter_map(|item| Method::from_bytes(item.text()?.as_bytes()).ok()).collect()
}

fn idempotency_key(node: &Node) -> Option<IdempotencyKey> {
    if !node.is_map() {
        return None;
    }
    let header = node.get("header").and_then(|name| values::header_name(name.scalar()?).ok());
    let from = if node.word("from") == Some("hash") { KeyFrom::Hash } else { KeyFrom::Uuid };
    Some(IdempotencyKey { header: header.unwrap_or(IDEMPOTENCY_KEY), from })
}

fn backoff(node: Option<&Node>, at: &At<'_>, findings: &mut Findings) -> BackoffSettings {
    let defaults = RETRY_OFF.backoff;
    let Some(node) = node else { return defaults };
    let settings = BackoffSettings {
        strategy: match node.word("strategy") {
            Some("linear") => BackoffStrategy::Linear,
            Some("constant") => BackoffStrategy::Constant,
            Some("decorrelated") => BackoffStrategy::Decorrelated,
            Some("none") => BackoffStrategy::None,
            Some(_) | None => defaults.strategy,
        },
        base: node.duration("base").unwrap_or(defaults.base),
        max: node.duration("max").unwrap_or(defaults.max),
        multiplier: node.number("multiplier").unwrap_or(defaults.multiplier),
        jitter: match node.word("jitter") {
            Some("none") => Jitter::None,
            Some("equal") => Jitter::Equal,
            Some("proportional") => Jitter::Proportional,
            Some(_) | None => defaults.jitter,
        },
        jitter_ratio: node.ratio("jitter_ratio").unwrap_or(defaults.jitter_ratio),
    };
    if settings.base > settings.max && settings.strategy != BackoffStrategy::None {
        let longer = problem(codes::TIMEOUT_ORDER, "`base` is longer than `max`, so every delay is `max`");
        let key = if node.entry("base").is_some() { "base" } else { "max" };
        findings.warn(&at.key(key), node.spot_of(key), longer.help("write a `max` of at least `base`"));
    }
    unused(node, &settings, at, findings);
    settings
}

/// Keys that this strategy and this jitter do not read.
fn unused(node: &Node, set: &BackoffSettings, at: &At<'_>, findings: &mut Findings) {
    let no_delay = set.strategy == BackoffStrategy::None;
    let drawn = set.strategy == BackoffStrategy::Decorrelated;
    let unused = [
        ("base", no_delay, "there is no delay", "strategy: none"),
        ("max", no_delay, "there is no delay", "strategy: none"),
        ("jitter", no_delay, "there is no delay", "strategy: none"),
        ("jitter", drawn, "its delays are drawn already", "strategy: decorrelated"),
        ("multiplier", set.strategy != BackoffStrategy::Exponential, "it belongs to `exponential`", "strategy"),
        (
            "jitter_ratio",
            set.jitter != Jitter::Proportional || no_delay || drawn,
            "it belongs to `proportional`",
            "jitter",
        ),
    ];
    for (key, _, why, beside) in unused.into_iter().filter(|(key, unused, ..)| *unused && node.get(key).is_some()) {
        let nothing = problem(codes::NO_EFFECT, format!("`{key}` does nothing beside this `{beside}`: {why}"));
        findings.warn(&at.key(key), node.spot_of(key), nothing.help("remove it"));
    }
}

fn retry_after(node: Option<&Node>, defaults: RetryAfterSettings) -> RetryAfterSettings {
    let Some(node) = node else { return defaults };
    RetryAfterSettings {
        respect: node.switch("respect").unwrap_or(defaults.respect),
        max: node.duration("max").unwrap_or(defaults.max),
        jitter_ratio: node.ratio("jitter_ratio").unwrap_or(defaults.jitter_ratio),
    }
}

fn budget(node: Option<&Node>, defaults: BudgetSettings) -> BudgetSettings {
    let Some(node) = node else { return defaults };
    BudgetSettings {
        ratio: node.ratio("ratio").unwrap_or(defaults.ratio),
        min_per_sec: node.number("min_per_sec").unwrap_or(defaults.min_per_sec),
        ttl: node.duration("ttl").unwrap_or(defaults.ttl),
    }
}
