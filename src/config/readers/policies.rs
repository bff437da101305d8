//! The policies of a source, `defaults` merged in.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Name;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::readers::admission;
use crate::config::readers::breaker;
use crate::config::readers::cache;
use crate::config::readers::json;
use crate::config::spec::FallbackSpec;
use crate::config::spec::PolicySpec;
use crate::config::spec::ServerSpec;
use crate::policy::freshness::CacheSettings;

/// Used where the file is silent.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the policies; some defaults are the server's.
pub(crate) fn policies(node: &Node, server: &ServerSpec, at: &At<'_>, findings: &mut Findings) -> PolicySpec {
    let cache = cache::cache(node.get("cache"), &at.key("cache"), findings);
    let spec = PolicySpec {
        timeout: node.duration("timeout").unwrap_or(TIMEOUT),
        attempt_timeout: node.duration("attempt_timeout"),
        connect_timeout: node.duration("connect_timeout").unwrap_or(server.client.connect_timeout),
        read_timeout: node.duration("read_timeout"),
        breaker: breaker::breaker(node.get("breaker"), &at.key("breaker"), findings),
        admission: admission::admission(node, server, at, findings),
        fallback: fallback(node, cache.as_ref(), at, findings),
        cache,
    };
    let told = node.get("timeout").is_some() && node.duration("timeout").is_none();
    if !told && spec.attempt_timeout.is_some_and(|attempt| attempt >= spec.timeout) {
        let help = "write a shorter `attempt_timeout`, or remove it";
        let problem =
            problem(codes::TIMEOUT_ORDER, "`attempt_timeout` never fires: `timeout` ends the call first").help(help);
        findings.warn(&at.key("attempt_timeout"), node.spot_of("attempt_timeout"), problem);
    }
    spec
}

fn fallback(node: &Node, cache: Option<&CacheSettings>, at: &At<'_>, findings: &mut Findings) -> Vec<FallbackSpec> {
    let at = at.key("fallback");
    let steps = node.get("fallback").map(Node::items).unwrap_or_default();
    let mut read = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let at = at.item(index);
        let kinds: Vec<_> =
            step.entries().iter().filter(|entry| matches!(entry.key.as_str(), "stale" | "source" | "value")).collect();
        match kinds.as_slice() {
            [only] => {
                if only.key == "stale" && cache.is_none() {
                    let unused = problem(codes::NO_EFFECT, "`stale` finds nothing: the cache of this source is off");
                    findings.warn(&at.key("stale"), only.at, unused.help("remove the step, or `cache: off`"));
                }
                read.extend(one_step(&only.key, &only.value, &at, findings));
            }
            [] if step.is_map() => {
                let none = problem(codes::EXCLUSIVE_KEYS, "a step of `fallback` without `stale`, `source` or `value`");
                findings.error(&at, step.span, none.help("write one of them: `- value: {}`"));
            }
            [_, second, ..] => {
                let two =
                    problem(codes::EXCLUSIVE_KEYS, "a step of `fallback` is one of `stale`, `source` and `value`");
                findings.error(&at, second.at, two.help(format!("begin a step of its own: `- {}: …`", second.key)));
            }
            [] => {}
        }
    }
    read
}

fn one_step(kind: &str, value: &Node, at: &At<'_>, findings: &mut Findings) -> Option<FallbackSpec> {
    match kind {
        "stale" => Some(FallbackSpec::Stale { max_age: value.duration("max_age")? }),
        "source" => Some(FallbackSpec::Source(Name::parse(value.text()?)?)),
        _ => Some(FallbackSpec::Value(Arc::from(json(value, &at.key("value"), findings)))),
    }
}
