//! What routes and the server say of each other about who may come in.

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::load::Item;
use crate::config::load::Read;
use crate::config::node::Node;
use crate::config::similar;
use crate::config::spec::ServerSpec;
use crate::config::spec::SourceSpec;
use crate::policy::freshness::CacheScope;
use crate::policy::keys::Wanted;
use crate::policy::quota::Pattern;

/// Paths of ours that limits may name.
const BUILT_IN: [&str; 2] = ["/aggregate", "/aggregate/{source}"];

/// Checks the routes and the server (`node`, and what was read of it) against each other.
pub(crate) fn check(node: &Node, server: &ServerSpec, reads: &[Read<'_>], findings: &mut Findings) {
    limited_routes(node, reads, findings);
    for read in reads {
        let route = match &read.item {
            Item::Route(route) => route,
            Item::Source(source) => {
                scoped(source, server, read, findings);
                continue;
            }
            Item::Nothing => continue,
        };
        let asks = matches!(route.auth, Some(Wanted::Required | Wanted::Optional));
        if let (true, None, Some(entry)) = (asks, &server.auth, read.document.node.entry("auth")) {
            let none = problem(codes::NO_KEYS, "this route looks at keys, and there are none");
            let help = "declare them in aggd.yaml: `auth: { api_keys: [{ name: …, key: … }] }`, or remove this";
            findings.error(&At::document(&read.document.title).key("auth"), entry.value.span, none.help(help));
        }
    }
}

/// Copies that are kept apart by keys that nobody can show.
fn scoped(source: &SourceSpec, server: &ServerSpec, read: &Read<'_>, findings: &mut Findings) {
    let scope = source.policies.cache.as_ref().map_or(CacheScope::Shared, |cache| cache.scope);
    if scope == CacheScope::Shared || server.auth.is_some() {
        return;
    }
    let none = problem(codes::NO_KEYS, "this cache goes by the keys of clients, and there are none");
    let help = "declare them in aggd.yaml: `auth: { api_keys: [{ name: …, key: … }] }`, or remove this";
    // It may come from `defaults`, and then stands in no document.
    let written = read.document.node.get("cache").and_then(|cache| cache.entry("scope"));
    let span = written.map_or(read.document.node.span, |entry| entry.value.span);
    findings.error(&At::document(&read.document.title).key("cache").key("scope"), span, none.help(help));
}

/// Limits of routes that do not exist. Warnings: a broken route that was left out is no mistake of the limit.
fn limited_routes(node: &Node, reads: &[Read<'_>], findings: &mut Findings) {
    let declared = reads.iter().filter_map(|read| read.document.node.get("route").and_then(Node::text));
    let known: Vec<&str> = declared.chain(BUILT_IN).collect();
    let root = At::document("");
    let list = root.key("rate_limits");
    for (index, limit) in node.get("rate_limits").map(Node::items).unwrap_or_default().iter().enumerate() {
        let at = list.item(index);
        let (routes_at, cost_at) = (at.key("routes"), at.key("cost"));
        for (place, item) in limit.get("routes").map(Node::items).unwrap_or_default().iter().enumerate() {
            let Some(scalar) = item.scalar() else { continue };
            if let Some(problem) = no_route(&scalar.text, &scalar.shown(), &known) {
                findings.warn(&routes_at.item(place), item.span, problem);
            }
        }
        for entry in limit.get("cost").map(Node::entries).unwrap_or_default() {
            if let Some(problem) = no_route(&entry.key, &format!("`{}`", entry.key), &known) {
                findings.warn(&cost_at.key(&entry.key), entry.at, problem);
            }
        }
    }
}

fn no_route(pattern: &str, shown: &str, known: &[&str]) -> Option<Problem> {
    // What is no pattern is reported already.
    let parsed = Pattern::parse(pattern).ok()?;
    if known.iter().any(|route| parsed.includes(route)) {
        return None;
    }
    let none = problem(codes::LIMITS_NO_ROUTE, format!("no route is {shown}"));
    Some(match similar::closest(pattern, known.iter().copied()) {
        Some(meant) => none.help(format!("write `{meant}`")),
        None => none.help("write the path of a route as it is declared, or `/…*` for all that begin so"),
    })
}
