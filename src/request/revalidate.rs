//! What an upstream says about keeping its answer, and the question whether the copy we have still holds: a conditional
//! request, which costs the upstream a 304 instead of the answer.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::Method;
use http::header;

use crate::live::Fetched;
use crate::live::Keeping;
use crate::live::Validators;
use crate::plan::CallPlan;
use crate::policy::directives::Directives;
use crate::policy::freshness::CacheSettings;
use crate::request::flight::Flight;

/// A longer validator is not worth its place; it would be sent back with every call.
const LONGEST_VALIDATOR: usize = 1024;
/// A call that has one of these is conditional, or of a part, by its own configuration: what it is answered is its own.
const CONDITIONS: [HeaderName; 6] = [
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// Asks whether the copy that the flight knows still holds, and returns it: a 304 then stands for it.
pub(crate) fn ask<'a>(flight: &'a Flight, headers: &mut HeaderMap) -> Option<&'a Fetched> {
    let known = flight.known.as_deref()?;
    let validators = known.keeping.validators.as_ref()?;
    if !may_ask(flight) || CONDITIONS.iter().any(|name| headers.contains_key(name)) {
        return None;
    }
    if let Some(etag) = &validators.etag {
        headers.insert(header::IF_NONE_MATCH, etag.clone());
    }
    if let Some(date) = &validators.last_modified {
        headers.insert(header::IF_MODIFIED_SINCE, date.clone());
    }
    flight.trail.note(&flight.shared.clock, &flight.source.plan.name, || {
        let by = if validators.etag.is_some() { "If-None-Match" } else { "If-Modified-Since" };
        format!("asks whether the copy still holds ({by})")
    });
    Some(known)
}

/// What an answer says about keeping it.
pub(crate) fn heard(flight: &Flight, headers: &HeaderMap) -> Keeping {
    let Some(settings) = &flight.source.plan.cache else { return Keeping::default() };
    Keeping { directives: directives(headers), validators: validators(flight, settings, headers), not_modified: false }
}

/// What is to be kept of a copy that a 304 confirmed: what the 304 says, and where it is silent, what the copy said.
pub(crate) fn confirmed(flight: &Flight, known: &Fetched, headers: &HeaderMap) -> Keeping {
    let said = heard(flight, headers);
    let directives = match headers.contains_key(header::CACHE_CONTROL) {
        true => said.directives,
        false => known.keeping.directives,
    };
    let validators = said.validators.or_else(|| known.keeping.validators.clone());
    Keeping { directives, validators, not_modified: true }
}

fn directives(headers: &HeaderMap) -> Directives {
    let lines = headers.get_all(header::CACHE_CONTROL).iter();
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
    Directives::parse(lines.map(|line| String::from_utf8_lossy(line.as_bytes())), Duration::from_secs(age.unwrap_or(0)))
}

/// What to ask by later. Nothing is kept where it could not be used.
fn validators(flight: &Flight, settings: &CacheSettings, headers: &HeaderMap) -> Option<Arc<Validators>> {
    if !settings.conditional || !may_ask(flight) {
        return None;
    }
    let short = |name: HeaderName| {
        let value = headers.get(name).filter(|value| !value.is_empty() && value.len() <= LONGEST_VALIDATOR);
        value.cloned()
    };
    let (etag, last_modified) = (short(header::ETAG), short(header::LAST_MODIFIED));
    (etag.is_some() || last_modified.is_some()).then(|| Arc::new(Validators { etag, last_modified }))
}

/// Only of a GET does a 304 say that the same would be answered again, and only of the URL that was asked: behind a
/// redirect there may be another document with the same `ETag`.
fn may_ask(flight: &Flight) -> bool {
    match &flight.source.plan.call {
        CallPlan::Http(http) => http.method == Method::GET && http.redirects == 0,
        CallPlan::Static(_) => false,
    }
}
