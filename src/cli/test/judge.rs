//! What is expected, held against what is.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;

use crate::base::Name;
use crate::base::Pretty;
use crate::cli::test::ask::Seen;
use crate::cli::test::diff;
use crate::cli::test::diff::Line;
use crate::cli::test::wire::Wire;
use crate::config::selftest::Expectation;
use crate::config::selftest::Expected;
use crate::config::selftest::OfPart;
use crate::config::selftest::OfSent;
use crate::config::selftest::Tree;
use crate::diag::Place;
use crate::live::cache::Held;
use crate::request::Shared;
use crate::request::query_pairs;

/// Something that is not as expected.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) place: Place,
    /// What is wrong, in one line.
    pub(crate) message: String,
    pub(crate) lines: Vec<Line>,
}

/// What is compared, in the words of both.
enum Found {
    /// As expected.
    So,
    Other {
        expected: String,
        came: String,
    },
    /// Of two values; where the difference begins is a place of its own.
    Differs(Place, Vec<Line>),
}

/// Holds what is expected of an answer against it.
pub(crate) fn of_answer(expectation: &Expectation, seen: &Seen) -> Option<Failure> {
    let found = match &expectation.what {
        Expected::Status(status) => words(&status.to_string(), &seen.status.to_string()),
        Expected::Header(name, value) => header(name, value.as_deref(), &seen.headers),
        Expected::Json(tree) => body(tree, &seen.body, seen.json.as_ref(), expectation),
        Expected::Body(text) => texts(text, &seen.body, expectation),
        Expected::Part(name, of) => part(name, of, seen, expectation),
        Expected::Mode(mode) => words(mode, seen.mode.unwrap_or("refused")),
        Expected::Degraded(degraded) => {
            let is = seen.mode.map_or("refused".to_owned(), |mode| (!matches!(mode, "fresh" | "cached")).to_string());
            words(&degraded.to_string(), &is)
        }
        Expected::Within(within) if seen.took <= *within => Found::So,
        Expected::Within(within) => other(format!("at most {}", Pretty(*within)), Pretty(seen.took).to_string()),
        Expected::Breaker(..) | Expected::Cache(..) | Expected::Calls(..) | Expected::Sent(..) => Found::So,
    };
    failure(expectation, found)
}

/// Holds what is expected of the state against it.
pub(crate) fn of_state(expectation: &Expectation, shared: &Arc<Shared>, wire: &Wire) -> Option<Failure> {
    let found = match &expectation.what {
        Expected::Breaker(name, state) => words(state, circuit(name, shared)),
        Expected::Cache(name, held) => words(held, held_of(name, shared)),
        Expected::Calls(name, calls) => words(&calls.to_string(), &wire.calls(name).to_string()),
        Expected::Sent(name, of) => sent(name, of, wire, expectation),
        Expected::Status(_)
        | Expected::Header(..)
        | Expected::Json(_)
        | Expected::Body(_)
        | Expected::Part(..)
        | Expected::Mode(_)
        | Expected::Degraded(_)
        | Expected::Within(_) => Found::So,
    };
    failure(expectation, found)
}

fn failure(expectation: &Expectation, found: Found) -> Option<Failure> {
    let path = &expectation.path;
    match found {
        Found::So => None,
        Found::Other { expected, came } => {
            let lines = vec![Line::Expected(expected), Line::Came(came)];
            Some(Failure { place: expectation.place.clone(), message: format!("`{path}` is not so"), lines })
        }
        Found::Differs(place, lines) => Some(Failure { place, message: format!("`{path}` is not so"), lines }),
    }
}

fn words(expected: &str, came: &str) -> Found {
    if expected == came { Found::So } else { other(expected.to_owned(), came.to_owned()) }
}

fn other(expected: String, came: String) -> Found {
    Found::Other { expected, came }
}

/// Texts that may have several lines.
fn texts(expected: &str, came: &str, expectation: &Expectation) -> Found {
    if expected == came {
        return Found::So;
    }
    if !expected.contains('\n') && !came.contains('\n') {
        return other(expected.to_owned(), came.to_owned());
    }
    let lines = expected.lines().map(|line| Line::Expected(line.to_owned()));
    Found::Differs(
        expectation.place.clone(),
        lines.chain(came.lines().map(|line| Line::Came(line.to_owned()))).collect(),
    )
}

fn trees(expected: &Tree, came: &Tree, expectation: &Expectation) -> Found {
    let Some(first) = diff::first(expected, came) else { return Found::So };
    let mut place = expectation.place.clone();
    if let Some(span) = first.span {
        (place.line, place.column, place.end_column) = (span.line, span.column, span.end_column);
    }
    Found::Differs(place, diff::lines(expected, came))
}

fn body(expected: &Tree, text: &str, json: Option<&Tree>, expectation: &Expectation) -> Found {
    match json {
        Some(json) => trees(expected, json, expectation),
        None => {
            let lines = diff::lines(expected, &Tree::text("")).into_iter();
            let expected = lines.filter(|line| matches!(line, Line::Expected(_)));
            let came = if text.is_empty() { "(no body)".to_owned() } else { format!("{text} (no JSON)") };
            Found::Differs(expectation.place.clone(), expected.chain([Line::Came(came)]).collect())
        }
    }
}

fn header(name: &HeaderName, expected: Option<&str>, headers: &HeaderMap) -> Found {
    let secret = headers.get_all(name).iter().any(http::HeaderValue::is_sensitive);
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let came = (!values.is_empty()).then(|| values.join(", "));
    match (expected, came) {
        (None, None) => Found::So,
        (Some(expected), Some(came)) if expected == came => Found::So,
        (_, Some(_)) if secret => other("another value".to_owned(), "***".to_owned()),
        (expected, came) => other(or_none(expected), or_none(came.as_deref())),
    }
}

fn or_none(text: Option<&str>) -> String {
    text.map_or("(none)".to_owned(), str::to_owned)
}

/// One result of an envelope.
fn part(name: &Name, of: &OfPart, seen: &Seen, expectation: &Expectation) -> Found {
    let results = seen.json.as_ref().and_then(|body| body.get("results"));
    let is_it = |result: &&Tree| result.get("source").and_then(Tree::as_text).as_deref() == Some(name.as_str());
    let Some(result) = results.and_then(|results| results.items().iter().find(is_it)) else {
        if matches!(of, OfPart::Status(status) if status == "refused") && matches!(seen.status, 400..=499) {
            return Found::So;
        }
        let why = seen.json.as_ref().and_then(|body| body.get("detail")).and_then(Tree::as_text).unwrap_or_default();
        let came = format!("refused with {}: {why}", seen.status);
        return match of {
            OfPart::Status(status) => other(status.clone(), came),
            OfPart::Kind(kind) | OfPart::Via(kind) => other(or_none(kind.as_deref()), came),
            OfPart::Data(tree) => body(tree, &came, None, expectation),
        };
    };
    let text = |member: Option<&Tree>| member.and_then(Tree::as_text);
    let option = |expected: &Option<String>, came: Option<String>| match (expected, came) {
        (expected, came) if *expected == came => Found::So,
        (expected, came) => other(or_none(expected.as_deref()), or_none(came.as_deref())),
    };
    match of {
        OfPart::Status(status) => {
            let came = text(result.get("status")).unwrap_or_default();
            match text(result.get("error")).filter(|_| *status != came) {
                // Why it failed is what whoever reads this wants to know next.
                Some(why) => other(status.clone(), format!("{came}: {why}")),
                None => words(status, &came),
            }
        }
        OfPart::Data(tree) => match result.get("data") {
            Some(data) => trees(tree, data, expectation),
            None => body(tree, "", None, expectation),
        },
        OfPart::Kind(kind) => option(kind, text(result.get("kind"))),
        OfPart::Via(via) => option(via, text(result.get("fallback").and_then(|note| note.get("via")))),
    }
}

fn circuit(name: &Name, shared: &Arc<Shared>) -> &'static str {
    let snapshot = shared.live.load();
    let view = snapshot.source(name.as_str()).and_then(|source| source.view(shared.clock.now()));
    view.map_or("unknown", |view| view.state.as_str())
}

fn held_of(name: &Name, shared: &Arc<Shared>) -> &'static str {
    let snapshot = shared.live.load();
    let Some(source) = snapshot.source(name.as_str()) else { return "unknown" };
    let Some(settings) = &source.plan.cache else { return Held::Nothing.as_str() };
    let longest = source.plan.longest_stale();
    snapshot.cache.held(&source.mark, settings, longest, shared.clock.now()).as_str()
}

fn sent(name: &Name, of: &OfSent, wire: &Wire, expectation: &Expectation) -> Found {
    let Some(call) = wire.last(name) else { return other("a call".to_owned(), "nothing was sent".to_owned()) };
    match of {
        OfSent::Method(method) => words(method, call.method.as_str()),
        OfSent::Path(path) => words(path, call.url.path()),
        OfSent::Query(name, value) => {
            let pairs = query_pairs(call.url.query().unwrap_or_default()).unwrap_or_default();
            let values: Vec<_> = pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect();
            let came = (!values.is_empty()).then(|| values.join(", "));
            if *value == came { Found::So } else { other(or_none(value.as_deref()), or_none(came.as_deref())) }
        }
        OfSent::Header(name, value) => header(name, value.as_deref(), &call.headers),
        OfSent::Json(tree) => {
            let text = String::from_utf8_lossy(&call.body);
            body(tree, &text, Tree::parse(&text).as_ref(), expectation)
        }
        OfSent::Body(text) => texts(text, &String::from_utf8_lossy(&call.body), expectation),
    }
}
