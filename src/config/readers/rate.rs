//! `rate_limit:` of a source → its settings.

use std::num::NonZeroU32;

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::spec::ParamKind;
use crate::config::spec::ParamSpec;
use crate::config::values;
use crate::policy::gcra::Quota;
use crate::policy::rate::Cost;
use crate::policy::rate::RATE_WAIT_DEFAULTS;
use crate::policy::rate::RateLimitSettings;
use crate::policy::rate::RateWait;

/// Reads `rate_limit:`; `policies` is all of the source's policies. `None`: off, or too little of it is right.
pub(crate) fn rate_limit(policies: &Node, at: &At<'_>, findings: &mut Findings) -> Option<RateLimitSettings> {
    let node = policies.get("rate_limit").filter(|node| node.is_map())?;
    let cost = cost(node, at, findings);
    let rejects = node.word("mode") == Some("reject");
    waiting(node, policies, rejects, at, findings);
    let rate = node.rate("rate")?;
    let burst = node.count("burst").and_then(NonZeroU32::new).unwrap_or(rate.count);
    if let Cost::Fixed(cost) = cost
        && cost > burst.get()
    {
        let more = problem(codes::RATE_COST, format!("a call takes {cost}, and there are never more than {burst}"));
        let help = format!("write `burst: {cost}` at least, or a smaller `cost`");
        findings.error(&at.key("cost"), node.spot_of("cost"), more.help(help));
    }
    let wait = RateWait {
        max_wait: node.duration("max_wait").unwrap_or(RATE_WAIT_DEFAULTS.max_wait),
        max_queue: node.count("max_queue").unwrap_or(RATE_WAIT_DEFAULTS.max_queue),
    };
    Some(RateLimitSettings {
        quota: Quota::new(rate, burst),
        cost,
        wait: (!rejects).then_some(wait),
        pause_on_429: node.switch("pause_on_429").unwrap_or(true),
    })
}

/// The parameter that says what a call costs, if one does.
pub(crate) fn cost_of(source: &Node) -> Option<String> {
    source.get("rate_limit")?.word("cost").and_then(placeholder)
}

fn placeholder(text: &str) -> Option<String> {
    let name = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    Some(name.trim().to_owned())
}

/// `3`, or `"{weight}"`.
fn cost(node: &Node, at: &At<'_>, findings: &mut Findings) -> Cost {
    let Some(scalar) = node.get("cost").and_then(Node::scalar) else { return Cost::Fixed(1) };
    if let Some(name) = placeholder(&scalar.text) {
        return Cost::Param(name);
    }
    match values::whole(scalar, 1, 1_000_000) {
        Ok(cost) => Cost::Fixed(u32::try_from(cost).unwrap_or(u32::MAX)),
        Err(wrong) => {
            let help = "write a whole number from 1 to 1000000, or a placeholder of a parameter: `cost: \"{weight}\"`";
            findings.error(&at.key("cost"), node.spot_of("cost"), wrong.help(help));
            Cost::Fixed(1)
        }
    }
}

/// What does not fit together in how calls wait.
fn waiting(node: &Node, policies: &Node, rejects: bool, at: &At<'_>, findings: &mut Findings) {
    if rejects {
        for key in ["max_wait", "max_queue"].into_iter().filter(|key| node.get(key).is_some()) {
            let unused = problem(codes::NO_EFFECT, format!("`{key}` does nothing: with `mode: reject` nobody waits"));
            findings.warn(&at.key(key), node.spot_of(key), unused.help("remove it, or write `mode: wait`"));
        }
    } else if node.duration("max_wait").zip(policies.duration("timeout")).is_some_and(|(wait, all)| wait >= all) {
        let never = problem(codes::TIMEOUT_ORDER, "`max_wait` bounds nothing: `timeout` ends the call first");
        findings.warn(
            &at.key("max_wait"),
            node.spot_of("max_wait"),
            never.help("write a shorter `max_wait`, or remove it"),
        );
    }
}

/// Whether the parameter that `cost` names is one that can say it.
pub(crate) fn cost_param(
    settings: Option<&RateLimitSettings>,
    (source, params): (&Node, &[ParamSpec]),
    at: &At<'_>,
    findings: &mut Findings,
) {
    let Some(Cost::Param(name)) = settings.map(|settings| &settings.cost) else { return };
    let span = source.get("rate_limit").map_or(source.span, |node| node.spot_of("cost"));
    let block = at.key("rate_limit");
    let at = block.key("cost");
    let wrong = match params.iter().find(|param| param.name == *name) {
        None => {
            let unknown = problem(codes::UNKNOWN_PLACEHOLDER, format!("`{{{name}}}`: there is no such parameter"));
            unknown.help(format!("declare it: `params: {{ {name}: {{ type: integer, default: 1, min: 1 }} }}`"))
        }
        Some(param) if param.kind != ParamKind::Integer => {
            let other = problem(codes::RATE_COST, format!("`cost` is a number, and `{name}` is no integer"));
            other.help(format!("write `{name}: {{ type: integer, min: 1, … }}`"))
        }
        Some(param) if param.min.is_none_or(|min| min < 1.0) => {
            let less = problem(codes::RATE_COST, format!("`{name}` may be less than 1, which no call takes"));
            less.help(format!("write `{name}: {{ type: integer, min: 1, … }}`"))
        }
        Some(_) => return,
    };
    findings.error(&at, span, wrong);
}
