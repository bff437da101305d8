//! `given:` of a test: what stands in for the network.

use std::path::Path;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::config::check::is_by_name;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::readers::json;
use crate::config::selftest::Answer;
use crate::config::selftest::Body;
use crate::config::selftest::Fault;
use crate::config::selftest::Given;
use crate::config::selftest::Subject;
use crate::config::selftest::names::Tested;
use crate::config::selftest::names::World;
use crate::config::selftest::request;
use crate::config::vocabulary::ANSWER;

/// Reads `given`: answers by the name of their source; in a test of a source, its own may stand there alone.
pub(crate) fn given(
    node: &Node,
    world: &World<'_>,
    tested: &Tested<'_>,
    folder: &Path,
    at: &At<'_>,
    findings: &mut Findings,
) -> Vec<Given> {
    let is_nothing = node.is_map() && node.entries().is_empty();
    if !is_nothing && !is_by_name(node, &ANSWER) {
        let Subject::Source(source) = &tested.subject else {
            let names: Vec<&str> = tested.parts.iter().map(|(alias, _)| alias.as_str()).collect();
            let whose = problem(codes::WRONG_TYPE, "`given` of a route says whose answer it is");
            let name = names.first().copied().unwrap_or("NAME");
            findings.error(at, node.span, whose.help(format!("write `given: {{ {name}: … }}`")));
            return Vec::new();
        };
        if world.is_static(source) {
            constant(source.as_str(), node, at, findings);
        }
        let answers = answers(node, folder, at, findings);
        return if answers.is_empty() { Vec::new() } else { vec![Given { source: source.clone(), answers }] };
    }
    let mut all: Vec<Given> = Vec::new();
    for entry in node.entries() {
        let at = at.key(&entry.key);
        let Some(source) = world.source_of(tested, entry, &at, findings) else { continue };
        if world.is_static(&source) {
            constant(source.as_str(), &entry.value, &at, findings);
        }
        if all.iter().any(|given| given.source == source) {
            let twice = problem(codes::PART_TWICE, format!("the answers of `{source}` are given twice"));
            findings.error(
                &at,
                entry.at,
                twice.help("keep one: a source has one upstream, whatever its part is called"),
            );
        }
        let answers = answers(&entry.value, folder, &at, findings);
        if !answers.is_empty() {
            all.push(Given { source, answers });
        }
    }
    all
}

fn constant(name: &str, node: &Node, at: &At<'_>, findings: &mut Findings) {
    let none = problem(codes::NO_EFFECT, format!("`{name}` is constant: nothing is called"));
    findings.error(at, node.span, none.help("remove it"));
}

fn answers(node: &Node, folder: &Path, at: &At<'_>, findings: &mut Findings) -> Vec<Answer> {
    if node.is_map() {
        return vec![answer(node, folder, at, findings)];
    }
    let items = node.items().iter().enumerate().filter(|(_, item)| item.is_map());
    items.map(|(index, item)| answer(item, folder, &at.item(index), findings)).collect()
}

fn answer(node: &Node, folder: &Path, at: &At<'_>, findings: &mut Findings) -> Answer {
    let fault = node.word("error").and_then(fault);
    if let Some(fault) = fault {
        without_effect(node, fault, at, findings);
    }
    let bodies: Vec<_> = ["json", "body", "file"].into_iter().filter_map(|key| node.entry(key)).collect();
    if let [first, second, ..] = bodies.as_slice() {
        let both =
            problem(codes::EXCLUSIVE_KEYS, format!("`{}` beside `{}`: an answer has one body", second.key, first.key));
        findings.error(&at.key(&second.key), second.at, both.help("keep one of them"));
    }
    let mut headers = node
        .get("headers")
        .map_or_else(HeaderMap::new, |headers| request::headers(headers, &at.key("headers"), findings));
    let (body, content_type) = body(node, folder, at, findings);
    if let Some(content_type) = content_type {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    }
    Answer {
        place: findings.place(node.span),
        delay: node.duration("delay").unwrap_or(Duration::ZERO),
        fault,
        status: node.count("status").and_then(|status| u16::try_from(status).ok()).unwrap_or(200),
        headers,
        body,
    }
}

fn body(node: &Node, folder: &Path, at: &At<'_>, findings: &mut Findings) -> (Body, Option<&'static str>) {
    if let Some(entry) = node.entry("json") {
        return (Body::Text(json(&entry.value, &at.key("json"), findings)), Some("application/json"));
    }
    match node.word("file") {
        Some(file) => {
            let is_json = Path::new(file).extension().is_some_and(|extension| extension == "json");
            (Body::File(folder.join(file)), is_json.then_some("application/json"))
        }
        None => (Body::Text(node.word("body").unwrap_or_default().to_owned()), None),
    }
}

fn fault(word: &str) -> Option<Fault> {
    Some(match word {
        "timeout" => Fault::Timeout,
        "connect_error" => Fault::Connect,
        "connect_timeout" => Fault::ConnectTimeout,
        "reset" => Fault::Reset,
        "body_error" => Fault::Body,
        "body_timeout" => Fault::BodyTimeout,
        "config_error" => Fault::Config,
        _ => return None,
    })
}

/// An error is all that comes; only those of a body have a head before it.
fn without_effect(node: &Node, fault: Fault, at: &At<'_>, findings: &mut Findings) {
    let has_head = matches!(fault, Fault::Body | Fault::BodyTimeout);
    for key in ["status", "headers", "json", "body", "file"] {
        let Some(entry) = node.entry(key) else { continue };
        if has_head && matches!(key, "status" | "headers") {
            continue;
        }
        let none = problem(codes::NO_EFFECT, format!("`{key}` beside `error`: no such answer comes"));
        findings.error(&at.key(key), entry.at, none.help("remove it, or `error`"));
    }
}
