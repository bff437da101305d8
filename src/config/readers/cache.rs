//! `cache:` of a source → its settings.

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::values;
use crate::policy::freshness::CACHE_DEFAULTS;
use crate::policy::freshness::CacheScope;
use crate::policy::freshness::CacheSettings;
use crate::policy::freshness::CoalesceSettings;
use crate::policy::freshness::NegativeSettings;
use crate::policy::freshness::OnAbandon;
use crate::policy::freshness::RefreshAhead;

use std::time::Duration;

/// What may be kept: these say something definitive.
const DEFINITIVE: [u16; 5] = [404, 410, 204, 301, 308];
const NEGATIVE_TTL: Duration = Duration::from_secs(5);
const NEGATIVE_STATUSES: [u16; 2] = [404, 410];

/// Reads `cache:`; `None`: it is off.
pub(crate) fn cache(node: Option<&Node>, at: &At<'_>, findings: &mut Findings) -> Option<CacheSettings> {
    let defaults = CACHE_DEFAULTS;
    let Some(node) = node else { return Some(defaults) };
    if node.is_off() {
        return None;
    }
    let or_zero = |key: &str, default: Duration| {
        if node.is_switched_off(key) { Duration::ZERO } else { node.duration(key).unwrap_or(default) }
    };
    let settings = CacheSettings {
        ttl: node.duration("ttl").unwrap_or(defaults.ttl),
        ttl_jitter: node.ratio("ttl_jitter").unwrap_or(defaults.ttl_jitter),
        refresh_ahead: refresh_ahead(node, defaults.refresh_ahead),
        stale_while_revalidate: or_zero("stale_while_revalidate", defaults.stale_while_revalidate),
        stale_if_error: or_zero("stale_if_error", defaults.stale_if_error),
        negative: node.get("negative").and_then(|node| negative(node, &at.key("negative"), findings)),
        coalesce: coalesce(node.get("coalesce"), defaults.coalesce),
        scope: scope(node),
        key_headers: key_headers(node),
        max_entry_bytes: node.size("max_entry_bytes").unwrap_or(defaults.max_entry_bytes),
        respect_upstream: node.switch("respect_upstream").unwrap_or(defaults.respect_upstream),
        conditional: node.switch("conditional").unwrap_or(defaults.conditional),
    };
    node.switch("enabled").unwrap_or(true).then_some(settings)
}

fn scope(node: &Node) -> CacheScope {
    match node.word("scope") {
        Some("tenant") => CacheScope::Tenant,
        Some("principal") => CacheScope::Principal,
        Some(_) | None => CACHE_DEFAULTS.scope,
    }
}

fn refresh_ahead(node: &Node, default: RefreshAhead) -> RefreshAhead {
    match node.word("refresh_ahead") {
        Some("off") => RefreshAhead::Off,
        Some("xfetch") => RefreshAhead::Xfetch,
        Some(_) => node.ratio("refresh_ahead").map_or(default, RefreshAhead::Ratio),
        None => default,
    }
}

fn negative(node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<NegativeSettings> {
    if !node.is_map() {
        return None;
    }
    let mut statuses = Vec::new();
    let at = at.key("statuses");
    let listed = node.get("statuses").map(Node::items);
    for (index, item) in listed.unwrap_or_default().iter().enumerate() {
        let Some(scalar) = item.scalar() else { continue };
        let Ok(status) = values::whole(scalar, 100, 599) else { continue };
        match u16::try_from(status) {
            Ok(status) if DEFINITIVE.contains(&status) => statuses.push(status),
            Ok(_) | Err(_) => {
                let wrong =
                    problem(codes::NEGATIVE_STATUS, "`negative.statuses` may only contain 404, 410, 204, 301, 308");
                let help = "remove it: failures are never cached, the breaker is there for them";
                findings.error(&at.item(index), item.span, wrong.help(help));
            }
        }
    }
    let statuses = if listed.is_some() { statuses } else { NEGATIVE_STATUSES.to_vec() };
    Some(NegativeSettings { ttl: node.duration("ttl").unwrap_or(NEGATIVE_TTL), statuses })
}

fn coalesce(node: Option<&Node>, defaults: Option<CoalesceSettings>) -> Option<CoalesceSettings> {
    let Some(node) = node else { return defaults };
    if node.is_off() || node.switch("enabled") == Some(false) {
        return None;
    }
    let cancel = node.word("on_abandon") == Some("cancel");
    let on_abandon = if cancel { OnAbandon::Cancel } else { OnAbandon::Complete };
    Some(CoalesceSettings { max_age: node.duration("max_age"), on_abandon })
}

fn key_headers(node: &Node) -> Vec<String> {
    let headers = node.get("key").and_then(|key| key.get("headers")).map(Node::items).unwrap_or_default();
    let mut names: Vec<_> = headers
        .iter()
        .filter_map(|header| values::header_name(header.scalar()?).ok())
        .map(|name| name.as_str().to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
