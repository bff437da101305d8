//! Whether what was printed is what the page shows, save what time and chance make.
//!
//! | written | stands for |
//! |---|---|
//! | `…` in a line of text | any characters |
//! | `…` as a line of text | any lines, none too |
//! | `"…"` as a JSON value, or as the last item of a list | any value, any further items |
//! | `"…": "…"` as a member | any further members |
//!
//! Numbers and texts that differ from run to run (durations, ages, ids, digests) are compared by their type.

use serde_json::Value;

const ANY: &str = "…";

/// Members whose values time and chance make.
const VOLATILE: [&str; 15] = [
    "age_ms",
    "at",
    "bytes",
    "digest",
    "duration_ms",
    "id",
    "instance",
    "loaded_at",
    "next_cursor",
    "pending",
    "request_id",
    "retry_after_s",
    "time",
    "version",
    "written",
];

/// Fails, with where it was, unless the one is as the page shows it.
#[track_caller]
pub(super) fn assert_alike(shown: &str, printed: &str, place: &str) {
    if let Err(why) = alike(shown, printed) {
        panic!("{place}: {why}");
    }
}

/// Whether the one is as the page shows it, else why not.
pub(super) fn alike(shown: &str, printed: &str) -> Result<(), String> {
    let (shown, printed) = (shown.trim(), printed.trim());
    if shown.starts_with(['{', '['])
        && let Ok(expected) = serde_json::from_str::<Value>(shown)
    {
        let actual: Value = serde_json::from_str(printed)
            .map_err(|error| format!("no JSON came ({error}):\n{printed}\ninstead of\n{shown}"))?;
        return values(&expected, &actual, "").map_err(|why| format!("{why}\nshown:   {shown}\nprinted: {printed}"));
    }
    let lines = |text: &str| text.lines().map(str::trim_end).map(str::to_owned).collect::<Vec<_>>();
    let same = all_alike(&lines(shown), &lines(printed));
    if same { Ok(()) } else { Err(format!("shown\n{shown}\nprinted\n{printed}")) }
}

fn all_alike(shown: &[String], printed: &[String]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, first) => first.is_none(),
        (Some((any, rest)), _) if any.trim() == ANY => {
            (0..=printed.len()).any(|skipped| all_alike(rest, &printed[skipped..]))
        }
        (Some(_), None) => false,
        (Some((one, rest)), Some((other, others))) => line(one, other) && all_alike(rest, others),
    }
}

/// The same of a reply with its head: the status, and the headers that are shown.
#[track_caller]
pub(super) fn assert_reply_alike(shown: &str, printed: &str, place: &str) {
    let halves = |text: &str| {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        (head.lines().map(str::to_owned).collect::<Vec<_>>(), body.to_owned())
    };
    let ((shown_head, shown_body), (head, body)) = (halves(shown), halves(printed));
    for wanted in &shown_head {
        assert!(head.iter().any(|there| line(wanted, there)), "{place}: no `{wanted}` in\n{}", head.join("\n"));
    }
    assert_alike(&shown_body, &body, place);
}

/// Whether a line is as shown.
fn line(shown: &str, printed: &str) -> bool {
    let mut rest = printed;
    let mut pieces = shown.split(ANY);
    let first = pieces.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, between)) = pieces.split_last() else { return rest.is_empty() };
    for piece in between {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

fn values(shown: &Value, printed: &Value, at: &str) -> Result<(), String> {
    match (shown, printed) {
        (Value::String(any), _) if any == ANY => Ok(()),
        (Value::String(pattern), Value::String(text)) if pattern.contains(ANY) && line(pattern, text) => Ok(()),
        (Value::Object(shown), Value::Object(printed)) => members(shown, printed, at),
        (Value::Array(shown), Value::Array(printed)) => items(shown, printed, at),
        _ if is_volatile(at) && same_type(shown, printed) => Ok(()),
        _ if shown == printed => Ok(()),
        _ => Err(format!("`{at}` is {printed}, not {shown}")),
    }
}

type Members = serde_json::Map<String, Value>;

fn members(shown: &Members, printed: &Members, at: &str) -> Result<(), String> {
    let open = shown.contains_key(ANY);
    for (name, value) in shown.iter().filter(|(name, _)| *name != ANY) {
        let there = printed.get(name).ok_or_else(|| format!("`{at}.{name}` is missing"))?;
        values(value, there, &format!("{at}.{name}"))?;
    }
    match printed.keys().find(|name| !shown.contains_key(*name)) {
        Some(more) if !open => Err(format!("`{at}.{more}` is not shown")),
        _ => Ok(()),
    }
}

fn items(shown: &[Value], printed: &[Value], at: &str) -> Result<(), String> {
    let open = shown.last().is_some_and(|last| last == ANY);
    let shown = if open { &shown[..shown.len() - 1] } else { shown };
    if printed.len() < shown.len() || (printed.len() > shown.len() && !open) {
        return Err(format!("`{at}` has {} items, not {}", printed.len(), shown.len()));
    }
    shown.iter().zip(printed).try_for_each(|(one, other)| values(one, other, &format!("{at}[]")))
}

fn is_volatile(at: &str) -> bool {
    let name = at.rsplit('.').next().unwrap_or_default();
    VOLATILE.contains(&name) || name.ends_with("_seconds")
}

fn same_type(one: &Value, other: &Value) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

#[test]
fn what_differs_is_told_apart() {
    assert!(line("a … c", "a b c") && line("…", "") && line("x", "x"));
    assert!(!line("a … c", "a b d") && !line("x", "xy") && !line("a…b…c", "acb"));
    assert!(alike("a\n…\nd", "a\nb\nc\nd").is_ok() && alike("a\n…\nb", "a\nb").is_ok());
    assert!(alike("a\n…\nd", "a\nb\nc").is_err() && alike("…\na", "a\nb").is_err());
    let alike = |shown: &str, printed: &str| {
        values(&serde_json::from_str(shown).unwrap(), &serde_json::from_str(printed).unwrap(), "").is_ok()
    };
    assert!(alike(r#"{"duration_ms": 3, "a": [1, "…"]}"#, r#"{"a": [1, 2, 3], "duration_ms": 77}"#));
    assert!(alike(r#"{"a": "…", "…": "…"}"#, r#"{"a": null, "b": 1}"#));
    assert!(!alike(r#"{"duration_ms": 3}"#, r#"{"duration_ms": null}"#));
    assert!(!alike(r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#) && !alike("[1]", "[1, 2]") && !alike(r#"{"a": 1}"#, "{}"));
}
