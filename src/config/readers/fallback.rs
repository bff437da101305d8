//! `fallback:` of a source or a route: the steps in order, whether each can ever be of use, and what they are for.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::base::Name;
use crate::base::Pretty;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Entry;
use crate::config::node::Node;
use crate::config::node::Value;
use crate::config::readers::json;
use crate::config::spec::PolicySpec;
use crate::config::values;
use crate::policy::fallback::FallbackOn;
use crate::policy::fallback::FallbackSettings;
use crate::policy::fallback::FallbackSpec;
use crate::policy::fallback::RouteFallbackSpec;
use crate::policy::freshness::CacheSettings;

/// Kept of `timeout` for steps over the network, where the file is silent; at most half of it.
const RESERVE: Duration = Duration::from_millis(200);

/// Reads the fallbacks of a source; `timeout` and `cache` are those of the same source.
pub(crate) fn settings(
    node: &Node,
    timeout: Duration,
    cache: Option<&CacheSettings>,
    at: &At<'_>,
    findings: &mut Findings,
) -> FallbackSettings {
    let steps = fallback(node, cache, at, findings);
    let reserve = fallback_reserve(node, timeout, &steps, at, findings);
    FallbackSettings { on: fallback_on(node, at, findings), reserve, steps }
}

/// Reads `fallback_on:`.
fn fallback_on(node: &Node, at: &At<'_>, findings: &mut Findings) -> FallbackOn {
    let Some(written) = node.get("fallback_on") else { return FallbackOn::failure() };
    if matches!(&written.value, Value::List(items) if items.is_empty()) {
        let none = problem(codes::NO_EFFECT, "an empty `fallback_on`: no step would ever run");
        findings.error(&at.key("fallback_on"), written.span, none.help("list failures, or remove it for `[failure]`"));
    }
    let triggers = written.one_or_many().iter().filter_map(Node::scalar);
    FallbackOn { triggers: triggers.filter_map(|scalar| values::failure(scalar).ok()).collect() }
}

/// Reads `fallback_reserve:`; `timeout` and `steps` are those of the same source.
fn fallback_reserve(
    node: &Node,
    timeout: Duration,
    steps: &[FallbackSpec],
    at: &At<'_>,
    findings: &mut Findings,
) -> Duration {
    let Some(reserve) = node.duration("fallback_reserve") else { return RESERVE.min(timeout / 2) };
    if reserve < timeout {
        return reserve;
    }
    // One of `defaults` may be too long for a source that has no use for it.
    if !networked(steps) {
        return timeout / 2;
    }
    let message = format!("`fallback_reserve` leaves nothing of `timeout` ({}) for the call itself", Pretty(timeout));
    let help = "write a shorter `fallback_reserve`, or a longer `timeout`";
    let wrong = problem(codes::TIMEOUT_ORDER, message).help(help);
    findings.error(&at.key("fallback_reserve"), node.spot_of("fallback_reserve"), wrong);
    timeout / 2
}

fn networked(steps: &[FallbackSpec]) -> bool {
    steps.iter().any(|step| matches!(step, FallbackSpec::Source(_)))
}

/// Tells keys of a source that have no step to act on. Steps may come from `defaults`, the keys may not; written out
/// defaults do no harm.
pub(crate) fn without_steps(own: &Node, policies: &PolicySpec, at: &At<'_>, findings: &mut Findings) {
    let steps = policies.fallback.steps.as_slice();
    let other_failures = policies.fallback.on != FallbackOn::failure();
    let other_reserve = own.duration("fallback_reserve").is_some_and(|reserve| reserve != RESERVE);
    for (key, is_idle, needs) in [
        ("fallback_on", other_failures && steps.is_empty(), "there is no `fallback`"),
        ("fallback_reserve", other_reserve && !networked(steps), "no step of `fallback` is a `source`"),
    ] {
        if let Some(entry) = own.entry(key).filter(|_| is_idle) {
            let idle = problem(codes::NO_EFFECT, format!("`{key}` does nothing here: {needs}"));
            findings.error(&at.key(key), entry.at, idle.help("remove it"));
        }
    }
}

/// Reads the steps; `cache` is that of the same source.
fn fallback(node: &Node, cache: Option<&CacheSettings>, at: &At<'_>, findings: &mut Findings) -> Vec<FallbackSpec> {
    let at = at.key("fallback");
    let mut read: Vec<FallbackSpec> = Vec::new();
    for (index, step) in node.get("fallback").map(Node::items).unwrap_or_default().iter().enumerate() {
        let at = at.item(index);
        let Some(only) = only_kind(step, &at, findings) else { continue };
        if read.iter().any(|step| matches!(step, FallbackSpec::Value(_))) {
            let dead = problem(codes::NO_EFFECT, "this step is never reached: the `value` before it always answers");
            findings.error(&at, only.at, dead.help("move it before `value`, or remove it"));
            continue;
        }
        let Some(step) = one_step(&only.key, &only.value, &at, findings) else { continue };
        if let FallbackSpec::Stale { max_age } = step {
            useless_stale(max_age, cache, &read, only, &at, findings);
        }
        read.push(step);
    }
    read
}

/// What the step is; told where it is nothing, or more than one thing.
fn only_kind<'n>(step: &'n Node, at: &At<'_>, findings: &mut Findings) -> Option<&'n Entry> {
    let is_kind = |entry: &&Entry| matches!(entry.key.as_str(), "stale" | "source" | "value");
    let kinds: Vec<_> = step.entries().iter().filter(is_kind).collect();
    match kinds.as_slice() {
        [only] => return Some(only),
        [] if step.is_map() => {
            let none = problem(codes::EXCLUSIVE_KEYS, "a step of `fallback` without `stale`, `source` or `value`");
            findings.error(at, step.span, none.help("write one of them: `- value: {}`"));
        }
        [_, second, ..] => {
            let two = problem(codes::EXCLUSIVE_KEYS, "a step of `fallback` is one of `stale`, `source` and `value`");
            findings.error(at, second.at, two.help(format!("begin a step of its own: `- {}: …`", second.key)));
        }
        [] => {}
    }
    None
}

fn one_step(kind: &str, value: &Node, at: &At<'_>, findings: &mut Findings) -> Option<FallbackSpec> {
    match kind {
        "stale" => Some(FallbackSpec::Stale { max_age: value.duration("max_age")? }),
        "source" => Some(FallbackSpec::Source(Name::parse(value.text()?)?)),
        _ => Some(FallbackSpec::Value(Arc::from(json(value, &at.key("value"), findings)))),
    }
}

/// A `stale` step that finds nothing which was not tried before it. Warnings: part of it may come from `defaults`.
fn useless_stale(
    max_age: Duration,
    cache: Option<&CacheSettings>,
    before: &[FallbackSpec],
    only: &Entry,
    at: &At<'_>,
    findings: &mut Findings,
) {
    let tried = |step: &FallbackSpec| matches!(step, FallbackSpec::Stale { max_age: before } if *before >= max_age);
    let (what, help) = match cache {
        None => ("the cache of this source is off", "remove the step, or `cache: off`"),
        // Those of a longer `stale_if_error` are no reason: it does not hold for every failure that falls back.
        Some(_) if before.iter().any(tried) => ("a `stale` step before it reaches as far", "remove the step"),
        Some(_) => return,
    };
    let unused = problem(codes::NO_EFFECT, format!("`stale` finds nothing: {what}"));
    findings.warn(&at.key("stale"), only.at, unused.help(help));
}

/// Reads `fallback:` of a route; `can_fail`: whether anything makes it answer other than 200.
pub(crate) fn of_route(node: &Node, can_fail: bool, at: &At<'_>, findings: &mut Findings) -> Vec<RouteFallbackSpec> {
    let at = at.key("fallback");
    let steps = node.get("fallback").map(Node::items).unwrap_or_default();
    if let (false, Some(entry)) = (can_fail || steps.is_empty(), node.entry("fallback")) {
        let idle = problem(codes::NO_EFFECT, "`fallback` never runs: this route answers 200 whatever its sources do");
        let help = "add `required: true` to a part or `min_sources` to the route, or remove `fallback`";
        findings.error(&at, entry.at, idle.help(help));
    }
    let mut read: Vec<RouteFallbackSpec> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let at = at.item(index);
        if read.iter().any(|step| matches!(step, RouteFallbackSpec::Value { .. })) {
            let dead = problem(codes::NO_EFFECT, "this step is never reached: the `value` before it always answers");
            findings.error(&at, step.span, dead.help("move it before `value`, or remove it"));
            continue;
        }
        match (step.entry("stale"), step.entry("value")) {
            (Some(stale), None) => {
                read.extend(stale.value.duration("max_age").map(|max_age| RouteFallbackSpec::Stale { max_age }));
                if let Some(status) = step.entry("status") {
                    let idle =
                        problem(codes::NO_EFFECT, "`status` is for `value`: with old copies the answer is a 200");
                    findings.error(&at.key("status"), status.at, idle.help("remove it"));
                }
            }
            (None, Some(value)) => {
                let body = Arc::from(json(&value.value, &at.key("value"), findings));
                read.push(RouteFallbackSpec::Value { body, status: status(step, &at, findings) });
            }
            (None, None) if step.is_map() => {
                let none = problem(codes::EXCLUSIVE_KEYS, "a step of a route's `fallback` without `stale` or `value`");
                let help = match step.entry("source") {
                    Some(_) => "write `fallback: [{ source: … }]` in the `source:` document of the part",
                    None => "write one of them: `- value: {}`",
                };
                findings.error(&at, step.span, none.help(help));
            }
            (Some(_), Some(second)) => {
                let two =
                    problem(codes::EXCLUSIVE_KEYS, "a step of a route's `fallback` is one of `stale` and `value`");
                findings.error(&at, second.at, two.help("begin a step of its own: `- value: …`"));
            }
            (None, None) => {}
        }
    }
    read
}

fn status(step: &Node, at: &At<'_>, findings: &mut Findings) -> StatusCode {
    let status = step.whole("status").and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
    if matches!(status.as_u16(), 204 | 205 | 300..=399) {
        let wrong =
            problem(codes::BAD_NUMBER, format!("an answer with the status {} has no document", status.as_u16()));
        findings.error(&at.key("status"), step.spot_of("status"), wrong.help("write `200`, `203` or `503`"));
    }
    status
}
