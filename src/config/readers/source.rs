//! A `source:` document → its settings.

use std::sync::Arc;

use crate::base::Name;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::readers::fallback;
use crate::config::readers::json;
use crate::config::readers::params;
use crate::config::readers::policies;
use crate::config::readers::projection;
use crate::config::readers::rate;
use crate::config::readers::request;
use crate::config::readers::retry;
use crate::config::readers::rooted;
use crate::config::readers::strategy;
use crate::config::render;
use crate::config::spec::ParamSpec;
use crate::config::spec::ServerSpec;
use crate::config::spec::SourceSpec;
use crate::config::spec::Upstream;
use crate::config::values;
use crate::config::vocabulary::POLICIES;
use crate::policy::outcome::Classify;
use crate::policy::outcome::Evidence;
use crate::policy::outcome::Selector;
use crate::shape::Format;
use crate::shape::Shape;

/// What only a call to a URL has.
pub(crate) const OF_A_CALL: [&str; 12] = [
    "propagate",
    "method",
    "query",
    "headers",
    "body",
    "content_type",
    "params",
    "forward_headers",
    "auth",
    "redirects",
    "max_response_bytes",
    "format",
];

/// Reads a source. `own` is the document; `defaults` those of `aggd.yaml`. `None`: too little of it is right.
pub(crate) fn source(
    own: &Node,
    defaults: &Node,
    server: &ServerSpec,
    at: &At<'_>,
    findings: &mut Findings,
) -> Option<SourceSpec> {
    let name = own.word("source").and_then(Name::parse);
    let params = params::params(own, at, findings);
    let upstream = upstream(own, &params, at, findings);
    let shape = shape(own, at, findings);
    let classify = classify(own, at, findings);
    let merged = defaults.merged(own, &POLICIES);
    let policies = policies::policies(&merged, server, at, findings);
    rate::cost_param(policies.admission.rate_limit.as_ref(), (&merged, &params), at, findings);
    if !classify.retry.is_empty() && policies.retry.max_attempts == 1 && policies.strategy.hedge().is_none() {
        let at = at.key("classify");
        let at = at.key("retry");
        let unused = problem(codes::NO_EFFECT, "`classify.retry` does nothing: this source makes one attempt");
        let span = own.get("classify").map_or(own.span, |classify| classify.spot_of("retry"));
        findings.warn(&at, span, unused.help("add `retry: {}`, or remove it"));
    }
    if let Some(Upstream::Http(http)) = &upstream {
        strategy::check(own, http, &policies, at, findings);
    }
    fallback::without_steps(own, &policies, at, findings);
    Some(SourceSpec {
        description: own.word("description").map(str::to_owned),
        shape,
        classify,
        policies,
        aggregate: aggregate(own, &params, at, findings),
        params,
        revision: render::revision(own),
        name: name?,
        upstream: upstream?,
    })
}

fn upstream(node: &Node, params: &[ParamSpec], at: &At<'_>, findings: &mut Findings) -> Option<Upstream> {
    let (url, constant) = (node.entry("url").or(node.entry("endpoints")), node.entry("static"));
    if let (Some(_), Some(endpoints)) = (node.entry("url"), node.entry("endpoints")) {
        let both = problem(codes::EXCLUSIVE_KEYS, "a source has a `url` or `endpoints`, not both");
        findings.error(&at.key("endpoints"), endpoints.at, both.help("write the `url` as one of `endpoints`"));
    }
    match (url, constant) {
        (Some(_), None) => request::request(node, params, at, findings).map(|http| Upstream::Http(Box::new(http))),
        (None, Some(constant)) => {
            for entry in node.entries().iter().filter(|entry| OF_A_CALL.contains(&entry.key.as_str())) {
                let unused = problem(
                    codes::NO_EFFECT,
                    format!("`{}` does nothing beside `static`: nothing is called", entry.key),
                );
                findings.error(
                    &at.key(&entry.key),
                    entry.at,
                    unused.help("remove it, or write `url` in place of `static`"),
                );
            }
            Some(Upstream::Static(Arc::from(json(&constant.value, &at.key("static"), findings))))
        }
        (Some(_), Some(constant)) => {
            let both = problem(codes::EXCLUSIVE_KEYS, "a source has a `url` or is `static`, not both");
            findings.error(&at.key("static"), constant.at, both.help("remove one of the two"));
            request::request(node, params, at, findings).map(|http| Upstream::Http(Box::new(http)))
        }
        (None, None) => {
            let span = node.entry("source").map_or(node.span, |entry| entry.at);
            let none = problem(codes::MISSING_KEY, "this source says nothing of where its data comes from");
            findings.error(at, span, none.help("add `url: https://…`, or `static: …` for constant data"));
            // The rest of the request is read all the same: its mistakes are told too.
            request::request(node, params, at, findings);
            None
        }
    }
}

fn shape(node: &Node, at: &At<'_>, findings: &mut Findings) -> Shape {
    let format = match node.word("format") {
        Some("json") => Format::Json,
        Some("text") => Format::Text,
        Some(_) | None => Format::ByContentType,
    };
    let success_when =
        node.get("success_when").and_then(|path| projection::path(path, &at.key("success_when"), findings));
    rooted::of_fields(node, at, findings);
    Shape {
        format,
        success_when,
        projection: projection::projection(node.get("project"), &at.key("project"), findings),
        omit: projection::omit(node.get("omit"), &at.key("omit"), findings),
    }
}

fn classify(node: &Node, at: &At<'_>, findings: &mut Findings) -> Classify {
    let at = at.key("classify");
    let mut rules: Vec<(Selector, Evidence)> = Vec::new();
    let Some(node) = node.get("classify") else { return Classify::default() };
    let kinds = [("failure", Evidence::Failure), ("success", Evidence::Success), ("neutral", Evidence::Neutral)];
    for (key, evidence) in kinds {
        let at = at.key(key);
        for item in node.get(key).map(Node::one_or_many).unwrap_or_default() {
            let Some(scalar) = item.scalar() else { continue };
            let Ok(selector) = values::selector(scalar) else { continue };
            if rules.iter().any(|(other, meaning)| *other == selector && *meaning != evidence) {
                let twice = problem(codes::SELECTOR_TWICE, format!("{} is classified twice", scalar.shown()));
                findings.error(&at, item.span, twice.help("keep it in one of `failure`, `success` and `neutral`"));
                continue;
            }
            rules.push((selector, evidence));
        }
    }
    Classify { rules, retry: node.get("retry").map(retry::selectors).unwrap_or_default() }
}

fn aggregate(node: &Node, params: &[ParamSpec], at: &At<'_>, findings: &mut Findings) -> bool {
    let required = params.iter().find(|param| param.required);
    match (node.switch("aggregate"), required) {
        (Some(true), Some(param)) => {
            let wrong = problem(
                codes::AGGREGATE_REQUIRED,
                format!("`aggregate: true` with a required parameter (`{}`)", param.name),
            );
            let help =
                "give the parameter a default in place of `required`, or remove `aggregate`: a route can fill it in";
            findings.error(&at.key("aggregate"), node.spot_of("aggregate"), wrong.help(help));
            false
        }
        (Some(wanted), None) => wanted,
        (Some(false) | None, Some(_)) => false,
        (None, None) => true,
    }
}
