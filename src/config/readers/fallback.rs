//! `fallback:` of a source: the steps in order, and whether each can ever be of use.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Name;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Entry;
use crate::config::node::Node;
use crate::config::readers::json;
use crate::config::spec::FallbackSpec;
use crate::policy::freshness::CacheSettings;

/// Reads the steps; `cache` is that of the same source.
pub(crate) fn fallback(
    node: &Node,
    cache: Option<&CacheSettings>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Vec<FallbackSpec> {
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
