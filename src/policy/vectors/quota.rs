//! IRL: the table of `quota.md`, driven against the cell of one client and the words that tell of it.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::base::Moment;
use crate::policy::gcra::Quota;
use crate::policy::gcra::Rate;
use crate::policy::quota::Cell;
use crate::policy::quota::Costs;
use crate::policy::quota::KeyPart;
use crate::policy::quota::LimitSettings;
use crate::policy::quota::Refusal;
use crate::policy::quota::Rule;
use crate::policy::quota::Short;
use crate::policy::quota::Show;
use crate::policy::quota::Style;
use crate::policy::quota::tell;
use crate::policy::quota::window_seconds;
use crate::policy::vectors::duration;

const TABLE: &str = include_str!("quota.md");

#[test]
fn irl_01_to_07_what_a_response_says_of_a_limit() {
    let rows: Vec<_> = TABLE.lines().filter(|line| line.starts_with("| IRL-")).collect();
    assert_eq!(rows.len(), 7);
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, case, response] = cells[..] else { panic!("{row}") };
        assert_eq!(answer(case), response, "{id}");
    }
}

/// `rate 5/1s, burst 10, 0 already taken at t=0, request at 0 cost 1`
fn answer(case: &str) -> String {
    let words: Vec<&str> = case.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let ["rate", rate, "burst", burst, taken, "already", "taken", "at", "t=0", "request", "at", at, "cost", cost] =
        words[..]
    else {
        panic!("{case}")
    };
    let (count, per) = rate.split_once('/').unwrap();
    let number = |text: &str| text.parse::<u32>().unwrap();
    let n = |text: &str| NonZeroU32::new(number(text)).unwrap();
    let rate = Rate { count: n(count), per: duration(per) };
    let rule = Rule { quota: Some(Quota::new(rate, n(burst))), max_in_flight: None };
    let mut cell = Cell::default();
    for _ in 0..number(taken) {
        cell.check(&rule, 1, Moment::ZERO).unwrap();
        cell.take(&rule, 1, Moment::ZERO);
    }
    let (now, cost) = (Moment::from_start(duration(at)), number(cost));
    let short = cell.check(&rule, cost, now).err();
    if short.is_none() {
        cell.take(&rule, cost, now);
    }
    let set = LimitSettings {
        name: "default".into(),
        key: vec![KeyPart::Tenant],
        rule,
        window_s: window_seconds(rate, n(burst)),
        max_keys: 1,
        show: Show::Always,
        style: Style::Ietf,
        routes: Vec::new(),
        costs: Costs::flat(NonZeroU32::MIN),
        refusal: Refusal { status: 429, message: None, retry_after: Duration::ZERO },
    };
    let told = tell([(&set, cell.standing(&set.rule, short, now))].into_iter());
    let status = if short.is_none() { 200 } else { 429 };
    let mut text = format!("{status}; RateLimit-Policy: {}; RateLimit: {}", told.policies, told.left);
    if let Some(Short::Rate(wait)) = short {
        let after = crate::policy::breaker::retry_after_s(wait);
        text.push_str(&format!("; Retry-After: {after}"));
    }
    text
}
