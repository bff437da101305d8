//! RLO: the tables of `rate.md`, driven against the machine. Rates are per second.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::base::Moment;
use crate::policy::gcra::Quota;
use crate::policy::gcra::Rate;
use crate::policy::rate::Demand;
use crate::policy::rate::Grant;
use crate::policy::rate::RateLimiter;
use crate::policy::rate::RateReason;
use crate::policy::rate::RateRefusal;
use crate::policy::vectors::cases;

const TABLES: &str = include_str!("rate.md");

#[test]
fn rlo_01_to_10_the_outbound_rate_limiter() {
    let table = cases(TABLES);
    assert_eq!(table.len(), 10);
    for case in &table {
        case.config.assert_known(case.id, &["rate", "burst"]);
        let quota = quota(case.config.count("rate").unwrap(), case.config.count("burst").unwrap());
        let mut bench = Bench { limiter: RateLimiter::new(quota), waiting: None };
        for row in &case.rows {
            let seen = bench.step(row.step, row.at);
            assert_eq!(seen, row.expect, "{}, at {:?}, {}", case.id, row.at, row.step);
        }
    }
}

fn quota(count: u32, burst: u32) -> Quota {
    let rate = Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(1) };
    Quota::new(rate, NonZeroU32::new(burst).unwrap())
}

struct Bench {
    limiter: RateLimiter,
    /// The last reservation that has to wait.
    waiting: Option<Grant>,
}

impl Bench {
    fn step(&mut self, step: &str, now: Moment) -> String {
        let words: Vec<&str> =
            step.split([' ', '(', ')', ',', '\'', '{', '}', ':']).filter(|word| !word.is_empty()).collect();
        let number = |word: &str| word.parse::<u32>().unwrap();
        match words[..] {
            ["takeN", count] => {
                let taken = (0..number(count)).filter(|_| self.ask(1, Some(0), now).is_ok());
                taken.count().to_string()
            }
            ["take", cost] => match self.ask(number(cost), Some(0), now) {
                Ok(_) => "('ok', 0)".to_owned(),
                Err(refusal) => refused(refusal),
            },
            ["reserve", cost] => self.reserve(number(cost), None, now),
            ["reserve", cost, longest] => self.reserve(number(cost), Some(number(longest)), now),
            ["refund", "1"] => {
                self.limiter.refund(self.waiting.take().unwrap());
                String::new()
            }
            ["reload", "rate", rate, "per_ms", "1000", "burst", burst] => {
                self.limiter.retune(quota(number(rate), number(burst)), now);
                let there = self.limiter.tokens(now);
                if there == 0 { "0.0".to_owned() } else { there.to_string() }
            }
            ["pause", until] => {
                self.limiter.pause(Moment::from_start(Duration::from_millis(number(until).into())), now);
                String::new()
            }
            _ => panic!("no such step: {step}"),
        }
    }

    fn reserve(&mut self, cost: u32, longest: Option<u32>, now: Moment) -> String {
        match self.ask(cost, longest, now) {
            Ok(ready_at) => format!("('ready_at', {})", ready_at.since(Moment::ZERO).as_millis()),
            Err(refusal) => refused(refusal),
        }
    }

    /// Takes tokens; what is had at once is spent.
    fn ask(&mut self, cost: u32, longest: Option<u32>, now: Moment) -> Result<Moment, RateRefusal> {
        let max_wait = longest.map_or(Duration::MAX, |longest| Duration::from_millis(longest.into()));
        let demand = Demand { cost, max_wait, left: Duration::MAX, max_queue: 1_000 };
        let mut grant = self.limiter.reserve(demand, now)?;
        let ready_at = grant.ready_at;
        if ready_at <= now && self.limiter.start(&mut grant, now) {
            self.limiter.spend(grant);
        } else if let Some(before) = self.waiting.replace(grant) {
            self.limiter.spend(before);
        }
        Ok(ready_at)
    }
}

fn refused(refusal: RateRefusal) -> String {
    if refusal.reason == RateReason::CostExceedsBurst {
        "('reject', 'cost_exceeds_burst')".to_owned()
    } else {
        format!("('reject', {})", refusal.wait.as_millis())
    }
}
