//! What is held of a source, whatever was asked for: what a test of a configuration looks at.

use std::time::Duration;

use crate::base::Moment;
use crate::live::cache::generation::SourceMark;
use crate::live::cache::look::Cache;
use crate::policy::freshness::CacheSettings;
use crate::policy::freshness::Freshness;

/// The best of what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    Nothing,
    /// A refusal, and it is still answered.
    Negative,
    /// Past its ttl, and it may be served meanwhile, or stand in.
    Stale,
    /// Served without a call.
    Fresh,
}

impl Held {
    /// The name in tests of a configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Negative => "negative",
            Self::Stale => "stale",
            Self::Fresh => "fresh",
        }
    }
}

impl Cache {
    /// The best copy of a source at this moment, under these settings. Walks the whole store.
    pub(crate) fn held(
        &self,
        source: &SourceMark,
        settings: &CacheSettings,
        longest_stale: Duration,
        now: Moment,
    ) -> Held {
        let shared = &self.shared;
        let past_ttl = settings.stale_while_revalidate.max(settings.stale_if_error).max(longest_stale);
        let entries = shared.store.load();
        let own = entries.iter().filter(|(_, entry)| entry.source.name() == source.name());
        let visible = own.filter(|(_, entry)| shared.generations.shows(entry.stamp, source, &entry.tag));
        let held = visible.map(|(_, entry)| match entry.freshness(settings, now, 0.0) {
            Freshness::Fresh | Freshness::FreshRefresh if entry.is_negative() => Held::Negative,
            Freshness::Fresh | Freshness::FreshRefresh => Held::Fresh,
            Freshness::StaleRevalidate | Freshness::StaleIfError | Freshness::Miss => {
                if entry.stands_in(settings, past_ttl, now) { Held::Stale } else { Held::Nothing }
            }
        });
        held.max().unwrap_or(Held::Nothing)
    }
}
