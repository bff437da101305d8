//! The keys that clients show, and whom each stands for.
//!
//! Keys are kept and looked for as their SHA-256. How long a look-up takes tells of a digest alone, and nobody can steer
//! a digest towards that of a key he does not have.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sha2::Digest as _;
use sha2::Sha256;

use crate::base::Name;
use crate::policy::priority::Priority;

/// Whom a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiKey {
    /// The key's own name: several keys of one tenant are told apart by it.
    pub(crate) name: Name,
    pub(crate) tenant: Arc<str>,
    /// The most important class that it may ask for; `None`: that of who shows no key.
    pub(crate) max_priority: Option<Priority>,
}

/// All keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyRing {
    by_digest: HashMap<[u8; 32], ApiKey>,
}

/// `auth:` of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessSettings {
    pub(crate) keys: KeyRing,
    /// Whether a request without a key is refused.
    pub(crate) required: bool,
}

/// What a route wants to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Keys are not looked at.
    #[default]
    Nothing,
    /// A key, or none. A wrong one is refused.
    Optional,
    /// A key.
    Required,
}

impl KeyRing {
    /// Adds a key. `Err`: this text is the key of another already.
    pub(crate) fn add(&mut self, text: &str, key: ApiKey) -> Result<(), Name> {
        let digest = Sha256::digest(text.as_bytes()).into();
        if let Some(known) = self.by_digest.get(&digest) {
            return Err(known.name.clone());
        }
        self.by_digest.insert(digest, key);
        Ok(())
    }

    /// Whom this key stands for; `None`: it is no key.
    pub(crate) fn find(&self, shown: &[u8]) -> Option<&ApiKey> {
        let digest: [u8; 32] = Sha256::digest(shown).into();
        self.by_digest.get(&digest)
    }
}

/// No digest in any log: a weak key could be guessed from it.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.by_digest.len())
    }
}

impl AccessSettings {
    /// What a route wants that says nothing of it.
    pub(crate) fn wanted(&self) -> Wanted {
        if self.required { Wanted::Required } else { Wanted::Optional }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ApiKey {
        ApiKey { name: Name::parse(name).unwrap(), tenant: name.into(), max_priority: None }
    }

    #[test]
    fn a_key_is_found_by_the_whole_of_it_alone() {
        let mut ring = KeyRing::default();
        ring.add("k-0123456789abcdef", key("one")).unwrap();
        ring.add("k-0123456789abcdeg", key("two")).unwrap();
        assert_eq!(ring.find(b"k-0123456789abcdef").map(|key| key.name.as_str()), Some("one"));
        assert_eq!(ring.find(b"k-0123456789abcdeg").map(|key| key.name.as_str()), Some("two"));
        for wrong in [&b""[..], b"k-0123456789abcde", b"k-0123456789abcdef ", b"K-0123456789abcdef", b"\xff"] {
            assert_eq!(ring.find(wrong), None, "{wrong:?}");
        }
        assert_eq!(ring.add("k-0123456789abcdef", key("three")).unwrap_err().as_str(), "one");
    }

    #[test]
    fn a_ring_shows_nothing_of_its_keys() {
        let mut ring = KeyRing::default();
        ring.add("hunter2", key("one")).unwrap();
        assert_eq!(format!("{ring:?}"), "1 keys");
    }
}
