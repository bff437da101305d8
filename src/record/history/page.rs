//! One page of the audit log.

use serde::Serialize;

use crate::record::history::Cursor;

/// A row as the database gives it: id, time in microseconds, request id, route, the three lists as JSON, mode, status,
/// duration in milliseconds, cached.
pub(crate) type Fields = (i64, i64, String, String, String, String, String, String, i64, f64, bool);

/// The records that were asked for, newest first.
#[derive(Debug, Serialize)]
pub(crate) struct HistoryPage {
    pub(crate) records: Vec<HistoryRow>,
    /// What to send as `cursor` for the next page; `null` on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// One answered request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct HistoryRow {
    pub(crate) id: i64,
    /// RFC 3339, UTC, with milliseconds.
    pub(crate) time: String,
    pub(crate) request_id: String,
    pub(crate) route: String,
    pub(crate) sources_succeeded: Vec<String>,
    pub(crate) sources_failed: Vec<String>,
    pub(crate) sources_skipped: Vec<String>,
    pub(crate) mode: String,
    pub(crate) status: i64,
    pub(crate) duration_ms: f64,
    pub(crate) cached: bool,
}

impl HistoryPage {
    /// The page of these rows, which are at most one more than `limit`: that one says that there is a next page.
    pub(crate) fn of(mut rows: Vec<Fields>, limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().map(|row| Cursor { id: row.0, logged_at: row.1 });
        let next_cursor = last.filter(|_| more).map(|cursor| cursor.to_string());
        Self { records: rows.into_iter().map(HistoryRow::of).collect(), next_cursor }
    }
}

impl HistoryRow {
    fn of(fields: Fields) -> Self {
        let (id, micros, request_id, route, succeeded, failed, skipped, mode, status, duration_ms, cached) = fields;
        Self {
            id,
            time: time(micros),
            request_id,
            route,
            sources_succeeded: list(&succeeded),
            sources_failed: list(&failed),
            sources_skipped: list(&skipped),
            mode,
            status,
            duration_ms,
            cached,
        }
    }
}

fn time(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

/// What another program wrote into the table and is no list of texts reads as an empty one.
fn list(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64) -> Fields {
        let lists = [r#"["weather", "news"]"#, "[]", r#"["markets"]"#].map(str::to_owned);
        let [succeeded, failed, skipped] = lists;
        let (request, route, mode) = ("r-1".to_owned(), "/aggregate".to_owned(), "partial".to_owned());
        (id, 1_767_225_600_123_456, request, route, succeeded, failed, skipped, mode, 200, 83.25, false)
    }

    #[test]
    fn a_record_reads_as_the_contract_says() {
        let page = HistoryPage::of(vec![row(7)], 10);
        let expected = concat!(
            r#"{"records":[{"id":7,"time":"2026-01-01T00:00:00.123Z","request_id":"r-1","route":"/aggregate","#,
            r#""sources_succeeded":["weather","news"],"sources_failed":[],"sources_skipped":["markets"],"#,
            r#""mode":"partial","status":200,"duration_ms":83.25,"cached":false}],"next_cursor":null}"#
        );
        assert_eq!(serde_json::to_string(&page).unwrap(), expected);
    }

    #[test]
    fn a_page_that_has_a_next_one_says_where_it_begins() {
        let page = HistoryPage::of(vec![row(3), row(2), row(1)], 2);
        let cursor = Cursor::parse(page.next_cursor.as_deref().unwrap()).unwrap();
        assert_eq!((page.records.len(), cursor.id), (2, 2));
        assert_eq!(HistoryPage::of(vec![row(3), row(2)], 2).next_cursor, None);
    }
}
