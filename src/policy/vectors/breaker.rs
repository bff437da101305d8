//! BRK, BRH, BRW and BRM: the tables of `breaker.md`, driven against the machine.

use std::collections::HashMap;
use std::time::Duration;

use crate::base::Moment;
use crate::policy::breaker::BREAKER_DEFAULTS;
use crate::policy::breaker::Breaker;
use crate::policy::breaker::BreakerSettings;
use crate::policy::breaker::Change;
use crate::policy::breaker::Ended;
use crate::policy::breaker::Pass;
use crate::policy::breaker::WindowSettings;
use crate::policy::breaker::WindowShape;
use crate::policy::breaker::retry_after_s;
use crate::policy::outcome::Evidence;
use crate::policy::vectors::Case;
use crate::policy::vectors::Config;
use crate::policy::vectors::Row;
use crate::policy::vectors::cases;

const TABLES: &str = include_str!("breaker.md");

#[test]
fn brk_the_consecutive_trigger() {
    assert_eq!(run("BRK-"), 9);
}

#[test]
fn brh_half_open() {
    assert_eq!(run("BRH-"), 13);
}

#[test]
fn brw_the_sliding_window() {
    assert_eq!(run("BRW-"), 11);
}

#[test]
fn brm_operators_backoff_and_reload() {
    assert_eq!(run("BRM-"), 9);
}

/// Runs the cases of a table; how many there were.
fn run(prefix: &str) -> usize {
    let table: Vec<_> = cases(TABLES).into_iter().filter(|case| case.id.starts_with(prefix)).collect();
    for case in &table {
        let mut bench = Bench::new(case);
        for row in &case.rows {
            let seen = bench.step(row.step, row.at);
            bench.check(row, &seen, case.id);
        }
    }
    table.len()
}

struct Bench {
    set: BreakerSettings,
    breaker: Breaker,
    passes: HashMap<String, Pass>,
}

/// What a step showed.
#[derive(Default)]
struct Seen {
    /// `permit` or `deny(reason,Ns)`.
    answer: String,
    changes: Vec<Change>,
}

impl Bench {
    fn new(case: &Case<'_>) -> Self {
        let set = configure(BREAKER_DEFAULTS, &case.config, case.id);
        Self { breaker: Breaker::new(&set), set, passes: HashMap::new() }
    }

    fn step(&mut self, step: &str, now: Moment) -> Seen {
        let words: Vec<&str> = step.split([' ', '(', ')', ',']).filter(|word| !word.is_empty()).collect();
        let mut seen = Seen::default();
        match words[..] {
            ["acquire", name] => self.acquire(name, now, &mut seen),
            ["drop", name, "cancelled"] => self.breaker.release(self.passes.remove(name).unwrap()),
            ["read", "state"] => {}
            ["admin", "reset"] => seen.changes.push(self.breaker.reset(&self.set)),
            ["admin", "force_closed"] => seen.changes.push(self.breaker.force_close()),
            ["admin", "force_open", ttl] => {
                let ttl = ttl.strip_prefix("ttl=").unwrap().parse().unwrap();
                seen.changes.push(self.breaker.force_open(Some(Duration::from_millis(ttl)), now));
            }
            ["hot", "reload", ..] => {
                let (_, text) = step.split_once('{').unwrap();
                let new = configure(self.set.clone(), &Config::parse(text.trim_end_matches('}')), step);
                seen.changes.extend(self.breaker.apply(&self.set, &new));
                self.set = new;
            }
            [times, "acquire", ref end @ ..] => {
                for _ in 0..times.strip_suffix('×').unwrap().parse::<u32>().unwrap() {
                    self.acquire("", now, &mut seen);
                    self.record("", end, now, &mut seen);
                }
            }
            [name, "→", ref end @ ..] => self.record(name, end, now, &mut seen),
            _ => panic!("no such step: {step}"),
        }
        seen
    }

    fn acquire(&mut self, name: &str, now: Moment, seen: &mut Seen) {
        let peeked = self.breaker.peek(&self.set, now);
        let asked = self.breaker.admit(&self.set, now, Duration::from_secs(5), 0.5);
        seen.changes.extend(asked.change);
        assert_eq!(peeked.err(), asked.answer.as_ref().err().copied(), "peek answers what admit answers");
        seen.answer = match asked.answer {
            Ok(pass) => {
                self.passes.insert(name.to_owned(), pass);
                "permit".to_owned()
            }
            Err(denied) => format!("deny({},{}s)", denied.reason.as_str(), retry_after_s(denied.wait)),
        };
    }

    fn record(&mut self, name: &str, end: &[&str], now: Moment, seen: &mut Seen) {
        let pass = self.passes.remove(name).unwrap();
        let number = |key: &str| {
            let value = end.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            value.map(|value| Duration::from_millis(value.trim_end_matches("ms").parse().unwrap()))
        };
        let evidence = match end[0] {
            "success" => Evidence::Success,
            "failure" => Evidence::Failure,
            "throttled" => Evidence::Throttled,
            "neutral" => Evidence::Neutral,
            other => panic!("no such outcome: {other}"),
        };
        let took = number("dur").unwrap_or(Duration::from_millis(1));
        let ended = Ended { evidence, retry_after: number("retry_after"), took, draw: 0.5 };
        seen.changes.extend(self.breaker.record(&self.set, pass, ended, now));
    }

    fn check(&self, row: &Row<'_>, seen: &Seen, id: &str) {
        let view = self.breaker.view(&self.set, row.at);
        let ms = |time: Option<Duration>| time.map_or("none".to_owned(), |time| time.as_millis().to_string());
        for expect in row.expect.split("; ").filter(|expect| !expect.is_empty()) {
            let (what, wanted) = match expect.strip_prefix("**") {
                Some(answer) => ("answer", answer.trim_end_matches("**")),
                None => expect.split_once('=').unwrap(),
            };
            let got = match what {
                "answer" => seen.answer.clone(),
                "state" => view.state.as_str().to_owned(),
                "consecutive" => view.consecutive_failures.to_string(),
                "opened_ago" => ms(view.opened_ago),
                "recovers_in" => ms(view.recovers_in),
                "late_results" => self.breaker.counts().late_results.to_string(),
                "events" => seen.events(),
                other => panic!("{id}: no such expectation: {other}"),
            };
            assert_eq!(got, wanted, "{id}, at {:?}, {}: {what}", row.at, row.step);
        }
    }
}

impl Seen {
    fn events(&self) -> String {
        let tell =
            |change: &Change| format!("{}→{}:{}", change.from.as_str(), change.to.as_str(), change.reason.as_str());
        let all: Vec<String> = self.changes.iter().map(tell).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(",") }
    }
}

const KNOWN: [&str; 14] = [
    "failure_threshold",
    "success_threshold",
    "max_probes",
    "probe_lease",
    "ho_failure_threshold",
    "recovery_timeout",
    "multiplier",
    "max_open",
    "type",
    "size",
    "buckets",
    "minimum_throughput",
    "failure_rate",
    "slow_call_duration",
];

fn configure(mut set: BreakerSettings, config: &Config<'_>, id: &str) -> BreakerSettings {
    config.assert_known(id, &[&KNOWN[..], &["slow_call_rate"]].concat());
    let count = |key: &str, old: u32| config.count(key).unwrap_or(old);
    set.failure_threshold = count("failure_threshold", set.failure_threshold);
    set.recovery_timeout = config.ms("recovery_timeout").unwrap_or(set.recovery_timeout);
    set.open_backoff.multiplier = config.ratio("multiplier").unwrap_or(set.open_backoff.multiplier);
    set.open_backoff.max = config.ms("max_open").unwrap_or(set.open_backoff.max);
    let probes = &mut set.half_open;
    probes.max_probes = count("max_probes", probes.max_probes);
    probes.success_threshold = count("success_threshold", probes.success_threshold);
    probes.failure_threshold = count("ho_failure_threshold", probes.failure_threshold);
    probes.probe_lease = config.ms("probe_lease").or(probes.probe_lease);
    let shape = match config.0.get("type") {
        Some(&"time") => Some(WindowShape::Time { size: config.ms("size").unwrap(), buckets: count("buckets", 10) }),
        Some(&"count") => Some(WindowShape::Count { size: count("size", 0) }),
        // Slow calls are told by the window's settings: BRH-11 has them without a window that could trip.
        _ => config.0.get("slow_call_duration").map(|_| WindowShape::Count { size: 1_000 }),
    };
    if let Some(shape) = shape {
        let old = set.window.as_ref().map_or(1_000, |window| window.minimum_throughput);
        set.window = Some(WindowSettings {
            shape,
            minimum_throughput: count("minimum_throughput", old),
            failure_rate: Some(config.ratio("failure_rate").unwrap_or(0.5)),
            slow_call_duration: config.ms("slow_call_duration"),
            slow_call_rate: config.ratio("slow_call_rate"),
        });
    }
    set
}
