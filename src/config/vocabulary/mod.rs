//! The one table of all blocks and keys.
//!
//! From it come the findings about unknown and misplaced keys and about values of the wrong kind, the JSON Schemas for
//! editors, the key tables of the documentation, and the defaults that `/admin/config` shows. A key that is not here
//! does not exist.

mod events;
mod admission;
mod access;
mod limits;
mod policies;
mod retry;
mod route;
mod server;
mod shedding;
mod source;
mod test;
mod strategy;

pub(crate) use events::EVENTS;
pub(crate) use policies::POLICIES;
pub(crate) use route::ROUTE;
pub(crate) use server::SERVER;
pub(crate) use source::PROJECTION_EACH;
pub(crate) use source::PROJECTION_PATH;
pub(crate) use source::PROJECTION_VALUE;
pub(crate) use source::SOURCE;
pub(crate) use test::ANSWER;
pub(crate) use test::TEST;

/// A map with known keys.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) keys: &'static [Key],
    /// Keys that it shares with another block.
    pub(crate) also: Option<&'static Block>,
    /// Keys of the language that this version does not have.
    pub(crate) not_yet: &'static [&'static str],
}

/// A key of a block.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The default as YAML, or, where it is none, in brackets or empty.
    pub(crate) default: &'static str,
    /// One line.
    pub(crate) about: &'static str,
    /// Whether `off` is a value of it.
    pub(crate) off: bool,
    pub(crate) required: bool,
    /// Whether null is a value of it: the same as its absence from `defaults` too.
    pub(crate) nullable: bool,
    /// Whether its value is never shown.
    pub(crate) secret: bool,
}

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Any text that is not empty.
    Text,
    /// `[a-z][a-z0-9_-]{0,62}`.
    Name,
    Duration {
        zero: bool,
    },
    Size,
    Ratio,
    /// A ratio or this word.
    RatioOr(&'static str),
    /// `10/second`.
    Rate,
    Whole {
        min: u64,
        max: u64,
    },
    Number {
        min: f64,
    },
    Switch,
    OneOf(&'static [&'static str]),
    Listen,
    Database,
    Proxy,
    Network,
    Level,
    /// Whose requests count together.
    LimitKey,
    /// The name of a header that may be set or passed on.
    HeaderName,
    /// A URL, with placeholders.
    Url,
    /// The path of a route.
    RoutePath,
    /// A JSONPath.
    JsonPath,
    /// A regular expression.
    Pattern,
    Selector,
    /// What `fallback_on` names: `failure`, or a selector of a failure.
    Failure,
    /// Any scalar.
    Scalar,
    /// Any YAML.
    Tree,
    /// A projection: a JSONPath or a map of fields.
    Projection,
    /// A duration, or `p95`.
    DurationOrPercentile,
    /// One of these words, or a map.
    WordOr(&'static [&'static str], &'static Block),
    Block(&'static Block),
    /// A map with keys of the user's choice.
    Map(&'static Kind),
    List(&'static Kind),
    /// A list of the one, or a map of the other.
    ListOrMap(&'static Kind, &'static Kind),
    /// One, or a list.
    OneOrMany(&'static Kind),
    /// One, a list, or a map of those by name.
    Answers(&'static Block),
}

impl Block {
    /// The key of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Key> {
        self.all().find(|key| key.name == name)
    }

    /// All its keys.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.keys.iter().chain(self.also.map_or(&[][..], |also| also.keys))
    }

    /// Whether the language has the key, but not this version.
    pub(crate) fn is_not_yet(&self, name: &str) -> bool {
        self.not_yet.contains(&name) || self.also.is_some_and(|also| also.not_yet.contains(&name))
    }

    /// Every key of this name further down, as the path of the block that it belongs to.
    pub(crate) fn places_of(&'static self, name: &str) -> Vec<String> {
        let mut places = Vec::new();
        self.collect_places(name, "", &mut places);
        places
    }

    fn collect_places(&'static self, name: &str, path: &str, places: &mut Vec<String>) {
        for key in self.all() {
            let Some(inner) = key.kind.block() else { continue };
            // What is under `defaults` is told as what it is in a source.
            if key.name == "defaults" {
                continue;
            }
            let inner_path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            if inner.find(name).is_some() {
                places.push(inner_path.clone());
            }
            inner.collect_places(name, &inner_path, places);
        }
    }
}

impl Kind {
    /// The block that a value of this kind is, directly.
    pub(crate) fn block(self) -> Option<&'static Block> {
        if let Self::Block(block) | Self::WordOr(_, block) = self { Some(block) } else { None }
    }
}

/// A key with a default or none.
pub(crate) const fn key(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key { name, kind, default, about, off: false, required: false, nullable: false, secret: false }
}

impl Key {
    /// Which `off` switches off.
    pub(crate) const fn or_off(mut self) -> Self {
        self.off = true;
        self
    }

    /// Which must be there.
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Which may be null.
    pub(crate) const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Which is never shown.
    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(block: &'static Block, check: &mut impl FnMut(&'static Block, &'static Key)) {
        for key in block.all() {
            check(block, key);
            let inner = if let Kind::Map(inner) | Kind::List(inner) | Kind::ListOrMap(_, inner) = key.kind {
                *inner
            } else {
                key.kind
            };
            if let Some(inner) = inner.block() {
                walk(inner, check);
            }
        }
    }

    #[test]
    fn every_key_is_described_once_and_exists_only_once() {
        let mut count = 0;
        for block in [&SERVER, &SOURCE, &ROUTE, &TEST] {
            walk(block, &mut |block, key| {
                count += 1;
                assert!(!key.about.is_empty() && !key.about.ends_with('.'), "{}", key.name);
                assert_eq!(block.all().filter(|other| other.name == key.name).count(), 1, "{}", key.name);
                assert!(!block.is_not_yet(key.name), "{}", key.name);
            });
        }
        assert!(count > 100, "{count}");
    }

    #[test]
    fn a_key_is_found_where_it_belongs() {
        assert_eq!(SOURCE.places_of("ttl"), ["retry.budget", "cache", "cache.negative"]);
        assert_eq!(SOURCE.places_of("recovery_timeout"), ["breaker"]);
        assert_eq!(SERVER.places_of("concurrency"), ["limits"]);
        assert!(SOURCE.places_of("nonsense").is_empty());
    }
}
