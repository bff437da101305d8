//! `strategy:` → its settings, with what only shows where it meets `retry` and the endpoints.

use std::time::Duration;

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::spec::HttpSpec;
use crate::config::spec::PolicySpec;
use crate::config::values;
use crate::policy::retry::RetrySettings;
use crate::policy::strategy::HEDGE_DEFAULTS;
use crate::policy::strategy::HedgeDelay;
use crate::policy::strategy::HedgeSettings;
use crate::policy::strategy::Order;
use crate::policy::strategy::StrategyKind;
use crate::policy::strategy::StrategySettings;

/// What only a percentile needs.
const OF_A_PERCENTILE: [&str; 4] = ["delay_bounds", "min_samples", "delay_fallback", "window"];

/// Reads `strategy:` of the policies in `node`. Attempts of a hedged call are those of `hedge`, so `retry` makes none.
pub(crate) fn strategy(
    node: &Node,
    retry: &mut RetrySettings,
    at: &At<'_>,
    findings: &mut Findings,
) -> StrategySettings {
    let own = node.get("strategy");
    let word = own.and_then(|own| own.text().or(own.word("type")));
    let order = match own.and_then(|own| own.word("order")) {
        Some("round_robin") => Order::RoundRobin,
        Some("random") => Order::Random,
        Some("least_pending") => Order::LeastPending,
        Some(_) | None => Order::Declared,
    };
    let at_strategy = at.key("strategy");
    let hedge = own.and_then(|own| own.get("hedge"));
    let kind = match word {
        Some("hedged") => {
            exclusive(node, at, findings);
            retry.max_attempts = 1;
            StrategyKind::Hedged(self::hedge(hedge, &at_strategy.key("hedge"), findings))
        }
        other => {
            if let (Some(own), Some(hedge)) = (own, hedge) {
                let unused = problem(codes::NO_EFFECT, "`hedge` does nothing: this strategy is not `hedged`");
                let help = "write `type: hedged`, or remove `hedge`";
                findings.warn(
                    &at_strategy.key("hedge"),
                    own.entry("hedge").map_or(hedge.span, |entry| entry.at),
                    unused.help(help),
                );
            }
            if other == Some("sequential") { StrategyKind::Sequential } else { StrategyKind::Single }
        }
    };
    if let (StrategyKind::Sequential, Some(own), 1) = (kind, own, retry.max_attempts) {
        let once = problem(codes::NO_EFFECT, "`sequential` goes nowhere: this source makes one attempt");
        findings.warn(&at_strategy, own.span, once.help("add `retry: {}`, or write `single`"));
    }
    StrategySettings { kind, order }
}

/// Attempts are made by `retry` or by `hedge`.
fn exclusive(node: &Node, at: &At<'_>, findings: &mut Findings) {
    let Some(retry) =
        node.get("retry").filter(|retry| retry.count("max_attempts").is_some_and(|attempts| attempts > 1))
    else {
        return;
    };
    let at = at.key("retry");
    let both = problem(codes::EXCLUSIVE_KEYS, "a hedged source makes its attempts by `hedge`, none by `retry`");
    let help = "write `max_attempts` under `strategy.hedge`, and remove it here";
    findings.error(&at.key("max_attempts"), retry.spot_of("max_attempts"), both.help(help));
}

fn hedge(node: Option<&Node>, at: &At<'_>, findings: &mut Findings) -> HedgeSettings {
    let defaults = HEDGE_DEFAULTS;
    let Some(node) = node else { return defaults };
    let delay = node.get("delay").and_then(|delay| values::delay(delay.scalar()?).ok()).unwrap_or(defaults.delay);
    if let HedgeDelay::Fixed(_) = delay {
        for key in OF_A_PERCENTILE.into_iter().filter(|key| node.get(key).is_some()) {
            let unused = problem(codes::NO_EFFECT, format!("`{key}` does nothing: the `delay` is no percentile"));
            findings.warn(&at.key(key), node.spot_of(key), unused.help("write `delay: p95`, or remove it"));
        }
    }
    HedgeSettings {
        max_attempts: node.count("max_attempts").unwrap_or(defaults.max_attempts),
        delay,
        delay_bounds: bounds(node, at, findings).unwrap_or(defaults.delay_bounds),
        min_samples: node.whole("min_samples").unwrap_or(defaults.min_samples),
        delay_fallback: node.duration("delay_fallback").unwrap_or(defaults.delay_fallback),
        window: node.duration("window").unwrap_or(defaults.window),
        max_extra_load: node.ratio("max_extra_load").unwrap_or(defaults.max_extra_load),
    }
}

fn bounds(node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<(Duration, Duration)> {
    let list = node.get("delay_bounds")?;
    let read: Vec<_> = list.items().iter().filter_map(|item| values::duration(item.scalar()?, false).ok()).collect();
    match read[..] {
        [least, most] if least <= most => Some((least, most)),
        _ => {
            let odd = problem(codes::BAD_DURATION, "`delay_bounds` takes two durations, the shorter one first");
            findings.error(&at.key("delay_bounds"), list.span, odd.help("write `delay_bounds: [20ms, 2s]`"));
            None
        }
    }
}

/// What shows where the strategy meets the endpoints.
pub(crate) fn check(own: &Node, http: &HttpSpec, policies: &PolicySpec, at: &At<'_>, findings: &mut Findings) {
    let at_endpoints = at.key("endpoints");
    let endpoints = own.get("endpoints").map(Node::items).unwrap_or_default();
    if policies.strategy.order == Order::Declared {
        for (index, item) in endpoints.iter().enumerate().filter(|(_, item)| item.get("weight").is_some()) {
            let unused = problem(codes::NO_EFFECT, "`weight` does nothing by the order in which they are declared");
            let help = "write `strategy: { order: round_robin }`, or remove it";
            findings.warn(&at_endpoints.item(index).key("weight"), item.spot_of("weight"), unused.help(help));
        }
    }
    if policies.strategy.hedge().is_none() {
        return;
    }
    let span = own.entry("strategy").map_or_else(|| own.spot_of("source"), |entry| entry.value.span);
    let at = at.key("strategy");
    if http.endpoints.iter().any(|endpoint| endpoint.url.origin.starts_with("http:")) {
        let churn = problem(
            codes::HEDGE_PLAIN,
            "each attempt that loses closes its connection: `http://` has one call on each",
        );
        findings.warn(&at, span, churn.help("hedge `https://` upstreams that speak HTTP/2, or accept new connections"));
    }
    if !policies.retry.may_repeat(&http.method) {
        let never = problem(codes::NO_EFFECT, format!("a {} is never hedged: it may not be made twice", http.method));
        findings.warn(&at, span, never.help("write `retry: { idempotent: true }` where it may"));
    }
}
