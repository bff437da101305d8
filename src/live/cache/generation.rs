//! What is no longer true: the sequence of invalidations, and the marks that they leave.
//!
//! An invalidation takes the next number of the sequence and marks what it covers with it. A flight takes the present
//! number, its stamp, before anything is read. What a flight brought, and the flight itself, is visible to a reader only
//! where the stamp is not below any mark that concerns the reader: of everything, of the source, of the reader's tag.
//! Readers check marks, so whatever order a store and an invalidation run in, nothing old is seen.
//!
//! The reader's tag decides, not the one of whoever fetched: routes share entries, and to invalidate a route makes its
//! next answer fresh even where another route fetched it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::base::Name;
use crate::live::cache::key::CacheKey;

/// What an invalidation covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything.
    All,
    /// What came from this source.
    Source(Name),
    /// What was fetched for a route with this tag; and for readers with it, everything.
    Tag(Box<str>),
    /// What has a key, a source name or a tag beginning so. Keys begin with their source and `|`.
    Prefix(Box<str>),
}

impl Scope {
    /// What kind of thing it covers, as events name it.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Source(_) => "source",
            Self::Tag(_) => "tag",
            Self::Prefix(_) => "prefix",
        }
    }

    /// The name of what it covers; `None` for everything.
    pub(crate) fn of(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Source(source) => Some(source.as_str()),
            Self::Tag(text) | Self::Prefix(text) => Some(text),
        }
    }
}

/// Where a source's invalidations are marked. Resolved once, when a configuration is loaded; the same name gives the
/// same mark for as long as the cache lives.
#[derive(Clone, Debug)]
pub(crate) struct SourceMark(Arc<Mark>);

/// The same for a route's `cache_key`.
#[derive(Clone, Debug)]
pub(crate) struct Tag(Arc<Mark>);

#[derive(Debug)]
struct Mark {
    name: Box<str>,
    at: AtomicU64,
}

/// The sequence and all marks.
#[derive(Debug, Default)]
pub(super) struct Generations {
    sequence: AtomicU64,
    /// A prefix is being dropped, entry by entry.
    walks: AtomicBool,
    all: AtomicU64,
    sources: Mutex<HashMap<Box<str>, SourceMark>>,
    tags: Mutex<HashMap<Box<str>, Tag>>,
}

impl SourceMark {
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }
}

impl Tag {
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }
}

impl Generations {
    /// The stamp of a flight that starts now.
    pub(super) fn stamp(&self) -> u64 {
        self.sequence.load(Ordering::SeqCst)
    }

    /// Whether a reader of this source and tag may see what a flight with this stamp brought.
    pub(super) fn shows(&self, stamp: u64, source: &SourceMark, tag: &Tag) -> bool {
        [&self.all, &source.0.at, &tag.0.at].into_iter().all(|mark| mark.load(Ordering::SeqCst) <= stamp)
    }

    /// Takes the next number and marks what has a mark. From here on older stamps are invisible there; what is
    /// addressed by prefix has none, and is dropped one by one.
    pub(super) fn advance(&self, scope: &Scope) -> u64 {
        let generation = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
        let raise = |mark: &AtomicU64| {
            mark.fetch_max(generation, Ordering::SeqCst);
        };
        match scope {
            Scope::All => raise(&self.all),
            Scope::Source(name) => {
                let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
                sources.get(name.as_str()).inspect(|source| raise(&source.0.at));
            }
            Scope::Tag(name) => {
                let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
                tags.get(name).inspect(|tag| raise(&tag.0.at));
            }
            Scope::Prefix(_) => self.walks.store(true, Ordering::SeqCst),
        }
        generation
    }

    /// The entries that a scope covers are gone.
    pub(super) fn walked(&self) {
        self.walks.store(false, Ordering::SeqCst);
    }

    /// Whether entries may be on their way out that no mark hides. What is found meanwhile must not be asked about: the
    /// upstream would say that it still holds. Read under the lock of the key's shard, before the entry is looked for:
    /// while it does not say so yet, the invalidation still has to come past that lock, and dooms whoever took off under it.
    pub(super) fn are_walked(&self) -> bool {
        self.walks.load(Ordering::SeqCst)
    }

    /// The mark of a source.
    pub(super) fn source(&self, name: &Name) -> SourceMark {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.entry(name.as_str().into()).or_insert_with(|| SourceMark(Mark::new(name.as_str()))).clone()
    }

    /// The mark of a tag.
    pub(super) fn tag(&self, name: &str) -> Tag {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.entry(name.into()).or_insert_with(|| Tag(Mark::new(name))).clone()
    }
}

impl Mark {
    /// Zero covers nothing: a name that was never invalidated hides nothing.
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), at: AtomicU64::new(0) })
    }
}

impl Scope {
    /// Whether what is filed and was fetched so is to be dropped.
    pub(super) fn covers(&self, key: &CacheKey, source: &SourceMark, tag: &Tag) -> bool {
        match self {
            Self::All => true,
            Self::Source(name) => source.name() == name.as_str(),
            Self::Tag(name) => tag.name() == &**name,
            Self::Prefix(prefix) => key.starts_with(prefix) || tag.name().starts_with(&**prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn a_mark_hides_older_stamps_from_those_it_concerns_and_from_nobody_else() {
        let generations = Generations::default();
        let (weather, news) = (generations.source(&name("weather")), generations.source(&name("news")));
        let (board, home) = (generations.tag("board"), generations.tag("home"));
        let old = generations.stamp();
        assert_eq!(generations.advance(&Scope::Source(name("weather"))), 1);
        assert!(!generations.shows(old, &weather, &board));
        assert!(generations.shows(old, &news, &board));
        assert!(generations.shows(generations.stamp(), &weather, &board));
        generations.advance(&Scope::Tag("board".into()));
        assert!(!generations.shows(old, &news, &board));
        assert!(generations.shows(old, &news, &home));
        generations.advance(&Scope::All);
        assert!(!generations.shows(old, &news, &home));
    }

    #[test]
    fn a_name_keeps_its_mark_across_configurations() {
        let generations = Generations::default();
        let old = generations.stamp();
        generations.tag("board");
        generations.source(&name("weather"));
        generations.advance(&Scope::Tag("board".into()));
        let source = generations.source(&name("weather"));
        assert!(!generations.shows(old, &source, &generations.tag("board")));
        assert!(generations.shows(old, &source, &generations.tag("fresh")));
    }

    #[test]
    fn a_prefix_is_of_the_key_the_source_or_the_tag() {
        let generations = Generations::default();
        let (source, tag) = (generations.source(&name("weather")), generations.tag("board_eu"));
        let key = CacheKey::new(&name("weather"), 7, "GET /?city=ulm");
        for (prefix, covered) in [
            ("weather", true),
            ("wea", true),
            ("weather|GET /?city=u", true),
            ("board", true),
            ("GET", false),
            ("ws", false),
        ] {
            assert_eq!(Scope::Prefix(prefix.into()).covers(&key, &source, &tag), covered, "{prefix}");
        }
        assert!(!Scope::Tag("board".into()).covers(&key, &source, &tag));
    }
}
