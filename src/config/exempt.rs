//! Whether the paths that are never shed are paths of anything.

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::load::Item;
use crate::config::load::Read;
use crate::config::node::Node;
use crate::config::spec::OWN_SEGMENTS;
use crate::config::spec::is_below;

/// Checks `load_shedding.exempt` against the routes there are.
pub(crate) fn check(server: &Node, reads: &[Read<'_>], findings: &mut Findings) {
    let Some(list) = server.get("load_shedding").and_then(|shedding| shedding.get("exempt")) else { return };
    let root = At::document("");
    let shedding = root.key("load_shedding");
    let at = shedding.key("exempt");
    for (index, item) in list.items().iter().enumerate() {
        let Some(path) = item.scalar() else { continue };
        let wrong = if !path.text.starts_with('/') {
            problem(codes::EXEMPT_NOTHING, format!("{} is not a path", path.shown())).help("a path begins with `/`")
        } else if is_own(&path.text) || is_known(&path.text, reads) {
            continue;
        } else {
            problem(codes::EXEMPT_NOTHING, format!("no route is at or below {}", path.shown()))
                .help("write the path as the route declares it, or remove it")
        };
        findings.error(&at.item(index), item.span, wrong);
    }
}

fn is_own(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    OWN_SEGMENTS.contains(&first) || first == "aggregate"
}

fn is_known(path: &str, reads: &[Read<'_>]) -> bool {
    reads.iter().any(|read| match &read.item {
        Item::Route(route) => is_below(&route.path, path),
        Item::Source(_) | Item::Nothing => false,
    })
}
