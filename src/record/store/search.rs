//! The question that a history filter asks, in the words of each engine.
//!
//! Pages are cut by (time, id), newest first, so each costs an index range and not the log. Only the conditions that
//! were asked for are in the text, with their values bound.

use sqlx::AssertSqlSafe;
use sqlx::PgPool;
use sqlx::SqlitePool;

use crate::record::history::Fields;
use crate::record::history::HistoryFilter;
use crate::record::store::StoreError;
use crate::record::store::columns;

/// What the two engines say differently.
struct Dialect {
    select: &'static str,
    /// Around a bound time.
    time: (&'static str, &'static str),
    /// Whether one of the lists holds a source; `#` is its name as JSON.
    holds: &'static str,
}

const SQLITE: Dialect = Dialect {
    select: "SELECT id, logged_at, request_id, route, sources_succeeded, sources_failed, sources_skipped, mode, \
         CAST(status AS INTEGER), duration_ms, cached FROM aggregate_log",
    time: ("", ""),
    // A name holds neither quote nor escape, so its JSON is in a list's text only where it is in the list.
    holds: "instr(sources_succeeded || sources_failed || sources_skipped, #) > 0",
};

const POSTGRES: Dialect = Dialect {
    select: "SELECT id, (extract(epoch FROM logged_at) * 1000000)::bigint, request_id, route, \
         sources_succeeded::text, sources_failed::text, sources_skipped::text, mode, status::bigint, duration_ms, \
         cached FROM aggregate_log",
    time: ("('epoch'::timestamptz + ", "::bigint * interval '1 microsecond')"),
    holds: "(sources_succeeded @> #::jsonb OR sources_failed @> #::jsonb OR sources_skipped @> #::jsonb)",
};

/// A value of a question.
enum Value {
    Number(i64),
    Text(String),
}

/// One more row than the page holds, if there is one.
pub(super) async fn sqlite(pool: &SqlitePool, filter: &HistoryFilter) -> Result<Vec<Fields>, StoreError> {
    let (sql, values) = question(filter, &SQLITE);
    let mut query = sqlx::query_as(AssertSqlSafe(sql));
    for value in values {
        query = match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
        };
    }
    Ok(query.fetch_all(pool).await?)
}

/// The same of PostgreSQL.
pub(super) async fn postgres(pool: &PgPool, filter: &HistoryFilter) -> Result<Vec<Fields>, StoreError> {
    let (sql, values) = question(filter, &POSTGRES);
    let mut query = sqlx::query_as(AssertSqlSafe(sql));
    for value in values {
        query = match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
        };
    }
    Ok(query.fetch_all(pool).await?)
}

fn question(filter: &HistoryFilter, dialect: &Dialect) -> (String, Vec<Value>) {
    let mut values = Vec::new();
    let mut bind = |value| {
        values.push(value);
        format!("${}", values.len())
    };
    let (before, after) = dialect.time;
    let mut conditions = Vec::new();
    if let Some(since) = filter.since {
        let since = bind(Value::Number(columns::micros(since)));
        conditions.push(format!("logged_at >= {before}{since}{after}"));
    }
    if let Some(cursor) = filter.cursor {
        let (time, id) = (bind(Value::Number(cursor.logged_at)), bind(Value::Number(cursor.id)));
        conditions.push(format!("(logged_at, id) < ({before}{time}{after}, {id})"));
    }
    if let Some(route) = &filter.route {
        conditions.push(format!("route = {}", bind(Value::Text(route.clone()))));
    }
    if let Some(source) = &filter.source {
        conditions.push(dialect.holds.replace('#', &bind(Value::Text(format!("\"{source}\"")))));
    }
    match filter.failed {
        Some(true) => conditions.push("(sources_failed <> '[]' OR sources_skipped <> '[]')".to_owned()),
        Some(false) => conditions.push("sources_failed = '[]' AND sources_skipped = '[]'".to_owned()),
        None => {}
    }
    let mut sql = dialect.select.to_owned();
    for (index, condition) in conditions.iter().enumerate() {
        sql.extend([if index == 0 { " WHERE " } else { " AND " }, condition]);
    }
    let limit = bind(Value::Number(i64::from(filter.limit) + 1));
    sql.extend([" ORDER BY logged_at DESC, id DESC LIMIT ", &limit]);
    (sql, values)
}
