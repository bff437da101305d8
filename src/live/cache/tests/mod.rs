//! The cache under test: a desk that asks, lands flights and listens, at moments it is told.

mod vectors;
mod rules;
mod bounds;
mod model;
mod races;
mod upstream;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;

use crate::base::ByteSize;
use crate::base::Moment;
use crate::base::Name;
use crate::live::cache::Ask;
use crate::live::cache::Cache;
use crate::live::cache::CacheKey;
use crate::live::cache::Entry;
use crate::live::cache::Lead;
use crate::live::cache::Limits;
use crate::live::cache::Look;
use crate::live::cache::Scope;
use crate::live::cache::SourceMark;
use crate::live::cache::Tag;
use crate::live::cache::Waiter;
use crate::live::cache::flight::Landing;
use crate::live::fetched::Failure;
use crate::live::fetched::Fetched;
use crate::live::fetched::FlightResult;
use crate::live::fetched::Keeping;
use crate::policy::freshness::CACHE_DEFAULTS;
use crate::policy::freshness::CacheSettings;
use crate::policy::freshness::Freshness;
use crate::policy::outcome::Kind;

const LIMITS: Limits = Limits { max_bytes: ByteSize::mib(256), max_entries: 100_000 };

/// One source, one route; fields to change.
struct Desk {
    cache: Cache,
    source: SourceMark,
    tag: Tag,
    settings: CacheSettings,
    longest_stale: Duration,
    draw: f64,
}

impl Desk {
    fn new() -> Self {
        Self::with(LIMITS)
    }

    fn with(limits: Limits) -> Self {
        let cache = Cache::new(limits);
        let (source, tag) = (cache.source_mark(&name("weather")), cache.tag("board"));
        Self { cache, source, tag, settings: CACHE_DEFAULTS.clone(), longest_stale: Duration::ZERO, draw: 0.5 }
    }

    /// The same cache, asked by another route.
    fn for_route(&self, tag: &str) -> Self {
        Self {
            cache: self.cache.clone(),
            source: self.source.clone(),
            tag: self.cache.tag(tag),
            settings: self.settings.clone(),
            ..*self
        }
    }

    fn ask<'a>(&'a self, key: &'a CacheKey, now: Moment) -> Ask<'a> {
        Ask {
            key,
            source: &self.source,
            tag: &self.tag,
            settings: &self.settings,
            flight_max_age: Duration::from_secs(3600),
            longest_stale: self.longest_stale,
            now,
            draw: self.draw,
        }
    }

    fn look(&self, key: &str, ms: u64) -> Look {
        self.cache.look(&self.ask(&self::key(key), at(ms)))
    }

    /// Leads a call that must be led.
    fn lead(&self, key: &str, ms: u64) -> (Waiter, Lead) {
        match self.look(key, ms) {
            Look::Wait { waiter, lead: Some(lead), .. } => (waiter, lead),
            Look::Wait { lead: None, .. } => panic!("{key} at {ms} joined"),
            Look::Hit { .. } => panic!("{key} at {ms} was served"),
        }
    }

    /// Has an answer stored.
    fn fill(&self, key: &str, value: &str, ms: u64) {
        let (_waiter, lead) = self.lead(key, ms);
        assert!(lead.complete(good(value), at(ms)), "{key} was not stored");
    }

    /// What is served without a call.
    fn served(&self, key: &str, ms: u64) -> Option<(String, Freshness)> {
        match self.look(key, ms) {
            Look::Hit { entry, freshness, .. } => Some((text(&entry), freshness)),
            Look::Wait { .. } => None,
        }
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn key(text: &str) -> CacheKey {
    CacheKey::new(&name("weather"), 1, text)
}

/// What is filed under this key, and nothing else.
fn only(text: &str) -> Scope {
    Scope::Prefix(format!("weather|{text}|1").into())
}

fn at(ms: u64) -> Moment {
    Moment::from_start(Duration::from_millis(ms))
}

fn good(value: &str) -> FlightResult {
    let took = Duration::from_millis(500);
    Ok(Arc::new(Fetched { body: Bytes::copy_from_slice(value.as_bytes()), took, etag: 0, keeping: Keeping::default() }))
}

fn bad(status: u16) -> FlightResult {
    let message = format!("status {status}");
    let kind = Kind::of_status(status);
    Err(Arc::new(Failure { status: Some(status), ..Failure::new(kind, message) }))
}

fn text(entry: &Entry) -> String {
    match entry.value() {
        Ok(fetched) => String::from_utf8(fetched.body.to_vec()).unwrap(),
        Err(failure) => failure.message.clone(),
    }
}

/// What a waiter hears without waiting.
fn heard(waiter: Waiter) -> Option<Landing> {
    match pin!(waiter.wait()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(landing) => Some(landing),
        Poll::Pending => None,
    }
}

fn kind_heard(waiter: Waiter) -> Option<Kind> {
    heard(waiter).map(|landing| landing.result.map_or_else(|failure| failure.kind, |_| Kind::Success))
}
