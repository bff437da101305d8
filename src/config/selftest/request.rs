//! `request:` of a test: what is asked.

use http::HeaderMap;
use http::Method;

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::readers::header_key;
use crate::config::selftest::RequestSpec;
use crate::config::selftest::Subject;
use crate::config::selftest::names::Tested;
use crate::config::selftest::names::World;
use crate::config::similar;
use crate::config::values;

/// Reads `request`.
pub(crate) fn request(
    node: &Node,
    world: &World<'_>,
    tested: &Tested<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) -> RequestSpec {
    let others: &[(&str, &str)] = if tested.is_source() {
        &[("method", "remove it"), ("path", "write `params`"), ("query", "write `params`")]
    } else {
        &[("params", "write `query`: a route takes them from there, or from its `path`")]
    };
    for (key, help) in others {
        if let Some(entry) = node.entry(key) {
            tested.misplaced(key, entry.at, help, &at.key(key), findings);
        }
    }
    let query = if tested.is_source() { params(node, tested, at, findings) } else { pairs(node, "query") };
    RequestSpec {
        method: method(world, tested, node.word("method")),
        path: path(node, tested, at, findings),
        query,
        headers: node.get("headers").map(|node| headers(node, &at.key("headers"), findings)).unwrap_or_default(),
    }
}

/// The method of a request: the one that is told, else the route's.
pub(crate) fn method(world: &World<'_>, tested: &Tested<'_>, told: Option<&str>) -> Option<Method> {
    match &tested.subject {
        Subject::Source(_) => None,
        Subject::Route(path) => {
            let told = told.and_then(|word| Method::from_bytes(word.as_bytes()).ok());
            Some(told.unwrap_or_else(|| world.method(path)))
        }
    }
}

fn params(node: &Node, tested: &Tested<'_>, at: &At<'_>, findings: &mut Findings) -> Vec<(String, String)> {
    let names = tested.params.iter().map(|param| param.name.as_str());
    known(node, "params", &names.collect::<Vec<_>>(), "parameter", at, findings);
    pairs(node, "params")
}

fn path(node: &Node, tested: &Tested<'_>, at: &At<'_>, findings: &mut Findings) -> Vec<(String, String)> {
    if tested.is_source() {
        return Vec::new();
    }
    let names: Vec<&str> = tested.path.iter().map(String::as_str).collect();
    known(node, "path", &names, "placeholder in its path", at, findings);
    pairs(node, "path")
}

/// Reports keys that are none of these names.
fn known(node: &Node, key: &str, names: &[&str], what: &str, at: &At<'_>, findings: &mut Findings) {
    let at = at.key(key);
    for entry in node.get(key).map(Node::entries).unwrap_or_default() {
        if names.contains(&entry.key.as_str()) {
            continue;
        }
        let unknown = problem(codes::UNKNOWN_PARAM, format!("there is no {what} `{}`", entry.key));
        let help = match similar::closest(&entry.key, names.iter().copied()) {
            Some(meant) => format!("write `{meant}`"),
            None if names.is_empty() => "remove it: there are none".to_owned(),
            None => format!("there is {}", values::listed(names).replace(" or ", " and ")),
        };
        findings.error(&at.key(&entry.key), entry.at, unknown.help(help));
    }
}

/// Reports what the path of the route wants and the request does not give.
pub(crate) fn path_is_whole(
    tested: &Tested<'_>,
    request: &RequestSpec,
    node: &Node,
    at: &At<'_>,
    findings: &mut Findings,
) {
    for name in &tested.path {
        if request.path.iter().all(|(given, _)| given != name) {
            let span = node.entry("request").map_or(node.span, |entry| entry.at);
            let missing = problem(
                codes::MISSING_KEY,
                format!("the path of the route has `{{{name}}}`, and nothing is given for it"),
            );
            findings.error(at, span, missing.help(format!("write `request: {{ path: {{ {name}: … }} }}`")));
        }
    }
}

/// Names and values; a list repeats the name.
fn pairs(node: &Node, key: &str) -> Vec<(String, String)> {
    let entries = node.get(key).map(Node::entries).unwrap_or_default();
    let pairs = entries.iter().flat_map(|entry| {
        entry.value.one_or_many().iter().filter_map(|value| Some((entry.key.clone(), value.text()?.to_owned())))
    });
    pairs.collect()
}

/// Headers; a list repeats the name.
pub(crate) fn headers(node: &Node, at: &At<'_>, findings: &mut Findings) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for entry in node.entries() {
        let at = at.key(&entry.key);
        let Some(name) = header_key(&entry.key, entry.at, &at, findings) else { continue };
        for value in entry.value.one_or_many() {
            match value.scalar().map(values::header_value) {
                Some(Ok(value)) => {
                    headers.append(name.clone(), value);
                }
                Some(Err(problem)) => findings.error(&at, value.span, problem),
                None => {}
            }
        }
    }
    headers
}
