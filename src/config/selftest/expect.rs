//! `expect:` of a test: what must come of it.

use http::HeaderName;

use crate::base::Name;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Entry;
use crate::config::node::Node;
use crate::config::readers::header_key;
use crate::config::selftest::Expectation;
use crate::config::selftest::Expected;
use crate::config::selftest::OfPart;
use crate::config::selftest::OfSent;
use crate::config::selftest::Subject;
use crate::config::selftest::Tree;
use crate::config::selftest::names::Tested;
use crate::config::selftest::names::World;
use crate::config::values;
use crate::policy::outcome::Kind;

/// `status` of a source.
const STATUSES: [&str; 6] = ["ok", "stale", "fallback", "failed", "skipped", "refused"];
/// What only a test of a source may expect, and what a test of a route writes for it.
const OF_SOURCES: [&str; 3] = ["data", "kind", "via"];
/// What only a test of a route may expect.
const OF_ROUTES: [&str; 4] = ["json", "body", "headers", "results"];

/// Reads `expect`.
pub(crate) fn expect(
    node: &Node,
    world: &World<'_>,
    tested: &Tested<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Vec<Expectation> {
    let mut reader = Reader { world, tested, findings, all: Vec::new() };
    for entry in node.entries() {
        reader.key(entry, at);
    }
    reader.all
}

struct Reader<'a, 'f> {
    world: &'a World<'a>,
    tested: &'a Tested<'a>,
    findings: &'f mut Findings,
    all: Vec<Expectation>,
}

impl Reader<'_, '_> {
    fn key(&mut self, entry: &Entry, at: &At<'_>) {
        let (node, here) = (&entry.value, at.key(&entry.key));
        if node.is_broken() {
            return;
        }
        if self.is_elsewhere(entry, &here) {
            return;
        }
        match (entry.key.as_str(), &self.tested.subject) {
            ("status", Subject::Source(name)) => {
                let name = name.clone();
                self.status_of_source(name, node, &here);
            }
            ("status", Subject::Route(_)) => self.status_of_route(node, &here),
            ("data" | "kind" | "via", Subject::Source(name)) => {
                let name = name.clone();
                self.of_part(&name, entry, &here);
            }
            ("json", _) => self.push(node, &here, Expected::Json(Tree::of(node))),
            ("body", _) => self.text(node, &here, Expected::Body),
            ("mode", _) => self.text(node, &here, Expected::Mode),
            ("degraded", _) => {
                if let Some(degraded) = node.scalar().and_then(|scalar| values::switch(scalar).ok()) {
                    self.push(node, &here, Expected::Degraded(degraded));
                }
            }
            ("within", _) => {
                if let Some(within) = node.scalar().and_then(|scalar| values::duration(scalar, false).ok()) {
                    self.push(node, &here, Expected::Within(within));
                }
            }
            ("headers", _) => self.headers(node, &here, Expected::Header),
            ("results", _) => self.results(node, &here),
            ("breaker", _) => {
                self.by_source(node, &here, |name, node| Some(Expected::Breaker(name, node.text()?.into())))
            }
            ("cache", _) => self.by_source(node, &here, |name, node| Some(Expected::Cache(name, node.text()?.into()))),
            ("calls", _) => self.by_source(node, &here, |name, node| {
                let calls = values::whole(node.scalar()?, 0, u64::MAX).ok()?;
                Some(Expected::Calls(name, calls))
            }),
            ("sent", _) => self.sent(node, &here),
            // Told already.
            _ => {}
        }
    }

    /// Whether the key belongs to tests of the other kind; there is a finding then.
    fn is_elsewhere(&mut self, entry: &Entry, at: &At<'_>) -> bool {
        let key = entry.key.as_str();
        let help = if self.tested.is_source() && OF_ROUTES.contains(&key) {
            "expect `data`, `status`, `kind` or `via` of the source, or test a route that has it".to_owned()
        } else if !self.tested.is_source() && OF_SOURCES.contains(&key) {
            match self.tested.parts.first().filter(|_| self.tested.envelope) {
                Some((part, _)) => format!("write `results: {{ {part}: {{ {key}: … }} }}`"),
                None => "expect the whole body: `json`".to_owned(),
            }
        } else if key == "results" && !self.tested.envelope {
            "expect the whole body: `json`".to_owned()
        } else {
            return false;
        };
        self.tested.misplaced(key, entry.at, &help, at, self.findings);
        true
    }

    fn push(&mut self, node: &Node, at: &At<'_>, what: Expected) {
        let path = at.to_string().split_once(": ").map_or_else(|| at.to_string(), |(_, path)| path.to_owned());
        self.all.push(Expectation { place: self.findings.place(node.span), path, what });
    }

    fn text(&mut self, node: &Node, at: &At<'_>, what: impl Fn(String) -> Expected) {
        if let Some(text) = node.text() {
            self.push(node, at, what(text.to_owned()));
        }
    }

    fn status_of_source(&mut self, name: Name, node: &Node, at: &At<'_>) {
        let Some(scalar) = node.scalar() else { return };
        match values::one_of(scalar, &STATUSES) {
            Ok(status) => self.push(node, at, Expected::Part(name, OfPart::Status(status.to_owned()))),
            Err(wrong) if scalar.text.bytes().all(|b| b.is_ascii_digit()) => {
                let help = "a source has no HTTP status of its own: write `status: ok` or `status: failed`, and why: `kind: server_error`";
                self.findings.error(at, node.span, wrong.help(help));
            }
            Err(wrong) => self.findings.error(at, node.span, wrong),
        }
    }

    fn status_of_route(&mut self, node: &Node, at: &At<'_>) {
        let Some(scalar) = node.scalar() else { return };
        match values::whole(scalar, 100, 599) {
            Ok(status) => self.push(node, at, Expected::Status(u16::try_from(status).unwrap_or_default())),
            Err(wrong) => {
                self.findings.error(at, node.span, wrong.help("write the HTTP status, such as `status: 200`"))
            }
        }
    }

    fn headers(&mut self, node: &Node, at: &At<'_>, what: impl Fn(HeaderName, Option<String>) -> Expected) {
        for entry in node.entries() {
            let at = at.key(&entry.key);
            let Some(name) = header_key(&entry.key, entry.at, &at, self.findings) else { continue };
            self.push(&entry.value, &at, what(name, text_or_null(&entry.value)));
        }
    }

    fn results(&mut self, node: &Node, at: &At<'_>) {
        for entry in node.entries() {
            let here = at.key(&entry.key);
            let Some(part) = self.world.part_of(self.tested, entry, &here, self.findings) else { continue };
            for entry in entry.value.entries() {
                self.of_part(&part, entry, &here.key(&entry.key));
            }
        }
    }

    fn of_part(&mut self, part: &Name, entry: &Entry, at: &At<'_>) {
        let node = &entry.value;
        let of_part = match entry.key.as_str() {
            "status" => node.text().map(|status| OfPart::Status(status.to_owned())),
            "data" => Some(OfPart::Data(Tree::of(node))),
            "kind" => self.kind(node, at).map(OfPart::Kind),
            "via" => Some(OfPart::Via(text_or_null(node))),
            _ => None,
        };
        if let Some(of_part) = of_part {
            self.push(node, at, Expected::Part(part.clone(), of_part));
        }
    }

    /// Why a call failed: the name of an outcome, or null.
    fn kind(&mut self, node: &Node, at: &At<'_>) -> Option<Option<String>> {
        let Some(scalar) = node.scalar().filter(|_| !node.is_null()) else { return Some(None) };
        let kinds: Vec<&'static str> = Kind::ALL.iter().map(|kind| kind.as_str()).chain(["timeout"]).collect();
        match values::one_of(scalar, &kinds) {
            Ok("timeout") => Some(Some(Kind::AttemptTimeout.as_str().to_owned())),
            Ok(kind) => Some(Some(kind.to_owned())),
            Err(like) => {
                let wrong = problem(codes::BAD_SELECTOR, format!("{} is no outcome of a call", scalar.shown()));
                let meant = like.help.filter(|help| help.len() < 40);
                let help = meant.unwrap_or_else(|| "write its name, such as `server_error` or `timeout`".to_owned());
                self.findings.error(at, node.span, wrong.help(help));
                None
            }
        }
    }

    fn by_source(&mut self, node: &Node, at: &At<'_>, what: impl Fn(Name, &Node) -> Option<Expected>) {
        for entry in node.entries() {
            let at = at.key(&entry.key);
            let Some(name) = self.world.source_of(self.tested, entry, &at, self.findings) else { continue };
            if let Some(expected) = what(name, &entry.value) {
                self.push(&entry.value, &at, expected);
            }
        }
    }

    fn sent(&mut self, node: &Node, at: &At<'_>) {
        for entry in node.entries() {
            let here = at.key(&entry.key);
            let Some(name) = self.world.source_of(self.tested, entry, &here, self.findings) else { continue };
            if self.world.is_static(&name) {
                let none = problem(codes::NO_EFFECT, format!("`{name}` is constant: nothing is sent"));
                self.findings.error(&here, entry.at, none.help("remove it"));
                continue;
            }
            for entry in entry.value.entries() {
                self.of_sent(&name, entry, &here.key(&entry.key));
            }
        }
    }

    fn of_sent(&mut self, name: &Name, entry: &Entry, at: &At<'_>) {
        let node = &entry.value;
        let sent = |what| Expected::Sent(name.clone(), what);
        match entry.key.as_str() {
            "method" => self.text(node, at, |method| sent(OfSent::Method(method))),
            "path" => self.text(node, at, |path| sent(OfSent::Path(path))),
            "body" => self.text(node, at, |body| sent(OfSent::Body(body))),
            "json" => self.push(node, at, sent(OfSent::Json(Tree::of(node)))),
            "headers" => self.headers(node, at, |header, value| sent(OfSent::Header(header, value))),
            "query" => {
                for entry in node.entries() {
                    let (at, value) = (at.key(&entry.key), text_or_null(&entry.value));
                    self.push(&entry.value, &at, sent(OfSent::Query(entry.key.clone(), value)));
                }
            }
            _ => {}
        }
    }
}

/// The text of a scalar; `None` for null: there must be none.
fn text_or_null(node: &Node) -> Option<String> {
    node.text().filter(|_| !node.is_null()).map(str::to_owned)
}
