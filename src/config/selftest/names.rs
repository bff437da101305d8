//! What a test may name: declared sources, declared routes, and the parts of the route under test.

use http::Method;

use crate::base::Name;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::load::Item;
use crate::config::load::Read;
use crate::config::node::Entry;
use crate::config::node::Node;
use crate::config::node::Scalar;
use crate::config::node::Span;
use crate::config::relations::Names;
use crate::config::route_path;
use crate::config::selftest::Subject;
use crate::config::similar;
use crate::config::spec::ParamSpec;
use crate::config::spec::Respond;
use crate::config::spec::RouteSpec;
use crate::config::spec::SourceSpec;
use crate::config::spec::Upstream;
use crate::config::values;

/// The routes that are there without being declared.
const BUILT_IN: [&str; 2] = ["/aggregate", "/aggregate/{source}"];

/// The rest of the configuration, as a test sees it.
pub(crate) struct World<'a> {
    pub(crate) reads: &'a [Read<'a>],
    pub(crate) names: Names<'a>,
}

/// What is under test, and what of it a test may name.
pub(crate) struct Tested<'a> {
    pub(crate) subject: Subject,
    /// The parts of a route: alias and source.
    pub(crate) parts: Vec<(Name, Name)>,
    /// The parameters of a source.
    pub(crate) params: &'a [ParamSpec],
    /// The names in a route's path.
    pub(crate) path: Vec<String>,
    /// Whether the answer is an envelope.
    pub(crate) envelope: bool,
}

impl<'a> World<'a> {
    /// What the document tests; `None`, with a finding, where that is nothing.
    pub(crate) fn tested(&self, node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<Tested<'a>> {
        match (node.get("source"), node.get("route")) {
            (Some(_), Some(route)) => {
                let both = problem(codes::EXCLUSIVE_KEYS, "a test is of a source or of a route");
                findings.error(&at.key("route"), route.span, both.help("remove `source`, or `route`"));
                None
            }
            (None, None) => {
                let none = problem(codes::MISSING_KEY, "a test says what it tests");
                let span = node.entries().first().map_or(node.span, |entry| entry.at);
                findings.error(at, span, none.help("add `source: NAME` or `route: /path`"));
                None
            }
            (Some(source), None) => self.of_source(source, &at.key("source"), findings),
            (None, Some(route)) => self.of_route(route, &at.key("route"), findings),
        }
    }

    fn of_source(&self, node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<Tested<'a>> {
        let name = values::name(node.scalar()?).ok()?;
        if let Some(unknown) = self.names.unknown(name.as_str(), node.scalar()) {
            findings.error(at, node.span, unknown);
            return None;
        }
        let params = self.source(&name).map(|source| source.params.as_slice()).unwrap_or_default();
        let parts = vec![(name.clone(), name.clone())];
        Some(Tested { subject: Subject::Source(name), parts, params, path: Vec::new(), envelope: true })
    }

    fn of_route(&self, node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<Tested<'a>> {
        let scalar = node.scalar()?;
        let subject = Subject::Route(scalar.text.clone());
        let path = route_path::names(&scalar.text);
        if let Some(route) = self.routes().find(|route| route.path == scalar.text) {
            let parts = route.parts.iter().map(|part| (part.alias.clone(), part.source.clone())).collect();
            return Some(Tested { subject, parts, params: &[], path, envelope: route.respond == Respond::Envelope });
        }
        if BUILT_IN.contains(&scalar.text.as_str()) {
            let every = self.sources().filter(|source| source.aggregate && path.is_empty());
            let parts = every.map(|source| (source.name.clone(), source.name.clone())).collect();
            return Some(Tested { subject, parts, params: &[], path, envelope: true });
        }
        findings.error(at, node.span, self.unknown_route(scalar));
        None
    }

    fn unknown_route(&self, scalar: &Scalar) -> crate::config::findings::Problem {
        let unknown = problem(codes::UNKNOWN_ROUTE, format!("there is no route {}", scalar.shown()));
        let known = || self.routes().map(|route| route.path.as_str()).chain(BUILT_IN);
        match similar::closest(&scalar.text, known()) {
            Some(meant) => unknown.help(format!("write `{meant}`")),
            None => {
                unknown.help("write the path as it is declared, such as `/cities/{city}`; values go into `request`")
            }
        }
    }

    /// The source that a key names: one that is declared, else that of a part of the route.
    pub(crate) fn source_of(
        &self,
        tested: &Tested<'_>,
        entry: &Entry,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<Name> {
        let unknown = self.names.unknown(&entry.key, None);
        let by_part = tested.parts.iter().find(|(alias, _)| alias.as_str() == entry.key).map(|(_, source)| source);
        match (unknown, by_part) {
            (None, _) => Name::parse(&entry.key),
            (Some(_), Some(source)) => Some(source.clone()),
            (Some(unknown), None) => {
                findings.error(at, entry.at, unknown);
                None
            }
        }
    }

    /// The part that a key names.
    pub(crate) fn part_of(
        &self,
        tested: &Tested<'_>,
        entry: &Entry,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<Name> {
        let known = || tested.parts.iter().map(|(alias, _)| alias);
        if let Some(alias) = known().find(|alias| alias.as_str() == entry.key) {
            return Some(alias.clone());
        }
        let unknown = problem(codes::PART_NOT_THERE, format!("the route has no part `{}`", entry.key));
        let names: Vec<&str> = known().map(Name::as_str).collect();
        let help = match similar::closest(&entry.key, names.iter().copied()) {
            Some(meant) => format!("write `{meant}`"),
            None => format!("its parts are {}", values::listed(&names).replace(" or ", " and ")),
        };
        findings.error(at, entry.at, unknown.help(help));
        None
    }

    /// Whether a source is constant: there is nothing to be given for it.
    pub(crate) fn is_static(&self, name: &Name) -> bool {
        self.source(name).is_some_and(|source| matches!(source.upstream, Upstream::Static(_)))
    }

    /// The method of the route under test, where it is not told: that of the only route there, else GET.
    pub(crate) fn method(&self, path: &str) -> Method {
        let mut methods = self.routes().filter(|route| route.path == path).map(|route| &route.method);
        match (methods.next(), methods.next()) {
            (Some(only), None) => only.clone(),
            _ => Method::GET,
        }
    }

    fn source(&self, name: &Name) -> Option<&'a SourceSpec> {
        self.sources().find(|source| source.name == *name)
    }

    fn sources(&self) -> impl Iterator<Item = &'a SourceSpec> + use<'a> {
        self.reads.iter().filter_map(|read| match &read.item {
            Item::Source(source) => Some(&**source),
            Item::Route(_) | Item::Nothing => None,
        })
    }

    fn routes(&self) -> impl Iterator<Item = &'a RouteSpec> + use<'a> {
        self.reads.iter().filter_map(|read| match &read.item {
            Item::Route(route) => Some(&**route),
            Item::Source(_) | Item::Nothing => None,
        })
    }
}

impl Tested<'_> {
    /// Whether it is a source.
    pub(crate) fn is_source(&self) -> bool {
        matches!(self.subject, Subject::Source(_))
    }

    /// A key that only tests of the other kind have.
    pub(crate) fn misplaced(&self, key: &str, span: Span, help: &str, at: &At<'_>, findings: &mut Findings) {
        let this = match (&self.subject, self.envelope) {
            (Subject::Source(_), _) => "a source",
            (Subject::Route(_), true) => "a route",
            (Subject::Route(_), false) => "a route that answers no envelope",
        };
        let wrong = problem(codes::MISPLACED_KEY, format!("`{key}` has no meaning in a test of {this}"));
        findings.error(at, span, wrong.help(help));
    }
}
