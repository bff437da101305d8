//! What documents say of each other: names declared twice, references to nothing, fallbacks in a circle.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::config::codes;
use crate::config::documents::DocumentKind;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::load::Item;
use crate::config::load::Read;
use crate::config::node::Node;
use crate::config::node::Scalar;
use crate::config::node::Span;
use crate::config::similar;
use crate::config::spec::PartSpec;
use crate::config::spec::RoutePiece;
use crate::config::spec::SourceSpec;

/// A fallback of a fallback of a fallback, and no further.
const MAX_FALLBACK_DEPTH: usize = 3;

/// Checks all documents together. What is declared twice is kept once.
pub(crate) fn check(reads: &mut [Read<'_>], left_out: &BTreeSet<String>, findings: &mut Findings) {
    sources_once(reads, findings);
    routes_once(reads, findings);
    let names = Names::of(reads, left_out);
    for read in reads.iter() {
        match read.document.kind {
            DocumentKind::Source => fallback_sources(read, reads, &names, findings),
            DocumentKind::Route => {
                parts(read, reads, &names, findings);
                copies(read, reads, findings);
            }
            DocumentKind::Server | DocumentKind::Test | DocumentKind::Unknown => {}
        }
    }
    fallback_chains(reads, findings);
}

/// The sources that may be named.
pub(crate) struct Names<'a> {
    /// Broken ones too: a reference to them is right.
    declared: BTreeSet<String>,
    left_out: &'a BTreeSet<String>,
}

impl<'a> Names<'a> {
    /// Of everything that was read.
    pub(crate) fn of(reads: &[Read<'_>], left_out: &'a BTreeSet<String>) -> Self {
        Self { declared: declared(reads), left_out }
    }

    /// What is wrong with a name; `scalar` is where it was read from.
    pub(crate) fn unknown(&self, name: &str, scalar: Option<&Scalar>) -> Option<Problem> {
        if self.declared.contains(name) {
            return None;
        }
        if let Some(scalar) = scalar.filter(|scalar| scalar.is_secret()) {
            let message = format!("{} names no source", scalar.shown());
            return Some(problem(codes::UNKNOWN_SOURCE, message).help("give it the name of a declared source"));
        }
        if self.left_out.contains(name) {
            let message = format!("the source `{name}` is left out, because of its own mistakes");
            return Some(
                problem(codes::UNKNOWN_SOURCE, message).help(format!("mend `{name}`; until then this is left out too")),
            );
        }
        let unknown = problem(codes::UNKNOWN_SOURCE, format!("there is no source `{name}`"));
        Some(match similar::closest(name, self.declared.iter().map(String::as_str)) {
            Some(meant) => unknown.help(format!("write `{meant}`")),
            None if self.declared.is_empty() => unknown.help(format!("declare it: `source: {name}`")),
            None if self.declared.len() <= 12 => {
                let names: Vec<_> = self.declared.iter().map(String::as_str).collect();
                unknown.help(format!("declare it, or write {}", crate::config::values::listed(&names)))
            }
            None => unknown.help(format!("declare it: `source: {name}`")),
        })
    }
}

fn declared(reads: &[Read<'_>]) -> BTreeSet<String> {
    let sources = reads.iter().filter(|read| read.document.kind == DocumentKind::Source);
    sources.map(|read| read.document.name.clone()).collect()
}

fn sources_once(reads: &mut [Read<'_>], findings: &mut Findings) {
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    for read in reads.iter_mut().filter(|read| read.document.kind == DocumentKind::Source) {
        let name = &read.document.name;
        let Some(span) = read.document.node.get("source").map(|node| node.span) else { continue };
        if let Some(first) = seen.get(name) {
            let message = format!("the source `{name}` is declared already, at {}", findings.spot(*first));
            let twice = problem(codes::DECLARED_TWICE, message).help("give one of them another name, or remove it");
            findings.error(&At::document(&read.document.title), span, twice);
            read.item = Item::Nothing;
            continue;
        }
        seen.insert(name.clone(), span);
    }
}

fn routes_once(reads: &mut [Read<'_>], findings: &mut Findings) {
    let mut seen: BTreeMap<(String, String), Span> = BTreeMap::new();
    let mut paths: BTreeMap<String, Span> = BTreeMap::new();
    let mut router = matchit::Router::new();
    for read in reads.iter_mut() {
        let Item::Route(route) = &read.item else { continue };
        let Some(span) = read.document.node.get("route").map(|node| node.span) else { continue };
        let at = At::document(&read.document.title);
        let key = (route.method.to_string(), route.path.clone());
        if let Some(first) = seen.get(&key) {
            let message = format!("`{} {}` is declared already, at {}", key.0, key.1, findings.spot(*first));
            let twice =
                problem(codes::DECLARED_TWICE, message).help("give one of them another path or method, or remove it");
            findings.error(&at, span, twice);
            read.item = Item::Nothing;
            continue;
        }
        if !paths.contains_key(&route.path)
            && let Err(error) = router.insert(route.path.clone(), ())
        {
            let clash = clash(&error, &paths, findings);
            findings.error(&at, span, clash);
            read.item = Item::Nothing;
            continue;
        }
        paths.entry(route.path.clone()).or_insert(span);
        seen.insert(key, span);
    }
}

fn clash(error: &matchit::InsertError, paths: &BTreeMap<String, Span>, findings: &Findings) -> Problem {
    let with = if let matchit::InsertError::Conflict { with } = error { with.as_str() } else { "another route" };
    let spot = paths.get(with).map(|span| format!(" (at {})", findings.spot(*span))).unwrap_or_default();
    let message = format!("this path and `{with}`{spot} match the same requests");
    problem(codes::ROUTE_CLASH, message).help("give their placeholders one name, or the paths different segments")
}

fn fallback_sources(read: &Read<'_>, reads: &[Read<'_>], names: &Names<'_>, findings: &mut Findings) {
    let at = At::document(&read.document.title);
    let at = at.key("fallback");
    for (index, (node, target)) in fallback_targets(read) {
        if let Some(problem) = names.unknown(target, node.scalar()) {
            findings.error(&at.item(index).key("source"), node.span, problem);
            continue;
        }
        // Parameters are passed on by name: one that is not there can never be.
        let (Item::Source(own), Some(other)) = (&read.item, source_of(reads, target)) else { continue };
        let passed = |name: &str| own.params.iter().any(|param| param.name == name);
        if let Some(lacking) = other.params.iter().find(|param| param.required && !passed(&param.name)) {
            let lacking = &lacking.name;
            let message = format!("`{target}` requires the parameter `{lacking}`, which `{}` has not", own.name);
            let never = problem(codes::NO_EFFECT, format!("this step never works: {message}"));
            let help = format!("give `{lacking}` of `{target}` a default, or declare `{lacking}` here");
            findings.error(&at.item(index).key("source"), node.span, never.help(help));
        }
    }
}

fn source_of<'r>(reads: &'r [Read<'_>], name: &str) -> Option<&'r SourceSpec> {
    reads.iter().find_map(|read| match &read.item {
        Item::Source(source) if source.name.as_str() == name => Some(&**source),
        Item::Source(_) | Item::Route(_) | Item::Nothing => None,
    })
}

/// The sources among the steps of `fallback`, each with its place in the list.
fn fallback_targets<'a>(read: &'a Read<'_>) -> impl Iterator<Item = (usize, (&'a Node, &'a str))> {
    let steps = read.merged.get("fallback").map(Node::items).unwrap_or_default();
    steps.iter().enumerate().filter_map(|(index, step)| {
        let node = step.get("source")?;
        Some((index, (node, node.text()?)))
    })
}

fn parts(read: &Read<'_>, reads: &[Read<'_>], names: &Names<'_>, findings: &mut Findings) {
    let Item::Route(route) = &read.item else { return };
    let at = At::document(&read.document.title);
    let at = at.key("sources");
    let sources = read.document.node.get("sources");
    let listed = sources.map(Node::items).unwrap_or_default();
    for part in &route.parts {
        let entry = sources.and_then(|sources| sources.entry(part.alias.as_str()));
        let index = listed.iter().position(|item| item.text() == Some(part.alias.as_str()));
        // An item of a list may be a name from `${…}`.
        let item = index.and_then(|index| listed.get(index));
        let at = index.map_or_else(|| at.key(part.alias.as_str()), |index| at.item(index));
        let named = entry.map(|entry| entry.value.get("source").map_or(entry.at, |source| source.span));
        let Some(span) = named.or(item.map(|item| item.span)) else { continue };
        let scalar = entry.and_then(|entry| entry.value.get("source")).or(item).and_then(Node::scalar);
        if let Some(problem) = names.unknown(part.source.as_str(), scalar) {
            findings.error(&at, span, problem);
            continue;
        }
        let source = source_of(reads, part.source.as_str());
        if let (Some(source), Some(entry)) = (source, entry) {
            params(part, source, &entry.value, &at, findings);
        }
    }
}

/// A `stale` step of a route whose sources keep nothing.
fn copies(read: &Read<'_>, reads: &[Read<'_>], findings: &mut Findings) {
    let Item::Route(route) = &read.item else { return };
    let keeps = |part: &PartSpec| {
        reads.iter().any(|read| match &read.item {
            Item::Source(source) => source.name == part.source && source.policies.cache.is_some(),
            Item::Route(_) => false,
            // What is not known may well.
            Item::Nothing => read.document.name == part.source.as_str(),
        })
    };
    if route.parts.iter().any(keeps) {
        return;
    }
    let at = At::document(&read.document.title);
    let at = at.key("fallback");
    let steps = read.document.node.get("fallback").map(Node::items).unwrap_or_default();
    for (index, step) in steps.iter().enumerate() {
        if let Some(stale) = step.entry("stale") {
            let unused = problem(codes::NO_EFFECT, "`stale` finds nothing: the caches of all these sources are off");
            findings.warn(&at.item(index).key("stale"), stale.at, unused.help("remove the step, or `cache: off`"));
        }
    }
}

fn params(part: &PartSpec, source: &SourceSpec, node: &Node, at: &At<'_>, findings: &mut Findings) {
    let at = at.key("params");
    for entry in node.get("params").map(Node::entries).unwrap_or_default() {
        let at = at.key(&entry.key);
        let Some(param) = source.params.iter().find(|param| param.name == entry.key) else {
            let unknown =
                problem(codes::UNKNOWN_PARAM, format!("the source `{}` has no parameter `{}`", source.name, entry.key));
            let known = source.params.iter().map(|param| param.name.as_str());
            let help = match similar::closest(&entry.key, known) {
                Some(meant) => format!("write `{meant}`"),
                None if source.params.is_empty() => format!("declare it under `params` of `{}`", source.name),
                None => {
                    let names: Vec<_> = source.params.iter().map(|param| param.name.as_str()).collect();
                    format!("it has {}", crate::config::values::listed(&names).replace(" or ", " and "))
                }
            };
            findings.error(&at, entry.at, unknown.help(help));
            continue;
        };
        let template =
            part.params.iter().find(|(name, _)| *name == entry.key).map(|(_, template)| template.pieces.as_slice());
        if let (Some([RoutePiece::Literal(text)]), Some(scalar)) = (template, entry.value.scalar())
            && let Err(must) = param.check(text)
        {
            let wrong =
                problem(codes::BAD_PARAM_VALUE, format!("{} does not fit the parameter: it {must}", scalar.shown()));
            findings.error(
                &at,
                entry.value.span,
                wrong.help("write a value that fits, or a placeholder such as `{query.x}`"),
            );
        }
    }
}

/// Where a source falls back to.
type Edges<'a> = BTreeMap<&'a str, Vec<Edge<'a>>>;

struct Edge<'a> {
    target: &'a str,
    span: Span,
    /// Whether the step comes from `defaults`.
    inherited: bool,
}

fn fallback_chains(reads: &[Read<'_>], findings: &mut Findings) {
    let mut edges: Edges<'_> = BTreeMap::new();
    for read in reads.iter().filter(|read| read.document.kind == DocumentKind::Source) {
        let inherited = read.document.node.entry("fallback").is_none();
        let edge = |(_, (node, target)): (usize, (&'_ Node, _))| Edge { target, span: node.span, inherited };
        let targets = fallback_targets(read).map(edge).collect();
        edges.entry(read.document.name.as_str()).or_insert(targets);
    }
    let mut told: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for start in edges.keys() {
        let mut chain = vec![*start];
        walk(&edges, &mut chain, &mut told, findings);
    }
}

/// Follows the fallbacks from the end of the chain; the chain is never longer than what is refused.
fn walk<'a>(
    edges: &Edges<'a>,
    chain: &mut Vec<&'a str>,
    told: &mut BTreeSet<BTreeSet<&'a str>>,
    findings: &mut Findings,
) {
    let Some(last) = chain.last().copied() else { return };
    let title = format!("source {last}");
    let at = At::document(&title);
    for Edge { target, span, inherited } in edges.get(last).into_iter().flatten() {
        if let Some(from) = chain.iter().position(|name| name == target) {
            let cycle = chain.get(from..).unwrap_or_default();
            if told.insert(cycle.iter().copied().collect()) {
                let names: Vec<_> = cycle.iter().chain([target]).map(|name| format!("`{name}`")).collect();
                let circle = problem(codes::FALLBACK_CYCLE, format!("fallbacks in a circle: {}", names.join(" → ")));
                let help = if *inherited {
                    format!("write `fallback: []` in `source: {last}`, to have none of `defaults`")
                } else {
                    "remove this step".to_owned()
                };
                findings.error(&at.key("fallback"), *span, circle.help(help));
            }
            continue;
        }
        if chain.len() > MAX_FALLBACK_DEPTH {
            let names: Vec<_> = chain.iter().chain([target]).map(|name| format!("`{name}`")).collect();
            let message = format!("fallbacks of fallbacks, more than {MAX_FALLBACK_DEPTH} deep: {}", names.join(" → "));
            findings.error(
                &at.key("fallback"),
                *span,
                problem(codes::FALLBACK_DEPTH, message).help("shorten the chain"),
            );
            continue;
        }
        chain.push(target);
        walk(edges, chain, told, findings);
        chain.pop();
    }
}
