//! The policies of a source, `defaults` merged in.

use std::time::Duration;

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::readers::admission;
use crate::config::readers::breaker;
use crate::config::readers::cache;
use crate::config::readers::fallback::settings;
use crate::config::readers::retry;
use crate::config::readers::strategy;
use crate::config::spec::PolicySpec;
use crate::config::spec::ServerSpec;
use crate::policy::deadline::MIN_ATTEMPT_BUDGET;

/// Used where the file is silent.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the policies; some defaults are the server's.
pub(crate) fn policies(node: &Node, server: &ServerSpec, at: &At<'_>, findings: &mut Findings) -> PolicySpec {
    let mut retry = retry::retry(node.get("retry"), &at.key("retry"), findings);
    let strategy = strategy::strategy(node, &mut retry, at, findings);
    let cache = cache::cache(node.get("cache"), &at.key("cache"), findings);
    let timeout = node.duration("timeout").unwrap_or(TIMEOUT);
    let fallback = settings(node, timeout, cache.as_ref(), at, findings);
    let spec = PolicySpec {
        timeout,
        attempt_timeout: node.duration("attempt_timeout"),
        connect_timeout: node.duration("connect_timeout").unwrap_or(server.client.connect_timeout),
        read_timeout: node.duration("read_timeout"),
        min_attempt_budget: node.duration("min_attempt_budget").unwrap_or(MIN_ATTEMPT_BUDGET),
        split_deadline: node.word("deadline_split") == Some("even"),
        strategy,
        retry,
        one_circuit: node.get("breaker").and_then(|breaker| breaker.word("scope")) == Some("source"),
        breaker: breaker::breaker(node.get("breaker"), &at.key("breaker"), findings),
        admission: admission::admission(node, server, at, findings),
        fallback,
        cache,
    };
    let told = node.get("timeout").is_some() && node.duration("timeout").is_none();
    if !told && spec.attempt_timeout.is_some_and(|attempt| attempt >= spec.timeout) {
        let help = "write a shorter `attempt_timeout`, or remove it";
        let problem =
            problem(codes::TIMEOUT_ORDER, "`attempt_timeout` never fires: `timeout` ends the call first").help(help);
        findings.warn(&at.key("attempt_timeout"), node.spot_of("attempt_timeout"), problem);
    }
    if spec.split_deadline && spec.retry.max_attempts == 1 {
        let once = problem(codes::NO_EFFECT, "`deadline_split` does nothing: there is one attempt to share among");
        let help = "add `retry: {}`, or remove it; hedges share nothing";
        findings.warn(&at.key("deadline_split"), node.spot_of("deadline_split"), once.help(help));
    }
    if spec.min_attempt_budget >= spec.timeout {
        let never =
            problem(codes::TIMEOUT_ORDER, "nothing is ever sent: `timeout` is no longer than `min_attempt_budget`");
        let help = "write a shorter `min_attempt_budget`";
        findings.error(&at.key("min_attempt_budget"), node.spot_of("min_attempt_budget"), never.help(help));
    }
    spec
}
