//! `bulkhead:` and its like → the limits of a source.

use std::time::Duration;

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::readers::adaptive;
use crate::config::readers::rate;
use crate::config::spec::ServerSpec;
use crate::policy::admission::AdmissionSettings;
use crate::policy::admission::bulkhead_defaults;
use crate::policy::limiter::LimiterSettings;
use crate::policy::limiter::QueueOrder;
use crate::policy::throttle::THROTTLE_DEFAULTS;
use crate::policy::throttle::ThrottleSettings;

/// Reads the limits of a source; `node` is all of its policies.
pub(crate) fn admission(node: &Node, server: &ServerSpec, at: &At<'_>, findings: &mut Findings) -> AdmissionSettings {
    AdmissionSettings {
        bulkhead: bulkhead(node, server.limits.concurrency, at, findings),
        adaptive: adaptive::adaptive(node, server.limits.concurrency, &at.key("adaptive_concurrency"), findings),
        rate_limit: rate::rate_limit(node, &at.key("rate_limit"), findings),
        throttle: throttle(node, &at.key("client_throttle"), findings),
    }
}

fn bulkhead(policies: &Node, concurrency: u32, at: &At<'_>, findings: &mut Findings) -> Option<LimiterSettings> {
    let defaults = bulkhead_defaults(concurrency);
    let at = at.key("bulkhead");
    let node = match policies.get("bulkhead") {
        None => return Some(defaults),
        Some(node) if node.is_off() => return None,
        Some(node) => node,
    };
    let settings = LimiterSettings {
        limit: node.count("max_concurrent").unwrap_or(defaults.limit),
        max_waiting: node.count("max_waiting").unwrap_or(defaults.max_waiting),
        queue_timeout: node.duration("queue_timeout").or(defaults.queue_timeout),
        order: if node.word("queue_order") == Some("priority") { QueueOrder::Priority } else { QueueOrder::Fifo },
    };
    if settings.limit > concurrency {
        let more = format!("`max_concurrent` is never reached: `limits.concurrency` is {concurrency}");
        let help = "write a smaller one, or raise `limits.concurrency` in aggd.yaml";
        let span = node.spot_of("max_concurrent");
        findings.warn(&at.key("max_concurrent"), span, problem(codes::NO_EFFECT, more).help(help));
    }
    waiting(node, policies, &at, findings);
    Some(settings)
}

/// What does not fit together in how calls wait.
fn waiting(node: &Node, policies: &Node, at: &At<'_>, findings: &mut Findings) {
    if node.count("max_waiting") == Some(0) {
        for key in ["queue_timeout", "queue_order"].into_iter().filter(|key| node.get(key).is_some()) {
            let unused = problem(codes::NO_EFFECT, format!("`{key}` does nothing: with `max_waiting: 0` nobody waits"));
            findings.warn(&at.key(key), node.spot_of(key), unused.help("remove it, or write a larger `max_waiting`"));
        }
    } else if node.duration("queue_timeout").zip(policies.duration("timeout")).is_some_and(|(wait, all)| wait >= all) {
        let never = problem(codes::TIMEOUT_ORDER, "`queue_timeout` never fires: `timeout` ends the call first");
        let help = "write a shorter `queue_timeout`, or remove it";
        findings.warn(&at.key("queue_timeout"), node.spot_of("queue_timeout"), never.help(help));
    }
}

fn throttle(policies: &Node, at: &At<'_>, findings: &mut Findings) -> Option<ThrottleSettings> {
    let defaults = THROTTLE_DEFAULTS;
    let node = policies.get("client_throttle").filter(|node| !node.is_off())?;
    let settings = ThrottleSettings {
        k: node.number("k").unwrap_or(defaults.k),
        window: node.duration("window").unwrap_or(defaults.window),
        min_requests: node.count("min_requests").unwrap_or(defaults.min_requests),
        max_reject: node.ratio("max_reject").unwrap_or(defaults.max_reject),
    };
    let wrong = if settings.max_reject >= 1.0 {
        Some(("no call would ever show that the upstream is back", "write a share below 1"))
    } else if settings.max_reject <= 0.0 {
        Some(("it never refuses anything", "write a share above 0, or `client_throttle: off`"))
    } else {
        None
    };
    if let Some((what, help)) = wrong {
        let at = at.key("max_reject");
        findings.error(&at, node.spot_of("max_reject"), problem(codes::LIMIT_BOUNDS, what).help(help));
    }
    let timeout = policies.duration("timeout").unwrap_or(Duration::from_secs(5));
    if node.get("window").is_some() && settings.window <= timeout {
        let short = problem(codes::TIMEOUT_ORDER, "`window` forgets calls before they end: `timeout` is as long");
        findings.warn(&at.key("window"), node.spot_of("window"), short.help("write a longer `window`"));
    }
    node.switch("enabled").unwrap_or(true).then_some(settings)
}
