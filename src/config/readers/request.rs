//! The request part of a source: URL, query, headers, what it may hold.

use std::collections::BTreeSet;

use http::HeaderName;
use http::Method;

use crate::base::ByteSize;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::node::Scalar;
use crate::config::node::Span;
use crate::config::readers::auth;
use crate::config::readers::body;
use crate::config::readers::rate;
use crate::config::readers::url;
use crate::config::similar;
use crate::config::spec::EndpointSpec;
use crate::config::spec::HttpSpec;
use crate::config::spec::ParamSpec;
use crate::config::spec::Piece;
use crate::config::spec::Propagate;
use crate::config::spec::Template;
use crate::config::spec::UrlTemplate;
use crate::config::template;
use crate::config::template::Part;
use crate::config::values;

/// More are no replicas of one upstream.
const MOST_ENDPOINTS: usize = 64;
/// Used where the file is silent.
const MAX_RESPONSE_BYTES: ByteSize = ByteSize::mib(5);

/// Which parameters there are, and which of them are used.
pub(crate) struct Placeholders<'a> {
    pub(crate) declared: &'a [ParamSpec],
    used: BTreeSet<String>,
    /// Some text could not be read: what looks unused may be used there.
    doubtful: bool,
}

impl<'a> Placeholders<'a> {
    /// None used yet.
    pub(crate) fn of(declared: &'a [ParamSpec]) -> Self {
        Self { declared, used: BTreeSet::new(), doubtful: false }
    }

    /// The parts of a text, each placeholder a declared parameter.
    pub(crate) fn parts(
        &mut self,
        scalar: &Scalar,
        span: Span,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<Vec<Part>> {
        let parts = self.split(scalar, span, at, findings)?;
        self.check(&parts, scalar, span, at, findings);
        Some(parts)
    }

    fn split(&mut self, scalar: &Scalar, span: Span, at: &At<'_>, findings: &mut Findings) -> Option<Vec<Part>> {
        match template::parts(scalar) {
            Ok(parts) => Some(parts),
            Err(problem) => {
                self.doubtful = true;
                findings.error(at, span, problem);
                None
            }
        }
    }

    fn check(&mut self, parts: &[Part], scalar: &Scalar, span: Span, at: &At<'_>, findings: &mut Findings) {
        for part in parts {
            let Piece::Placeholder(name) = &part.piece else { continue };
            self.used.insert(name.clone());
            if self.declared.iter().all(|param| param.name != *name) {
                let mut unknown = problem(codes::UNKNOWN_PLACEHOLDER, format!("`{{{name}}}` names no parameter"));
                let known = self.declared.iter().map(|param| param.name.as_str());
                unknown = match similar::closest(name, known) {
                    Some(meant) => unknown.help(format!("write `{{{meant}}}`")),
                    None => unknown.help(format!(
                        "declare it: `params: {{ {name}: {{ type: string }} }}`; a literal brace is `{{{{`"
                    )),
                };
                if !scalar.is_secret() {
                    unknown = unknown.at(part.at + scalar.lead).wide(name.chars().count() + 2);
                }
                findings.error(at, span, unknown);
            }
        }
    }

    /// A text as a template.
    pub(crate) fn template(&mut self, node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<Template> {
        let Some(scalar) = node.scalar() else {
            self.doubtful = true;
            return None;
        };
        self.parts(scalar, node.span, at, findings).map(template::template)
    }

    /// Warns of parameters that nothing uses.
    pub(crate) fn report_unused(&self, node: &Node, at: &At<'_>, findings: &mut Findings) {
        if self.doubtful {
            return;
        }
        let at = at.key("params");
        for entry in node.get("params").map(Node::entries).unwrap_or_default() {
            if !self.used.contains(&entry.key) {
                let unused = problem(codes::UNUSED_PARAM, format!("the parameter `{0}` is used nowhere", entry.key));
                let help = format!("write `{{{}}}` in `url`, `query`, `headers` or `body`, or remove it", entry.key);
                findings.warn(&at.key(&entry.key), entry.at, unused.help(help));
            }
        }
    }
}

/// Reads the request of a source with a `url`. `None`: it has none that can be used.
pub(crate) fn request(node: &Node, params: &[ParamSpec], at: &At<'_>, findings: &mut Findings) -> Option<HttpSpec> {
    let mut names = Placeholders::of(params);
    let endpoints = endpoints(node, &mut names, at, findings);
    let method = node.word("method").and_then(|word| Method::from_bytes(word.as_bytes()).ok()).unwrap_or(Method::GET);
    let body = body::body(node, &mut names, at, findings);
    if body.is_some() && method == Method::GET && node.entry("body").is_some() {
        let odd = problem(codes::NO_EFFECT, "a GET with a body: many servers ignore it").help("write `method: POST`");
        findings.warn(&at.key("body"), node.entry("body").map_or(node.span, |entry| entry.at), odd);
    }
    let forwarded = node.get("forward_headers").map(Node::items).unwrap_or_default();
    let query = query(node, &mut names, at, findings);
    let headers = headers(node, &mut names, at, findings);
    names.used.extend(rate::cost_of(node));
    names.report_unused(node, at, findings);
    Some(HttpSpec {
        method,
        query,
        headers,
        body,
        forward_headers: forwarded.iter().filter_map(|name| values::header_name(name.scalar()?).ok()).collect(),
        auth: auth::auth(node, at, findings),
        redirects: node.count("redirects").unwrap_or(0),
        max_response_bytes: node.size("max_response_bytes").unwrap_or(MAX_RESPONSE_BYTES),
        propagate: propagate(node),
        endpoints: endpoints?,
    })
}

/// Where the request goes: one `url`, or each of `endpoints`.
fn endpoints(
    node: &Node,
    names: &mut Placeholders<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Option<Vec<EndpointSpec>> {
    let Some(list) = node.get("endpoints") else {
        names.doubtful = node.get("url").is_none();
        let url = read_url(node, names, at, findings)?;
        return Some(vec![EndpointSpec { id: url.origin.clone(), url, weight: 1 }]);
    };
    let at = at.key("endpoints");
    let mut read: Vec<EndpointSpec> = Vec::new();
    let mut all = true;
    for (index, item) in list.items().iter().enumerate() {
        let at = at.item(index);
        let Some(url) = read_url(item, names, &at, findings) else {
            all = false;
            continue;
        };
        let id = item.word("id").map_or_else(|| url.origin.clone(), str::to_owned);
        if read.iter().any(|known| known.id == id) {
            let key = if item.entry("id").is_some() { "id" } else { "url" };
            let twice = problem(codes::DECLARED_TWICE, "two endpoints with one identity: their circuits would be one");
            findings.error(&at.key(key), item.spot_of(key), twice.help("give each an `id` of its own"));
            all = false;
            continue;
        }
        read.push(EndpointSpec { id, url, weight: item.count("weight").unwrap_or(1) });
    }
    if read.len() > MOST_ENDPOINTS || (read.is_empty() && all) {
        let count = problem(codes::BAD_NUMBER, format!("a source has 1 to {MOST_ENDPOINTS} endpoints"));
        findings.error(&at, list.span, count.help("write them as a list: `- url: https://…`"));
        return None;
    }
    all.then_some(read)
}

fn propagate(node: &Node) -> Propagate {
    let words = node.get("propagate").map(Node::items).unwrap_or_default();
    let has = |word: &str| words.iter().any(|item| item.text() == Some(word));
    Propagate { deadline: has("deadline"), priority: has("priority") }
}

fn read_url(node: &Node, names: &mut Placeholders<'_>, at: &At<'_>, findings: &mut Findings) -> Option<UrlTemplate> {
    let at = at.key("url");
    let url = node.get("url")?;
    let scalar = url.scalar()?;
    let parts = names.split(scalar, url.span, &at, findings)?;
    match url::url(scalar, &parts) {
        Ok(read) => {
            names.check(&parts, scalar, url.span, &at, findings);
            Some(read)
        }
        Err(problem) => {
            // Its placeholders may be right once the rest is.
            names.doubtful = true;
            findings.error(&at, url.span, problem);
            None
        }
    }
}

fn query(node: &Node, names: &mut Placeholders<'_>, at: &At<'_>, findings: &mut Findings) -> Vec<(String, Template)> {
    let at = at.key("query");
    let mut pairs = Vec::new();
    for entry in node.get("query").map(Node::entries).unwrap_or_default() {
        for value in entry.value.one_or_many() {
            let template = names.template(value, &at.key(&entry.key), findings);
            pairs.extend(template.map(|template| (entry.key.clone(), template)));
        }
    }
    pairs
}

fn headers(
    node: &Node,
    names: &mut Placeholders<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Vec<(HeaderName, Template)> {
    let at = at.key("headers");
    let mut headers = Vec::new();
    for entry in node.get("headers").map(Node::entries).unwrap_or_default() {
        let at = at.key(&entry.key);
        let name = header_key(&entry.key, entry.at, &at, findings);
        for value in entry.value.one_or_many() {
            if let Some(Err(problem)) = value.scalar().map(values::header_value) {
                findings.error(&at, value.span, problem);
            }
            let template = names.template(value, &at, findings);
            headers.extend(name.clone().zip(template));
        }
    }
    headers
}

/// A key that is the name of a header.
pub(crate) fn header_key(key: &str, span: Span, at: &At<'_>, findings: &mut Findings) -> Option<HeaderName> {
    match values::header_name_of(key) {
        Ok(name) => Some(name),
        Err((what, help)) => {
            findings.error(at, span, problem(codes::BAD_HEADER, format!("`{key}` {what}")).help(help));
            None
        }
    }
}
