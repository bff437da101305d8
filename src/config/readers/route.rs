//! A `route:` document → its settings. Whether its sources exist is seen where all are known (`relations`).

use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderName;
use http::HeaderValue;
use http::Method;

use crate::base::Name;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Entry;
use crate::config::node::Node;
use crate::config::readers::access;
use crate::config::readers::fallback::of_route;
use crate::config::readers::limits;
use crate::config::readers::projection;
use crate::config::readers::request::header_key;
use crate::config::readers::rooted;
use crate::config::readers::shedding;
use crate::config::route_path;
use crate::config::similar;
use crate::config::spec::PartSpec;
use crate::config::spec::Piece;
use crate::config::spec::Respond;
use crate::config::spec::RoutePiece;
use crate::config::spec::RouteSpec;
use crate::config::spec::RouteTemplate;
use crate::config::spec::RouteValue;
use crate::config::template;
use crate::config::values;
use crate::shape::Projection;

/// Used where the file is silent.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a route. `None`: its path is none.
pub(crate) fn route(node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<RouteSpec> {
    let scalar = node.get("route").and_then(Node::scalar);
    let path = scalar.map(route_path::parse);
    let names = match &path {
        Some(Ok(names)) => Some(names.as_slice()),
        Some(Err(_)) | None => None,
    };
    let parts = parts(node, names, at, findings);
    let respond = if node.word("respond") == Some("merge") { Respond::Merge } else { Respond::Envelope };
    envelope_projection(node, respond, at, findings);
    if respond == Respond::Merge {
        rooted::of_route(node, at, findings);
    }
    let min_sources = node.count("min_sources").unwrap_or(0);
    if usize::try_from(min_sources).is_ok_and(|wanted| wanted > parts.len()) && !parts.is_empty() {
        let count = parts.len();
        let more =
            problem(codes::MIN_SOURCES, format!("`min_sources` wants more successes than there are sources ({count})"));
        findings.error(
            &at.key("min_sources"),
            node.spot_of("min_sources"),
            more.help(format!("write at most {count}")),
        );
    }
    let can_fail = min_sources > 0 || parts.iter().any(|part| part.required);
    let merge = respond == Respond::Merge;
    let project = node.get("project").map(|node| projection::projection(Some(node), &at.key("project"), findings));
    let omit = projection::omit(node.get("omit"), &at.key("omit"), findings);
    let text = match (path?, scalar) {
        (Ok(_), Some(scalar)) => scalar.text.clone(),
        (Err(wrong), Some(_)) => {
            findings.error(&at.key("route"), node.spot_of("route"), wrong);
            return None;
        }
        (_, None) => return None,
    };
    Some(RouteSpec {
        description: node.word("description").map(str::to_owned),
        method: node.word("method").and_then(|word| Method::from_bytes(word.as_bytes()).ok()).unwrap_or(Method::GET),
        parts,
        respond,
        project: project.filter(|_| merge).unwrap_or(Projection::Whole),
        omit: if merge { omit } else { Vec::new() },
        timeout: node.duration("timeout").unwrap_or(TIMEOUT),
        min_sources,
        max_parallel: node.count("max_parallel").and_then(NonZeroU32::new),
        fallback: of_route(node, can_fail, at, findings),
        cache_key: node.word("cache_key").map_or_else(|| text.clone(), str::to_owned),
        limits: shedding::route_limits(node, at, findings),
        headers: headers(node, at, findings),
        auth: access::wanted(node),
        rate_limit: limits::of_route(node, &known_as(node, &text), at, findings),
        priority: node.word("priority").and_then(|word| word.parse().ok()),
        path: text,
    })
}

/// What the limits and metrics of a route know it by: its path, with its method where that is not GET.
fn known_as(node: &Node, path: &str) -> String {
    match node.word("method").filter(|method| *method != "GET") {
        Some(method) => format!("{method} {path}"),
        None => path.to_owned(),
    }
}

fn envelope_projection(node: &Node, respond: Respond, at: &At<'_>, findings: &mut Findings) {
    if respond == Respond::Merge
        || node.entry("respond").is_some_and(|entry| !matches!(entry.value.text(), Some("envelope")))
    {
        return;
    }
    for key in ["project", "omit"] {
        if let Some(entry) = node.entry(key) {
            let unused =
                problem(codes::NO_EFFECT, format!("`{key}` is for `respond: merge`; this route answers an envelope"));
            findings.error(&at.key(key), entry.at, unused.help(format!("add `respond: merge`, or remove `{key}`")));
        }
    }
}

/// `path` holds the names in the route's path; `None`: it could not be read.
fn parts(node: &Node, path: Option<&[String]>, at: &At<'_>, findings: &mut Findings) -> Vec<PartSpec> {
    let at = at.key("sources");
    let Some(sources) = node.get("sources") else { return Vec::new() };
    if sources.items().is_empty() && sources.entries().is_empty() && sources.scalar().is_none() {
        let none = problem(codes::NO_VALUE, "a route without sources").help("name one: `sources: [NAME]`");
        findings.error(&at, sources.span, none);
    }
    let mut parts: Vec<PartSpec> = Vec::new();
    for (index, item) in sources.items().iter().enumerate() {
        let Some(name) = item.text().and_then(Name::parse) else { continue };
        if parts.iter().any(|part| part.alias == name) {
            let twice = problem(codes::PART_TWICE, format!("`{name}` stands here twice"));
            let help = "remove one, or write a map of parts to call a source twice: `again: { source: … }`";
            findings.error(&at.item(index), item.span, twice.help(help));
            continue;
        }
        parts.push(PartSpec { alias: name.clone(), source: name, params: Vec::new(), required: false });
    }
    for entry in sources.entries() {
        parts.extend(part(entry, path, &at.key(&entry.key), findings));
    }
    parts
}

fn part(entry: &Entry, path: Option<&[String]>, at: &At<'_>, findings: &mut Findings) -> Option<PartSpec> {
    let Some(alias) = Name::parse(&entry.key) else {
        findings.error(at, entry.at, values::bad_name(&entry.key));
        return None;
    };
    let node = &entry.value;
    let params_at = at.key("params");
    let mut params = Vec::new();
    for param in node.get("params").map(Node::entries).unwrap_or_default() {
        let template = route_template(&param.value, path, &params_at.key(&param.key), findings);
        params.extend(template.map(|template| (param.key.clone(), template)));
    }
    let source = match node.get("source") {
        Some(name) => name.text().and_then(Name::parse)?,
        None => alias.clone(),
    };
    Some(PartSpec { alias, source, params, required: node.switch("required").unwrap_or(false) })
}

fn route_template(node: &Node, path: Option<&[String]>, at: &At<'_>, findings: &mut Findings) -> Option<RouteTemplate> {
    let scalar = node.scalar()?;
    let parts = match template::parts(scalar) {
        Ok(parts) => parts,
        Err(problem) => {
            findings.error(at, node.span, problem);
            return None;
        }
    };
    let mut pieces = Vec::new();
    for part in parts {
        let name = match part.piece {
            Piece::Literal(text) => {
                pieces.push(RoutePiece::Literal(text));
                continue;
            }
            Piece::Placeholder(name) => name,
        };
        match route_value(&name, path) {
            Ok(value) => pieces.push(RoutePiece::Value(value)),
            Err(wrong) if scalar.is_secret() => findings.error(at, node.span, wrong),
            Err(wrong) => {
                let wrong = wrong.at(part.at + scalar.lead).wide(name.chars().count() + 2);
                findings.error(at, node.span, wrong);
            }
        }
    }
    Some(RouteTemplate { pieces })
}

fn route_value(name: &str, path: Option<&[String]>) -> Result<RouteValue, Problem> {
    let unknown = |what: String| problem(codes::UNKNOWN_PLACEHOLDER, what);
    match name.split_once('.') {
        Some(("path", rest)) if path.is_none_or(|names| names.iter().any(|known| known == rest)) => {
            Ok(RouteValue::Path(rest.to_owned()))
        }
        Some(("path", rest)) => {
            let names = path.unwrap_or_default();
            let wrong = unknown(format!("`{{{name}}}`: the path of this route has no `{{{rest}}}`"));
            Err(match similar::closest(rest, names.iter().map(String::as_str)).or(names.first().map(String::as_str)) {
                Some(meant) => wrong.help(format!("write `{{path.{meant}}}`")),
                None => wrong.help(format!("add it to the path: `/…/{{{rest}}}`")),
            })
        }
        Some(("query", rest)) => Ok(RouteValue::Query(rest.to_owned())),
        Some(("header", rest)) => match HeaderName::from_bytes(rest.as_bytes()) {
            Ok(name) => Ok(RouteValue::Header(name)),
            Err(_) => {
                let wrong = unknown(format!("`{{{name}}}` names no header"));
                Err(wrong.help("write `{header.X-Name}`"))
            }
        },
        Some(_) | None => {
            let last = name.rsplit('.').next().unwrap_or(name);
            let known = path.is_some_and(|names| names.iter().any(|known| known == last));
            let is_place = matches!(name, "path" | "query" | "header");
            let last = if is_place { "NAME" } else { last };
            let meant = match name {
                "path" | "header" => format!("{name}.NAME"),
                _ if known => format!("path.{last}"),
                _ => format!("query.{last}"),
            };
            let wrong = unknown(format!("`{{{name}}}` is not of the path, the query or a header"));
            Err(wrong.help(format!("write `{{{meant}}}`; there are `{{path.x}}`, `{{query.x}}`, `{{header.x}}`")))
        }
    }
}

/// What an answer has in any case, and says truly of itself.
const OF_THE_ANSWER: [&str; 14] = [
    "age",
    "aggd-completed",
    "aggd-degraded",
    "cache-status",
    "content-encoding",
    "content-type",
    "date",
    "etag",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "server-timing",
    "traceparent",
    "x-request-id",
];

fn headers(node: &Node, at: &At<'_>, findings: &mut Findings) -> Vec<(HeaderName, HeaderValue)> {
    let at = at.key("headers");
    let mut headers = Vec::new();
    for entry in node.get("headers").map(Node::entries).unwrap_or_default() {
        let at = at.key(&entry.key);
        let name = header_key(&entry.key, entry.at, &at, findings);
        if name.as_ref().is_some_and(|name| OF_THE_ANSWER.contains(&name.as_str())) {
            let wrong = problem(codes::BAD_HEADER, format!("`{}` is made by aggd for each answer", entry.key));
            findings.error(&at, entry.at, wrong.help("remove it: the answer would have it twice"));
            continue;
        }
        let Some(scalar) = entry.value.scalar() else { continue };
        match values::header_value(scalar) {
            Ok(value) => headers.extend(name.map(|name| (name, value))),
            Err(problem) => findings.error(&at, entry.value.span, problem),
        }
    }
    headers
}
