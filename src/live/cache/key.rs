//! What an answer is filed under.

use std::fmt;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;

use rapidhash::quality::GlobalState;

use crate::base::Name;

/// Everything that shapes an answer, as one text, hashed once. Cheap to copy.
///
/// Two keys are equal when their texts are; the hash only finds them. So nobody who chooses parameters can make one
/// answer pass for another, however the hash is broken. The hash is seeded anew in every process.
///
/// The text may hold values of forwarded headers: it is compared, never shown.
#[derive(Clone)]
pub(crate) struct CacheKey(Arc<Text>);

struct Text {
    hash: u64,
    /// `source|text|revision`: the source first, so that a prefix can name it.
    full: Box<str>,
}

impl CacheKey {
    /// The key of one call of a source: `text` is the canonical text of all else that shapes the answer.
    ///
    /// `revision` is of the source's settings: what an older configuration stored is never found by a newer one.
    pub(crate) fn new(source: &Name, revision: u64, text: &str) -> Self {
        let full = format!("{source}|{text}|{revision:x}").into_boxed_str();
        let hash = GlobalState::new().hash_one(full.as_bytes());
        Self(Arc::new(Text { hash, full }))
    }

    pub(super) fn starts_with(&self, prefix: &str) -> bool {
        self.0.full.starts_with(prefix)
    }

    pub(super) fn bits(&self) -> u64 {
        self.0.hash
    }

    pub(super) fn len(&self) -> usize {
        self.0.full.len()
    }
}

impl PartialEq for CacheKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.full == other.0.full)
    }
}

impl Eq for CacheKey {}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.0.full.split('|').next().unwrap_or_default();
        write!(f, "CacheKey({source}, {:016x})", self.0.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source: &str, revision: u64, text: &str) -> CacheKey {
        CacheKey::new(&Name::parse(source).unwrap(), revision, text)
    }

    #[test]
    fn source_revision_and_text_are_all_part_of_a_key() {
        let one = key("weather", 1, "GET /?city=ulm");
        assert_eq!(one, key("weather", 1, "GET /?city=ulm"));
        assert_eq!(one.bits(), key("weather", 1, "GET /?city=ulm").bits());
        for other in [key("news", 1, "GET /?city=ulm"), key("weather", 2, "GET /?city=ulm"), key("weather", 1, "GET /")]
        {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_text_cannot_imitate_another_source_or_revision() {
        assert_ne!(key("a", 1, "x|2"), key("a", 2, "x|1"));
        assert_ne!(key("a", 1, "b|x"), key("b", 1, "a|x"));
    }

    #[test]
    fn a_key_does_not_show_what_clients_sent() {
        let shown = format!("{:?}", key("weather", 1, "authorization=hunter2"));
        assert!(shown.starts_with("CacheKey(weather, ") && !shown.contains("hunter2"), "{shown}");
    }
}
