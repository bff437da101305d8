//! BLK: the tables of `limiter.md`, driven against the machine.

use std::collections::HashMap;
use std::time::Duration;

use crate::base::Moment;
use crate::policy::limiter::Limiter;
use crate::policy::limiter::LimiterSettings;
use crate::policy::limiter::Patience;
use crate::policy::limiter::QueueOrder;
use crate::policy::limiter::Served;
use crate::policy::limiter::Ticket;
use crate::policy::priority::Priority;
use crate::policy::vectors::Case;
use crate::policy::vectors::cases;

const TABLES: &str = include_str!("limiter.md");

#[test]
fn blk_01_to_08_the_limiter() {
    let table = cases(TABLES);
    assert_eq!(table.len(), 8);
    for case in &table {
        let mut bench = Bench::new(case);
        for row in &case.rows {
            let seen = bench.step(row.step, row.at);
            assert_eq!(seen, row.expect, "{}, at {:?}, {}", case.id, row.at, row.step);
        }
    }
}

struct Bench {
    set: LimiterSettings,
    limiter: Limiter<String>,
    waiting: HashMap<String, Ticket>,
    /// Who is in: a permit that is not here any more can't be given back twice.
    inside: Vec<String>,
}

impl Bench {
    fn new(case: &Case<'_>) -> Self {
        case.config.assert_known(case.id, &["max_concurrent", "max_waiting", "queue_timeout"]);
        let set = LimiterSettings {
            limit: case.config.count("max_concurrent").unwrap(),
            max_waiting: case.config.count("max_waiting").unwrap_or(0),
            queue_timeout: case.config.ms("queue_timeout"),
            order: QueueOrder::Fifo,
        };
        Self { set, limiter: Limiter::new(set), waiting: HashMap::new(), inside: Vec::new() }
    }

    fn step(&mut self, step: &str, now: Moment) -> String {
        let words: Vec<&str> = step.split([' ', '(', ')', ',', '\'']).filter(|word| !word.is_empty()).collect();
        match words[..] {
            ["acquire", name] => self.acquire(name, Moment::NEVER, now),
            ["acquire", name, ms] => self.acquire(name, now.after(Duration::from_millis(ms.parse().unwrap())), now),
            ["release" | "cancel", name] if self.inside.iter().any(|inside| inside == name) => {
                self.inside.retain(|inside| inside != name);
                let served = self.limiter.leave(now);
                self.let_in(served)
            }
            ["release" | "cancel", name] => {
                let ticket = self.waiting.remove(name);
                assert_eq!(ticket.is_some(), words[0] == "cancel", "{step}");
                assert!(ticket.is_none_or(|ticket| self.limiter.cancel(ticket, now)), "{step}");
                "[]".to_owned()
            }
            ["resize", limit] => {
                let served = self.limiter.resize(LimiterSettings { limit: limit.parse().unwrap(), ..self.set }, now);
                self.let_in(served)
            }
            ["tick", "None"] => self.tick(now),
            _ => panic!("no such step: {step}"),
        }
    }

    fn acquire(&mut self, name: &str, deadline: Moment, now: Moment) -> String {
        if self.limiter.enter() {
            self.inside.push(name.to_owned());
            return "active".to_owned();
        }
        let patience = Patience { priority: Priority::Normal, deadline };
        match self.limiter.enqueue(name.to_owned(), patience, now) {
            Ok(ticket) => {
                self.waiting.insert(name.to_owned(), ticket);
                "waiting".to_owned()
            }
            Err(refusal) => format!("reject:{}", refusal.as_str()),
        }
    }

    fn let_in(&mut self, served: Served<String>) -> String {
        assert!(served.refused.is_empty());
        let names: Vec<String> = served.granted.iter().map(|name| format!("'{name}'")).collect();
        self.waiting.retain(|name, _| !served.granted.contains(name));
        self.inside.extend(served.granted);
        assert_eq!(usize::try_from(self.limiter.active()).unwrap(), self.inside.len());
        format!("[{}]", names.join(", "))
    }

    /// Fires the timers that are due, as the callers would.
    fn tick(&mut self, now: Moment) -> String {
        let limiter = &mut self.limiter;
        let is_due = |ticket: &Ticket| limiter.waits_until(*ticket).is_some_and(|until| until <= now);
        let due: Vec<_> = self.waiting.iter().filter(|(_, ticket)| is_due(ticket)).collect();
        let mut gone = Vec::new();
        for (name, ticket) in due {
            let refusal = limiter.give_up(*ticket, now).unwrap();
            gone.push(format!("'{name}:{}@{}'", refusal.as_str(), now.since(Moment::ZERO).as_millis()));
        }
        format!("([], [{}])", gone.join(", "))
    }
}
