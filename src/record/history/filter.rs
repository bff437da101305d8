//! What is asked of the audit log, from the text of a query or a command line.

use std::fmt;
use std::time::SystemTime;

use crate::base::Name;
use crate::base::parse_duration;

/// Records on a page that did not say.
const DEFAULT_LIMIT: u32 = 100;
/// The most on a page.
const MAX_LIMIT: u32 = 1000;

/// Which records, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoryFilter {
    /// Answered at this time or later.
    pub(crate) since: Option<SystemTime>,
    /// Had this source, however it fared.
    pub(crate) source: Option<Name>,
    /// Of this route as declared.
    pub(crate) route: Option<String>,
    /// Whether a source failed or was skipped.
    pub(crate) failed: Option<bool>,
    /// 1 to 1000.
    pub(crate) limit: u32,
    /// After the last record of another page.
    pub(crate) cursor: Option<Cursor>,
}

/// The last record of a page. Its text is for nobody to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) id: i64,
    /// Microseconds since 1970.
    pub(crate) logged_at: i64,
}

/// Why a text asks for nothing. The client's fault, always.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilterError {
    /// No such parameter.
    #[error("there is no parameter `{0}`: take `since`, `source`, `route`, `failed`, `limit` or `cursor`")]
    Unknown(String),
    /// A parameter given twice.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// Not a time.
    #[error("`since` is neither a duration nor a time: write `1h`, `30m`, or `2026-01-31T12:00:00Z`")]
    Since,
    /// Not a name.
    #[error("`source` is not the name of a source: those are lower-case letters, digits, `_` and `-`")]
    Source,
    /// Not a truth.
    #[error("`failed` is `true` or `false`")]
    Failed,
    /// Not a number of records.
    #[error("`limit` is a whole number from 1 to {MAX_LIMIT}")]
    Limit,
    /// Not one of ours.
    #[error("`cursor` is not the `next_cursor` of an answer")]
    Cursor,
}

impl FilterError {
    /// The parameter it is about.
    pub(crate) fn parameter(&self) -> &str {
        match self {
            Self::Unknown(parameter) => parameter,
            Self::Twice(parameter) => parameter,
            Self::Since => "since",
            Self::Source => "source",
            Self::Failed => "failed",
            Self::Limit => "limit",
            Self::Cursor => "cursor",
        }
    }
}

impl Default for HistoryFilter {
    fn default() -> Self {
        Self { since: None, source: None, route: None, failed: None, limit: DEFAULT_LIMIT, cursor: None }
    }
}

impl HistoryFilter {
    /// A filter from decoded pairs; an empty value is as good as none. `wall` is what `since=1h` counts back from.
    pub(crate) fn parse(pairs: &[(String, String)], wall: SystemTime) -> Result<Self, FilterError> {
        const KEYS: [&str; 6] = ["since", "source", "route", "failed", "limit", "cursor"];
        let mut filter = Self::default();
        let mut given = Vec::new();
        for (key, value) in pairs {
            let known = KEYS.into_iter().find(|known| known == key);
            let key = known.ok_or_else(|| FilterError::Unknown(key.clone()))?;
            if given.contains(&key) {
                return Err(FilterError::Twice(key));
            }
            given.push(key);
            if !value.is_empty() {
                filter.set(key, value, wall)?;
            }
        }
        Ok(filter)
    }

    fn set(&mut self, key: &'static str, value: &str, wall: SystemTime) -> Result<(), FilterError> {
        match key {
            "since" => self.since = Some(since(value, wall).ok_or(FilterError::Since)?),
            "source" => self.source = Some(Name::parse(value).ok_or(FilterError::Source)?),
            "route" => self.route = Some(value.to_owned()),
            "failed" => self.failed = Some(value.parse().map_err(|_| FilterError::Failed)?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                self.limit = limit.ok_or(FilterError::Limit)?;
            }
            "cursor" => self.cursor = Some(Cursor::parse(value).ok_or(FilterError::Cursor)?),
            unknown => return Err(FilterError::Unknown(unknown.to_owned())),
        }
        Ok(())
    }
}

impl Cursor {
    /// A cursor from its text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (logged_at, id) = text.split_once('-')?;
        // The end of the year 9999: a later time is none of ours, and PostgreSQL would refuse it.
        const LATEST: i64 = 253_402_300_799_999_999;
        let number = |text: &str, most| i64::from_str_radix(text, 16).ok().filter(|number| (0..=most).contains(number));
        Some(Self { id: number(id, i64::MAX)?, logged_at: number(logged_at, LATEST)? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.logged_at, self.id)
    }
}

/// So long ago (`1h30m`, `7d`), or at this time (RFC 3339). Longer ago than 1970 is 1970.
fn since(text: &str, wall: SystemTime) -> Option<SystemTime> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(SystemTime::from(time).max(SystemTime::UNIX_EPOCH));
    }
    let back = parse_duration(text)?;
    Some(wall.checked_sub(back).unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_767_225_600);

    fn parse(pairs: &[(&str, &str)]) -> Result<HistoryFilter, FilterError> {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        HistoryFilter::parse(&pairs, SystemTime::UNIX_EPOCH + NOW)
    }

    #[test]
    fn nothing_asked_for_is_the_newest_hundred() {
        let blank = ["since", "source", "route", "failed", "limit", "cursor"].map(|key| (key, ""));
        for pairs in [&[][..], &blank] {
            assert_eq!(parse(pairs), Ok(HistoryFilter { limit: 100, ..HistoryFilter::default() }));
        }
    }

    #[test]
    fn every_parameter_narrows() {
        let filter = parse(&[
            ("since", "1h"),
            ("source", "news"),
            ("route", "/cities/{city}"),
            ("failed", "true"),
            ("limit", "1000"),
            ("cursor", "ff-1a"),
        ]);
        let expected = HistoryFilter {
            since: Some(SystemTime::UNIX_EPOCH + NOW - Duration::from_secs(3600)),
            source: Name::parse("news"),
            route: Some("/cities/{city}".to_owned()),
            failed: Some(true),
            limit: 1000,
            cursor: Some(Cursor { id: 26, logged_at: 255 }),
        };
        assert_eq!(filter, Ok(expected));
    }

    #[test]
    fn since_is_a_duration_or_a_time() {
        let seconds_ago = |text| {
            let since = parse(&[("since", text)]).unwrap().since.unwrap();
            NOW.as_secs_f64() - since.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
        };
        let cases = [
            ("0s", 0.0),
            ("1.5s", 1.5),
            ("250ms", 0.25),
            ("1h30m", 5400.0),
            ("7d", 604_800.0),
            ("2025-12-31T23:59:00Z", 60.0),
            ("2026-01-01T00:59:00+01:00", 60.0),
            ("99999d", NOW.as_secs_f64()),
            ("0001-01-01T00:00:00Z", NOW.as_secs_f64()),
        ];
        for (text, expected) in cases {
            assert!((seconds_ago(text) - expected).abs() < 1e-6, "{text}: {}", seconds_ago(text));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let cases = [
            (("since", "1"), FilterError::Since),
            (("since", "h"), FilterError::Since),
            (("since", "-1h"), FilterError::Since),
            (("since", "1e9s"), FilterError::Since),
            (("since", "1h 2"), FilterError::Since),
            (("since", "99999999999999999999999d"), FilterError::Since),
            (("since", "yesterday"), FilterError::Since),
            (("source", "a\"b"), FilterError::Source),
            (("failed", "yes"), FilterError::Failed),
            (("limit", "0"), FilterError::Limit),
            (("limit", "1001"), FilterError::Limit),
            (("limit", "ten"), FilterError::Limit),
            (("cursor", "x"), FilterError::Cursor),
            (("cursor", "-1--1"), FilterError::Cursor),
            (("sources", "a"), FilterError::Unknown("sources".to_owned())),
        ];
        for ((key, value), expected) in cases {
            let error = parse(&[(key, value)]).unwrap_err();
            assert_eq!(error, expected, "{key}={value}");
            assert_eq!(error.parameter(), key);
        }
        assert_eq!(parse(&[("limit", "1"), ("limit", "2")]), Err(FilterError::Twice("limit")));
    }

    #[test]
    fn a_cursor_reads_back() {
        let cursor = Cursor { id: i64::MAX, logged_at: 1_767_225_600_123_456 };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
    }
}
