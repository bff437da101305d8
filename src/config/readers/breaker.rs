//! `breaker:` → its settings, with what only shows where its keys meet.

use std::time::Duration;

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::node::Scalar;
use crate::config::values;
use crate::policy::breaker::BREAKER_DEFAULTS;
use crate::policy::breaker::BreakerSettings;
use crate::policy::breaker::HalfOpenSettings;
use crate::policy::breaker::OpenBackoff;
use crate::policy::breaker::Throttled;
use crate::policy::breaker::WindowSettings;
use crate::policy::breaker::WindowShape;

const BUCKETS: u32 = 10;
const MINIMUM_THROUGHPUT: u32 = 20;

/// Reads `breaker:`.
pub(crate) fn breaker(node: Option<&Node>, at: &At<'_>, findings: &mut Findings) -> BreakerSettings {
    let defaults = BREAKER_DEFAULTS;
    let Some(node) = node else { return defaults };
    if node.is_off() {
        return BreakerSettings { enabled: false, ..defaults };
    }
    let throttled = if node.word("throttled") == Some("failure") { Throttled::Failure } else { defaults.throttled };
    let settings = BreakerSettings {
        enabled: node.switch("enabled").unwrap_or(defaults.enabled),
        failure_threshold: node.count("failure_threshold").unwrap_or(defaults.failure_threshold),
        window: node
            .get("window")
            .filter(|window| window.is_map())
            .and_then(|node| window(node, &at.key("window"), findings)),
        recovery_timeout: node.duration("recovery_timeout").unwrap_or(defaults.recovery_timeout),
        open_backoff: open_backoff(node.get("open_backoff"), defaults.open_backoff),
        honor_retry_after: node.switch("honor_retry_after").unwrap_or(defaults.honor_retry_after),
        half_open: half_open(node.get("half_open"), &at.key("half_open"), findings),
        throttled,
    };
    let has_window = node.get("window").is_some_and(Node::is_map);
    if settings.enabled && settings.failure_threshold == 0 && !has_window {
        let never = problem(
            codes::BREAKER_NEVER,
            "this breaker never opens: `failure_threshold` is 0 and there is no `window`",
        );
        let help = "write a `failure_threshold` of at least 1, a `window`, or `breaker: off`";
        findings.error(&at.key("failure_threshold"), node.spot_of("failure_threshold"), never.help(help));
    }
    if settings.open_backoff.max < settings.recovery_timeout {
        let spot = node.get("open_backoff").filter(|backoff| backoff.entry("max").is_some());
        let span = spot.map_or_else(|| node.spot_of("recovery_timeout"), |backoff| backoff.spot_of("max"));
        let shorter = problem(
            codes::TIMEOUT_ORDER,
            "`open_backoff.max` is shorter than `recovery_timeout`, so the circuit opens for `max`",
        );
        findings.warn(at, span, shorter.help("write an `open_backoff.max` of at least `recovery_timeout`"));
    }
    settings
}

fn open_backoff(node: Option<&Node>, defaults: OpenBackoff) -> OpenBackoff {
    let Some(node) = node else { return defaults };
    OpenBackoff {
        multiplier: node.number("multiplier").unwrap_or(defaults.multiplier),
        max: node.duration("max").unwrap_or(defaults.max),
        jitter: node.ratio("jitter").unwrap_or(defaults.jitter),
    }
}

fn half_open(node: Option<&Node>, at: &At<'_>, findings: &mut Findings) -> HalfOpenSettings {
    let defaults = BREAKER_DEFAULTS.half_open;
    let Some(node) = node else { return defaults };
    let settings = HalfOpenSettings {
        max_probes: node.count("max_probes").unwrap_or(defaults.max_probes),
        success_threshold: node.count("success_threshold").unwrap_or(defaults.success_threshold),
        failure_threshold: node.count("failure_threshold").unwrap_or(defaults.failure_threshold),
        probe_lease: node.duration("probe_lease"),
    };
    if settings.max_probes > settings.success_threshold {
        let more =
            problem(codes::PROBES, "more probes at a time than successes that close the circuit: never so many run");
        let help = format!("write `max_probes: {}`, or a larger `success_threshold`", settings.success_threshold);
        findings.warn(&at.key("max_probes"), node.spot_of("max_probes"), more.help(help));
    }
    settings
}

fn window(node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<WindowSettings> {
    let minimum_throughput = node.count("minimum_throughput").unwrap_or(MINIMUM_THROUGHPUT);
    let failure_rate = node.ratio("failure_rate");
    let slow_call_duration = node.duration("slow_call_duration");
    let slow_call_rate = node.ratio("slow_call_rate");
    rates(node, at, findings);
    let size = node.get("size").and_then(Node::scalar)?;
    let shape = if node.word("type") == Some("count") {
        count_window(node, size, minimum_throughput, at, findings)
    } else {
        time_window(node, size, at, findings)
    };
    Some(WindowSettings { shape: shape?, minimum_throughput, failure_rate, slow_call_duration, slow_call_rate })
}

/// What it takes for a window to open anything.
fn rates(node: &Node, at: &At<'_>, findings: &mut Findings) {
    let has = |key: &str| node.get(key).is_some();
    if !has("failure_rate") && !has("slow_call_rate") {
        let none = problem(codes::BAD_WINDOW, "a window without `failure_rate` or `slow_call_rate` opens nothing");
        findings.error(at, node.spot_of("size"), none.help("add `failure_rate: 50%`"));
    }
    for (present, absent, sample) in
        [("slow_call_rate", "slow_call_duration", "2s"), ("slow_call_duration", "slow_call_rate", "80%")]
    {
        if has(present) && !has(absent) {
            let half = problem(codes::BAD_WINDOW, format!("`{present}` does nothing without `{absent}`"));
            findings.error(&at.key(present), node.spot_of(present), half.help(format!("add `{absent}: {sample}`")));
        }
    }
}

fn time_window(node: &Node, size: &Scalar, at: &At<'_>, findings: &mut Findings) -> Option<WindowShape> {
    let span = node.spot_of("size");
    let buckets = node.count("buckets").unwrap_or(BUCKETS);
    match values::duration(size, false) {
        Ok(size) if size.as_nanos().is_multiple_of(u128::from(buckets.max(1))) => {
            Some(WindowShape::Time { size, buckets })
        }
        Ok(size) => {
            let message = format!("a window of {size:?} is not divisible by {buckets} buckets");
            let uneven = problem(codes::BAD_WINDOW, message);
            let key = if node.entry("buckets").is_some() { "buckets" } else { "size" };
            findings.error(&at.key(key), node.spot_of(key), uneven.help(divisor(size, buckets)));
            None
        }
        Err(mut wrong) => {
            if node.entry("type").is_none() && values::whole(size, 1, u64::MAX).is_ok() {
                wrong.help = wrong.help.map(|help| format!("{help}, or add `type: count`"));
            }
            findings.error(&at.key("size"), span, wrong);
            None
        }
    }
}

/// A number of buckets that divides the window: a common one, else the next below.
fn divisor(size: Duration, buckets: u32) -> String {
    let divides = |n: &u32| size.as_nanos().is_multiple_of(u128::from(*n));
    let best = [BUCKETS, 5].into_iter().chain((1..buckets.min(10_000)).rev()).find(divides).unwrap_or(1);
    format!("write `buckets: {best}`")
}

fn count_window(node: &Node, size: &Scalar, minimum: u32, at: &At<'_>, findings: &mut Findings) -> Option<WindowShape> {
    if let Some(entry) = node.entry("buckets") {
        let unused = problem(codes::NO_EFFECT, "`buckets` does nothing with `type: count`").help("remove it");
        findings.error(&at.key("buckets"), entry.at, unused);
    }
    let span = node.spot_of("size");
    match values::whole(size, 1, 1_000_000) {
        Ok(size) => {
            let size = u32::try_from(size).ok()?;
            if size < minimum {
                let small = problem(
                    codes::BAD_WINDOW,
                    format!("a window of {size} calls never holds the {minimum} of `minimum_throughput`"),
                );
                let help = format!("write a `size` of at least {minimum}, or `minimum_throughput: {size}`");
                findings.error(&at.key("size"), span, small.help(help));
                return None;
            }
            Some(WindowShape::Count { size })
        }
        Err(problem) => {
            findings.error(&at.key("size"), span, problem);
            None
        }
    }
}
