//! A record as the columns of its row, the same for both engines.

use std::borrow::Cow;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::base::Name;
use crate::record::audit::AuditRecord;

/// Which batch of which process is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<'a> {
    pub(super) writer: &'a str,
    pub(super) number: i64,
    /// Microseconds since 1970.
    pub(super) written_at: i64,
}

impl Mark<'_> {
    /// Notes a batch as written; touches no row when it was noted before.
    pub(super) const NOTE: &'static str = "INSERT INTO audit_writers (writer, batch, written_at) VALUES ($1, $2, $3) \
         ON CONFLICT (writer) DO UPDATE SET batch = excluded.batch, written_at = excluded.written_at \
         WHERE audit_writers.batch < excluded.batch";

    /// Forgets the processes that wrote nothing for a week: they end no batch any more.
    pub(super) const FORGET: &'static str = "DELETE FROM audit_writers WHERE written_at < $1";

    /// What [`Mark::FORGET`] is told.
    pub(super) fn long_ago(&self) -> i64 {
        const WEEK: i64 = 7 * 24 * 3600 * 1_000_000;
        self.written_at.saturating_sub(WEEK)
    }
}

/// A row of `aggregate_log`, less its id.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    /// Microseconds since 1970.
    pub(super) logged_at: i64,
    pub(super) request_id: Cow<'a, str>,
    pub(super) route: Cow<'a, str>,
    /// JSON arrays of names.
    pub(super) succeeded: Cow<'static, str>,
    pub(super) failed: Cow<'static, str>,
    pub(super) skipped: Cow<'static, str>,
    pub(super) mode: &'static str,
    pub(super) status: i32,
    pub(super) duration_ms: f64,
    pub(super) cached: bool,
}

impl<'a> Columns<'a> {
    /// The row of a record.
    pub(super) fn of(record: &'a AuditRecord) -> Self {
        Self {
            logged_at: micros(record.at),
            request_id: storable(&record.request_id),
            route: storable(&record.route),
            succeeded: list(&record.succeeded),
            failed: list(&record.failed),
            skipped: list(&record.skipped),
            mode: record.mode,
            status: i32::from(record.status),
            duration_ms: millis(record.duration),
            cached: record.cached,
        }
    }
}

/// Microseconds since 1970; 0 for a clock set before that.
pub(super) fn micros(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Milliseconds, exact to the microsecond.
fn millis(duration: Duration) -> f64 {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}

/// PostgreSQL refuses a text with a zero byte, and one such record would hold up the log for ever.
fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// A JSON array. A name needs no escaping.
fn list(names: &[Name]) -> Cow<'static, str> {
    let Some((first, rest)) = names.split_first() else {
        return Cow::Borrowed("[]");
    };
    let mut text = String::with_capacity(names.iter().map(|name| name.as_str().len() + 3).sum::<usize>() + 1);
    text.extend(["[\"", first.as_str()]);
    rest.iter().for_each(|name| text.extend(["\",\"", name.as_str()]));
    text.push_str("\"]");
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_json_that_serde_writes() {
        for names in [&[][..], &["a"], &["weather", "a_b-9", "x"]] {
            let list = list(&names.iter().map(|name| Name::parse(name).unwrap()).collect::<Vec<_>>());
            assert_eq!(list, serde_json::to_string(names).unwrap());
        }
    }

    #[test]
    fn what_a_database_refuses_does_not_reach_it() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert_eq!(micros(UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(millis(Duration::from_micros(1234)).to_string(), "1.234");
    }
}
