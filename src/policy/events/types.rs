//! The types of events, and sets of them as listeners write them: `circuit.*,config.reloaded`.

/// Declares the types with their names; the first list is of state changes, the second of those that each call may cause.
macro_rules! types {
    (kept { $($kept:ident => $kept_text:literal,)+ } high_volume { $($high:ident => $high_text:literal,)+ }) => {
        /// What an event tells of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum EventType {
            $($kept,)+
            $($high,)+
        }

        impl EventType {
            /// Every type, in the order declared.
            pub(crate) const ALL: [Self; Self::COUNT] = [$(Self::$kept,)+ $(Self::$high,)+];
            /// How many there are.
            pub(crate) const COUNT: usize = [$($kept_text,)+ $($high_text,)+].len();

            /// The name in streams, settings and labels.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kept => $kept_text,)+
                    $(Self::$high => $high_text,)+
                }
            }

            /// Whether it is a state change: always told, and kept for those who come back.
            pub(crate) fn is_kept(self) -> bool {
                matches!(self, $(Self::$kept)|+)
            }
        }
    };
}

types! {
    kept {
        CircuitOpened => "circuit.opened",
        CircuitHalfOpened => "circuit.half_opened",
        CircuitClosed => "circuit.closed",
        CircuitForcedOpen => "circuit.forced_open",
        CircuitForcedClosed => "circuit.forced_closed",
        CircuitReset => "circuit.reset",
        RateLimitPaused => "rate_limit.paused",
        ShedLevelChanged => "shed.level_changed",
        BackpressureHigh => "backpressure.high",
        BackpressureLow => "backpressure.low",
        CacheInvalidated => "cache.invalidated",
        CacheStoreDegraded => "cache.store_degraded",
        ConfigReloaded => "config.reloaded",
        ConfigRejected => "config.rejected",
        WebhookFailed => "webhook.failed",
        WebhookDisabled => "webhook.disabled",
        StoreDegraded => "store.degraded",
        StoreRecovered => "store.recovered",
    }
    high_volume {
        RetryAttempt => "retry.attempt",
        RetrySuccess => "retry.success",
        RetryExhausted => "retry.exhausted",
        HedgeLaunched => "hedge.launched",
        HedgeWon => "hedge.won",
        HedgeSuppressed => "hedge.suppressed",
        TimeoutExceeded => "timeout.exceeded",
        BulkheadRejected => "bulkhead.rejected",
        RateLimitExceeded => "rate_limit.exceeded",
        AdaptiveLimitChanged => "adaptive.limit_changed",
        FallbackUsed => "fallback.used",
        WebhookDelivered => "webhook.delivered",
    }
}

impl EventType {
    /// Its place in [`EventType::ALL`].
    pub(crate) fn place(self) -> usize {
        self as usize
    }
}

/// A set of types. One word, so that whoever publishes can ask at no cost whether anybody wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TypeSet(u64);

/// The beginnings of names that stand for all types beginning so.
const GROUPS: [&str; 14] = [
    "circuit.*",
    "retry.*",
    "hedge.*",
    "timeout.*",
    "bulkhead.*",
    "rate_limit.*",
    "shed.*",
    "backpressure.*",
    "adaptive.*",
    "fallback.*",
    "cache.*",
    "config.*",
    "webhook.*",
    "store.*",
];

/// A text that names no type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.said())]
pub(crate) struct UnknownType {
    pub(crate) written: String,
    pub(crate) near: Option<&'static str>,
}

impl UnknownType {
    fn said(&self) -> String {
        let Self { written, near } = self;
        match near {
            Some(near) => format!("there is no event type `{written}`; did you mean `{near}`?"),
            None => format!("there is no event type `{written}`; there are: {}, or `*` for all", GROUPS.join(", ")),
        }
    }
}

impl TypeSet {
    /// Every type.
    pub(crate) fn all() -> Self {
        EventType::ALL.into_iter().collect()
    }

    /// Reads `circuit.*,config.reloaded`: names, the beginnings of names, or `*`.
    pub(crate) fn parse(text: &str) -> Result<Self, UnknownType> {
        let mut set = Self::default();
        for written in text.split(',').map(str::trim).filter(|written| !written.is_empty()) {
            let fits = |kind: &EventType| match written.strip_suffix(".*") {
                Some(prefix) => group(*kind) == prefix,
                None => written == "*" || kind.as_str() == written,
            };
            let named: Self = EventType::ALL.into_iter().filter(fits).collect();
            if named == Self::default() {
                return Err(UnknownType { written: written.chars().take(100).collect(), near: nearest(written) });
            }
            set = set.and(named);
        }
        Ok(set)
    }

    /// Whether a type is in it.
    pub(crate) fn has(self, kind: EventType) -> bool {
        self.0 & (1 << kind.place()) != 0
    }

    /// The types of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// As one word, to be kept in an atomic.
    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// From what [`TypeSet::word`] gave.
    pub(crate) fn from_word(word: u64) -> Self {
        Self(word)
    }
}

impl FromIterator<EventType> for TypeSet {
    fn from_iter<I: IntoIterator<Item = EventType>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |word, kind| word | (1 << kind.place())))
    }
}

/// What comes before the dot.
fn group(kind: EventType) -> &'static str {
    kind.as_str().split_once('.').map_or("", |(group, _)| group)
}

/// What was meant, where it is close enough to be a slip of the hand: a name, or a beginning with its `.*`.
fn nearest(written: &str) -> Option<&'static str> {
    if written.len() > 60 {
        return None;
    }
    let words = EventType::ALL.map(EventType::as_str).into_iter().chain(GROUPS);
    let scored = words.map(|word| (strsim::damerau_levenshtein(written, word), word));
    let allowed = (written.chars().count() / 3).clamp(1, 3);
    scored.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_as_names_beginnings_or_a_star() {
        let circuits = TypeSet::parse("circuit.*").unwrap();
        let names: Vec<_> = EventType::ALL.into_iter().filter(|kind| circuits.has(*kind)).collect();
        assert_eq!(names.len(), 6);
        let two = TypeSet::parse("circuit.opened, config.reloaded").unwrap();
        assert_eq!(two, [EventType::ConfigReloaded, EventType::CircuitOpened].into_iter().collect());
        assert_eq!(TypeSet::parse("*").unwrap(), TypeSet::all());
        assert_eq!(TypeSet::parse("cache.*,circuit.*").unwrap().word().count_ones(), 8);
        assert_eq!(TypeSet::parse("").unwrap(), TypeSet::default());
        assert_eq!(TypeSet::from_word(two.word()), two);
    }

    #[test]
    fn an_unknown_type_is_told_what_was_meant() {
        let near = |text: &str| TypeSet::parse(text).unwrap_err().near;
        assert_eq!(near("circuit.open"), Some("circuit.opened"));
        assert_eq!(near("circuit.*,circiut.*"), Some("circuit.*"));
        assert_eq!(near("config.reload"), Some("config.reloaded"));
        for text in ["weather", "circuit*", "circ.*", "**", &"x".repeat(1000)] {
            assert!(TypeSet::parse(text).is_err(), "{text}");
        }
        let told = TypeSet::parse("weather").unwrap_err().to_string();
        assert!(told.contains("circuit.*, retry.*") && told.ends_with("or `*` for all"), "{told}");
    }

    #[test]
    fn every_type_has_a_place_a_group_and_a_bit() {
        const { assert!(EventType::COUNT <= 64) };
        for (place, kind) in EventType::ALL.into_iter().enumerate() {
            assert_eq!(kind.place(), place);
            let any = format!("{}.*", group(kind));
            assert!(TypeSet::parse(&any).unwrap().has(kind), "{any}");
            assert_eq!(nearest(&any).unwrap(), any, "a group that `nearest` does not know");
        }
    }
}
