//! The test vectors of the policies, read from their tables: one section `### ID — title` is one case, one row is one
//! atomic step at a time of a clock that nothing else moves.

mod breaker;
mod limiter;
mod rate;
mod quota;
mod retry;
mod shedding;
mod strategy;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::Moment;

/// One section.
struct Case<'a> {
    id: &'a str,
    config: Config<'a>,
    rows: Vec<Row<'a>>,
}

/// `key: value` pairs; the keys of `window` are told apart by their names alone.
#[derive(Default)]
struct Config<'a>(BTreeMap<&'a str, &'a str>);

/// One row of a section's table.
struct Row<'a> {
    at: Moment,
    step: &'a str,
    expect: &'a str,
}

/// The sections of a file, in order.
fn cases(text: &str) -> Vec<Case<'_>> {
    text.split("\n### ").skip(1).map(Case::parse).collect()
}

impl<'a> Case<'a> {
    fn parse(section: &'a str) -> Self {
        let (id, _) = section.split_once(" — ").unwrap();
        let config = section.split_once("config: `").unwrap().1.split_once('`').unwrap().0;
        let table = section.lines().filter(|line| line.starts_with("| ")).skip(1);
        let rows: Vec<Row<'_>> = table.map(Row::parse).collect();
        assert!(!rows.is_empty(), "{id} has no rows");
        Self { id, config: Config::parse(config), rows }
    }
}

impl<'a> Config<'a> {
    fn parse(text: &'a str) -> Self {
        let pairs = text.split(", ").filter(|pair| *pair != "defaults" && !pair.is_empty());
        let tidy = |pair: &'a str| {
            let pair = pair.strip_prefix("window: ").or(pair.strip_prefix("'window': ")).unwrap_or(pair);
            let (key, value) = pair.split_once(": ").unwrap();
            (key.trim_matches(['{', '\'']), value.trim_matches(['}', '\'']))
        };
        Self(pairs.map(tidy).collect())
    }

    fn ms(&self, key: &str) -> Option<Duration> {
        self.0.get(key).map(|value| Duration::from_millis(value.parse().unwrap()))
    }

    fn count(&self, key: &str) -> Option<u32> {
        self.0.get(key).map(|value| value.parse().unwrap())
    }

    fn ratio(&self, key: &str) -> Option<f64> {
        self.0.get(key).map(|value| value.parse().unwrap())
    }

    /// Every key must be one that the reader of the table knows.
    fn assert_known(&self, id: &str, known: &[&str]) {
        let unknown: Vec<_> = self.0.keys().filter(|key| !known.contains(key)).collect();
        assert!(unknown.is_empty(), "{id}: nothing reads {unknown:?}");
    }
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Self {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [at, step, expect] = cells[..] else { panic!("not three cells: {line}") };
        Self { at: Moment::from_start(duration(at)), step, expect: expect.trim_end_matches('|').trim_end() }
    }
}

/// `0`, `12.4s`, `1ms`
fn duration(text: &str) -> Duration {
    let number = |text: &str| text.parse::<f64>().unwrap();
    let ms = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(ms), _) => number(ms),
        (None, Some(s)) => number(s) * 1000.0,
        (None, None) => number(text),
    };
    Duration::from_secs_f64((ms / 1000.0 * 1e6).round() / 1e6)
}
