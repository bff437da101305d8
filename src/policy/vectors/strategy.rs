//! STR: the courses of `strategy.md`, run step by step. A course is what its table shows; what makes it, its settings
//! and what becomes of each attempt, stands here beside its id.

use std::time::Duration;

use crate::base::Moment;
use crate::policy::deadline::attempt_budget;
use crate::policy::outcome::Kind;
use crate::policy::retry::BackoffSettings;
use crate::policy::retry::BackoffStrategy;
use crate::policy::retry::Course;
use crate::policy::retry::Failed;
use crate::policy::retry::Jitter;
use crate::policy::retry::Present;
use crate::policy::retry::RETRY_OFF;
use crate::policy::retry::RetrySettings;
use crate::policy::retry::Stop;
use crate::policy::retry::Terms;
use crate::policy::strategy::Finish;
use crate::policy::strategy::Race;
use crate::policy::strategy::Then;

const MIN_ATTEMPT: Duration = ms(10);
/// Longer than every case.
const FOREVER: u64 = 1_000_000;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Moment {
    Moment::from_start(ms(millis))
}

fn millis(now: Moment) -> u128 {
    now.since(Moment::ZERO).as_millis()
}

/// What was seen, as the tables write it.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    fn note(&mut self, now: Moment, step: impl std::fmt::Display) {
        let t = match millis(now) {
            0 => "0".to_owned(),
            t if t % 1000 == 0 => format!("{}s", t / 1000),
            t => format!("{t}ms"),
        };
        self.0.push(format!("{t} | {step}"));
    }

    fn result(mut self, result: impl std::fmt::Display, now: Moment) -> Vec<String> {
        self.0.push(format!("— | **result** | {result} at {}ms", millis(now)));
        self.0
    }
}

/// The rows of a section, without the empty cells at their ends.
fn rows(id: &str) -> Vec<String> {
    let text = include_str!("strategy.md");
    let section = text.split("\n### ").find(|section| section.starts_with(id)).unwrap();
    let table = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    table.map(|row| row.trim_matches(['|', ' ']).to_owned()).collect()
}

/// A hedged call: when a second attempt follows, and how long each takes to end how.
struct Hedged {
    delay: u64,
    max_attempts: u32,
    attempts: &'static [(u64, &'static str)],
    deadline: u64,
    admitted: bool,
}

const HEDGED: Hedged = Hedged { delay: 100, max_attempts: 3, attempts: &[], deadline: FOREVER, admitted: true };

impl Hedged {
    fn run(&self) -> Vec<String> {
        let mut seen = Seen::default();
        let mut race = Race::new(self.max_attempts, ms(self.delay));
        let mut running: Vec<(u32, Moment, &str)> = Vec::new();
        let (mut now, mut last) = (Moment::ZERO, String::new());
        loop {
            match race.then(now) {
                Then::Launch if race.attempts() > 0 && !self.admitted => {
                    seen.note(now, "hedge_suppressed");
                    race.refused();
                }
                Then::Launch => {
                    let (takes, outcome) = self.attempts[race.attempts() as usize];
                    race.launched(now);
                    seen.note(now, format!("launch#{}", race.attempts()));
                    running.push((race.attempts(), now.after(ms(takes)), outcome));
                }
                Then::Wait(launch) => {
                    let next = running.iter().map(|(_, ends, _)| *ends).chain(launch).min().unwrap();
                    if next >= at(self.deadline) {
                        let all: Vec<_> = running.iter().map(|(number, ..)| format!("#{number}")).collect();
                        seen.note(at(self.deadline), format!("deadline cancel {}", all.join(",")));
                        return seen.result("deadline_exceeded", at(self.deadline));
                    }
                    now = next;
                    let Some(ended) = running.iter().position(|(_, ends, _)| *ends == now) else { continue };
                    let (number, _, outcome) = running.remove(ended);
                    seen.note(now, format!("done#{number}={outcome}"));
                    last = format!("#{number}:{outcome}");
                    if race.ended(if outcome == "5xx" { Finish::Passing } else { Finish::Decided }) {
                        for (loser, ..) in running {
                            seen.note(now, format!("cancel #{loser}"));
                        }
                        return seen.result(last, now);
                    }
                }
                Then::Over => return seen.result(last, now),
            }
        }
    }
}

#[test]
fn str_01_to_08_races() {
    let cases = [
        ("STR-01", Hedged { attempts: &[(50, "200")], ..HEDGED }),
        ("STR-02", Hedged { attempts: &[(300, "200"), (50, "200")], ..HEDGED }),
        ("STR-03", Hedged { attempts: &[(20, "5xx"), (300, "200"), (30, "200")], ..HEDGED }),
        ("STR-04", Hedged { attempts: &[(150, "404"), (FOREVER, "200")], ..HEDGED }),
        ("STR-05", Hedged { attempts: &[(10, "5xx"), (10, "5xx"), (10, "5xx")], ..HEDGED }),
        (
            "STR-06",
            Hedged { attempts: &[(FOREVER, "200"), (FOREVER, "200")], deadline: 250, max_attempts: 2, ..HEDGED },
        ),
        ("STR-07", Hedged { attempts: &[(300, "200")], admitted: false, ..HEDGED }),
        ("STR-08", Hedged { delay: 0, max_attempts: 2, attempts: &[(300, "200"), (40, "200")], ..HEDGED }),
    ];
    for (id, case) in cases {
        assert_eq!(case.run(), rows(id), "{id}");
    }
}

/// Attempts one after the other: which endpoints there are (those in capitals refuse), and how long each attempt takes
/// to end how.
struct Sequential {
    endpoints: &'static str,
    max_attempts: u32,
    timeout: u64,
    attempt_timeout: u64,
    delay: u64,
    split: bool,
    attempts: &'static [(u64, &'static str)],
}

const SEQUENTIAL: Sequential = Sequential {
    endpoints: "a",
    max_attempts: 3,
    timeout: 5_000,
    attempt_timeout: FOREVER,
    delay: 0,
    split: false,
    attempts: &[],
};

impl Sequential {
    fn terms(&self) -> Terms {
        let strategy = if self.delay == 0 { BackoffStrategy::None } else { BackoffStrategy::Constant };
        let (base, max) = (ms(self.delay), ms(self.delay));
        let backoff = BackoffSettings { strategy, base, max, jitter: Jitter::None, ..RETRY_OFF.backoff };
        Terms {
            retry: RetrySettings { max_attempts: self.max_attempts, backoff, ..RETRY_OFF },
            repeatable: true,
            endpoints: self.endpoints.len(),
            failover: true,
            split: self.split,
            min_attempt_budget: MIN_ATTEMPT,
        }
    }

    fn run(&self) -> Vec<String> {
        let terms = self.terms();
        let name = |place: usize| self.endpoints.as_bytes()[place] as char;
        let admits = |place: usize| name(place).is_ascii_lowercase();
        let mut seen = Seen::default();
        let mut course = Course::new(self.max_attempts, 0);
        let (mut now, end) = (Moment::ZERO, at(self.timeout));
        loop {
            let mut skipped = Vec::new();
            let place = course.next(&terms, |place| {
                skipped.extend((!admits(place)).then(|| name(place).to_ascii_lowercase()));
                admits(place)
            });
            for name in skipped {
                seen.note(now, format!("skip {name} (breaker_open)"));
            }
            let Some(place) = place else { return seen.result("breaker_open", now) };
            let share = course.share(&terms, end.since(now)).unwrap_or(Duration::MAX);
            let timer = attempt_budget(end, Some(share.min(ms(self.attempt_timeout))), MIN_ATTEMPT, now).unwrap();
            let (takes, outcome) = self.attempts[course.attempts() as usize];
            course.sent(place);
            seen.note(now, format!("{} attempt#{} timeout={}", name(place), course.attempts(), timer.as_millis()));
            let cut = ms(takes) >= timer;
            now = now.after(ms(takes).min(timer));
            let outcome = if cut { "timeout" } else { outcome };
            seen.note(now, outcome);
            let (kind, status) = match outcome {
                "200" => return seen.result(format!("{}:200", name(place)), now),
                "timeout" => (Kind::AttemptTimeout, None),
                _ => (Kind::ServerError, Some(503)),
            };
            let failed = Failed { kind, status, retry_after: None, do_not_retry: false };
            let present = Present { left: end.since(now), next: course.next(&terms, admits), draw: 0.0 };
            match course.after(&terms, &failed, present, || true) {
                Ok(wait) => now = now.after(wait),
                Err(Stop::Deadline) => return seen.result(format!("{outcome} (no budget for delay)"), now),
                Err(_) => return seen.result(outcome, now),
            }
        }
    }
}

#[test]
fn str_09_to_13_one_after_the_other() {
    const HANG: (u64, &str) = (FOREVER, "200");
    let cases = [
        (
            "STR-09",
            Sequential {
                endpoints: "aBc",
                max_attempts: 2,
                attempt_timeout: 500,
                attempts: &[(50, "5xx"), (50, "200")],
                ..SEQUENTIAL
            },
        ),
        ("STR-10", Sequential { endpoints: "AB", ..SEQUENTIAL }),
        ("STR-11", Sequential { timeout: 900, split: true, attempts: &[HANG, HANG, HANG], ..SEQUENTIAL }),
        (
            "STR-12",
            Sequential { timeout: 9_000, split: true, attempts: &[(1_000, "5xx"), (1_000, "5xx"), HANG], ..SEQUENTIAL },
        ),
        ("STR-13", Sequential { timeout: 500, delay: 400, attempts: &[(150, "5xx")], ..SEQUENTIAL }),
    ];
    for (id, case) in cases {
        assert_eq!(case.run(), rows(id), "{id}");
    }
}
