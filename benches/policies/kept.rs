//! The cache: a hit among many keys and of one, joining a call that is under way, and a call from begin to end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::Criterion;
use futures_util::FutureExt;

use crate::base::ByteSize;
use crate::base::Moment;
use crate::base::Name;
use crate::live::cache::Ask;
use crate::live::cache::Cache;
use crate::live::cache::CacheKey;
use crate::live::cache::Lead;
use crate::live::cache::Limits;
use crate::live::cache::Look;
use crate::live::cache::SourceMark;
use crate::live::cache::Tag;
use crate::live::cache::Waiter;
use crate::live::fetched::Fetched;
use crate::live::fetched::FlightResult;
use crate::live::fetched::Keeping;
use crate::meter::Numbers;
use crate::meter::now;
use crate::meter::shared;
use crate::policy::freshness::CACHE_DEFAULTS;
use crate::policy::freshness::CacheSettings;

const KEYS: usize = 1_000;

pub(crate) fn all(criterion: &mut Criterion) {
    let shelf = Shelf::new(CACHE_DEFAULTS);
    let keys: Vec<_> = (0..KEYS).map(|n| shelf.key(&format!("GET /?city={n}"))).collect();
    for key in &keys {
        shelf.fill(key);
    }
    let hit = |key: &CacheKey| matches!(shelf.look(key), Look::Hit { .. });
    assert!(keys.iter().all(hit));
    shared(criterion, "cache: a hit among 1,000 keys", Numbers::begin, |numbers| {
        keys.get(numbers.below(KEYS)).is_some_and(hit)
    });
    shared(criterion, "cache: a hit of one key", |_| (), |()| keys.first().is_some_and(hit));

    let cold = shelf.key("GET /?city=cold");
    let _first = shelf.lead(&cold);
    shared(
        criterion,
        "cache: joins a call",
        |_| (),
        |()| match shelf.look(&cold) {
            Look::Wait { waiter, lead: None, .. } => drop(waiter),
            Look::Wait { lead: Some(_), .. } | Look::Hit { .. } => panic!("it was not joined"),
        },
    );

    // Never fresh: every look begins a call. Each thread has a key of its own.
    let brief = Shelf::new(CacheSettings { ttl: Duration::ZERO, ..CACHE_DEFAULTS });
    shared(
        criterion,
        "cache: a call, from look to stored",
        |thread| brief.key(&format!("GET /?city={thread}")),
        |key| brief.fill(key),
    );
}

/// A cache with one source and one route.
struct Shelf {
    cache: Cache,
    source: SourceMark,
    tag: Tag,
    settings: CacheSettings,
    answer: FlightResult,
}

impl Shelf {
    fn new(settings: CacheSettings) -> Self {
        let cache = Cache::new(Limits { max_bytes: ByteSize::mib(256), max_entries: 100_000 });
        let (source, tag) = (cache.source_mark(&weather()), cache.tag("board"));
        let body = Bytes::from(vec![b'x'; 1024]);
        let answer =
            Ok(Arc::new(Fetched { body, took: Duration::from_millis(3), etag: 0, keeping: Keeping::default() }));
        Self { cache, source, tag, settings, answer }
    }

    fn key(&self, text: &str) -> CacheKey {
        CacheKey::new(&weather(), 1, text)
    }

    fn look(&self, key: &CacheKey) -> Look {
        self.cache.look(&Ask {
            key,
            source: &self.source,
            tag: &self.tag,
            settings: &self.settings,
            flight_max_age: Duration::from_secs(3600),
            longest_stale: Duration::ZERO,
            now: now(),
            draw: 0.5,
        })
    }

    fn lead(&self, key: &CacheKey) -> (Waiter, Lead) {
        match self.look(key) {
            Look::Wait { waiter, lead: Some(lead), .. } => (waiter, lead),
            Look::Wait { lead: None, .. } | Look::Hit { .. } => panic!("there was one"),
        }
    }

    /// A call that ends well, and one that waits for it.
    fn fill(&self, key: &CacheKey) {
        let (waiter, lead) = self.lead(key);
        assert!(lead.complete(self.answer.clone(), now()), "it is stored");
        assert!(waiter.wait().now_or_never().is_some(), "it is heard");
    }
}

fn weather() -> Name {
    Name::parse("weather").unwrap()
}
