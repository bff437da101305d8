//! `rate_limits:` of the server, `rate_limit:` of a route.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Name;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::values;
use crate::policy::gcra::Quota;
use crate::policy::quota::Costs;
use crate::policy::quota::KeyPart;
use crate::policy::quota::LimitSettings;
use crate::policy::quota::Pattern;
use crate::policy::quota::Refusal;
use crate::policy::quota::Rule;
use crate::policy::quota::Show;
use crate::policy::quota::Style;
use crate::policy::quota::window_seconds;

/// Used where the file is silent.
const MAX_KEYS: u32 = 100_000;
const REFUSAL: Refusal = Refusal { status: 429, message: None, retry_after: Duration::ZERO };

/// Reads `rate_limits:`.
pub(crate) fn limits(node: &Node, findings: &mut Findings) -> Vec<Arc<LimitSettings>> {
    let root = At::document("");
    let at = root.key("rate_limits");
    let mut read: Vec<Arc<LimitSettings>> = Vec::new();
    for (index, item) in node.get("rate_limits").map(Node::items).unwrap_or_default().iter().enumerate() {
        let at = at.item(index);
        let Some(name) = item.word("name").and_then(Name::parse) else { continue };
        if read.iter().any(|known| &*known.name == name.as_str()) {
            let twice = problem(codes::DECLARED_TWICE, format!("a limit `{name}` is there already"));
            findings.error(&at.key("name"), item.spot_of("name"), twice.help("give one of them another name"));
            continue;
        }
        let costs = costs(item, &at, findings);
        let Some(common) = common(item, name.as_str(), costs, &at, findings) else { continue };
        read.push(Arc::new(LimitSettings { routes: routes(item, &at, findings), ..common }));
    }
    read
}

/// Reads `rate_limit:` of a route; `route` is what it is known by.
pub(crate) fn of_route(node: &Node, route: &str, at: &At<'_>, findings: &mut Findings) -> Option<Arc<LimitSettings>> {
    let at = at.key("rate_limit");
    let node = node.get("rate_limit").filter(|node| node.is_map())?;
    let costs = Costs::flat(node.count("cost").and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN));
    let common = common(node, route, costs, &at, findings)?;
    let refusal = Refusal {
        status: node.whole("status").and_then(|status| u16::try_from(status).ok()).unwrap_or(REFUSAL.status),
        message: node.word("message").map(Arc::from),
        retry_after: node.duration("retry_after").unwrap_or(REFUSAL.retry_after),
    };
    Some(Arc::new(LimitSettings { refusal, ..common }))
}

/// What both have in common.
fn common(node: &Node, name: &str, costs: Costs, at: &At<'_>, findings: &mut Findings) -> Option<LimitSettings> {
    let rate = node.rate("rate");
    let max_in_flight = node.count("max_in_flight").and_then(NonZeroU32::new);
    if node.entry("rate").is_none() && node.entry("max_in_flight").is_none() {
        let none = problem(codes::MISSING_KEY, "this limits nothing: it has neither `rate` nor `max_in_flight`");
        findings.error(&at.key("rate"), node.span, none.help("add `rate: 10/second`"));
    }
    for word in ["burst", "cost"] {
        if let (None, Some(entry)) = (node.entry("rate"), node.entry(word)) {
            let unused = problem(codes::NO_EFFECT, format!("`{word}` does nothing without `rate`"));
            let help = format!("add `rate: 10/second`, or remove `{word}`");
            findings.error(&at.key(word), entry.at, unused.help(help));
        }
    }
    let burst = rate.map(|rate| node.count("burst").and_then(NonZeroU32::new).unwrap_or(rate.count));
    if let Some(burst) = burst.filter(|burst| costs.highest() > *burst) {
        let cost = costs.highest();
        let span = if node.entry("cost").is_some() { node.spot_of("cost") } else { node.spot_of("burst") };
        let never = problem(codes::COST_OVER_BURST, format!("a request that takes {cost} never gets it of {burst}"));
        findings.error(&at.key("cost"), span, never.help(format!("write `burst: {cost}` or more, or a lower cost")));
    }
    let quota = rate.zip(burst).map(|(rate, burst)| Quota::new(rate, burst));
    let words = node.get("key").map(Node::one_or_many).unwrap_or_default();
    let key: Vec<_> = words.iter().filter_map(|word| values::limit_key(word.scalar()?).ok()).collect();
    Some(LimitSettings {
        name: name.into(),
        key: if key.is_empty() { vec![KeyPart::Tenant] } else { key },
        rule: Rule { quota, max_in_flight },
        window_s: rate.zip(burst).map_or(0, |(rate, burst)| window_seconds(rate, burst)),
        max_keys: node.count("max_keys").unwrap_or(MAX_KEYS),
        show: match node.word("headers") {
            Some("near_limit") => Show::NearLimit,
            Some("never") => Show::Never,
            Some(_) | None => Show::Always,
        },
        style: match node.word("headers_style") {
            Some("legacy") => Style::Legacy,
            Some("both") => Style::Both,
            Some(_) | None => Style::Ietf,
        },
        routes: Vec::new(),
        costs,
        refusal: REFUSAL,
    })
}

fn routes(node: &Node, at: &At<'_>, findings: &mut Findings) -> Vec<Pattern> {
    let at = at.key("routes");
    let Some(list) = node.get("routes") else { return vec![Pattern::Prefix(String::new())] };
    if list.items().is_empty() && !list.is_map() && list.scalar().is_none() {
        let none = problem(codes::NO_VALUE, "a limit of no route").help("write `routes: [\"*\"]`, or remove it");
        findings.error(&at, list.span, none);
    }
    let mut patterns = Vec::new();
    for (index, item) in list.items().iter().enumerate() {
        let Some(scalar) = item.scalar() else { continue };
        match Pattern::parse(&scalar.text) {
            Ok(pattern) => patterns.push(pattern),
            Err(()) => {
                let wrong = problem(codes::BAD_ROUTE_PATH, format!("{} is no path of routes", scalar.shown()));
                let help = "write a path as it is declared (`/cities/{city}`), `/cities/*` or `*`";
                findings.error(&at.item(index), item.span, wrong.help(help));
            }
        }
    }
    patterns
}

fn costs(node: &Node, at: &At<'_>, findings: &mut Findings) -> Costs {
    let at = at.key("cost");
    let mut costs = Costs::flat(NonZeroU32::MIN);
    for entry in node.get("cost").map(Node::entries).unwrap_or_default() {
        let cost = entry.value.scalar().and_then(|scalar| values::whole(scalar, 1, u32::MAX.into()).ok());
        let cost = cost.and_then(|cost| u32::try_from(cost).ok()).and_then(NonZeroU32::new);
        match (entry.key.as_str(), Pattern::parse(&entry.key), cost) {
            (_, _, None) => {}
            ("default", _, Some(cost)) => costs.default = cost,
            (_, Ok(pattern), Some(cost)) => costs.of.push((pattern, cost)),
            (other, Err(()), _) => {
                let wrong = problem(codes::BAD_ROUTE_PATH, format!("`{other}` is neither `default` nor a path"));
                let help = "write `default`, a path as it is declared (`\"/cities/{city}\"`) or `\"/cities/*\"`";
                findings.error(&at.key(other), entry.at, wrong.help(help));
            }
        }
    }
    costs
}
