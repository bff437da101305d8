//! Attempts at the same time: another is launched beside one that takes unusually long, and the first answer wins.
//!
//! The flight's own task lets attempts through, so that nobody ever waits in line unattended; what is sent runs in a
//! task of its own, which ends with the race. One that probes a half-open circuit runs to its end even when it has lost:
//! else a slow upstream would stay half open for ever.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::task::JoinSet;

use crate::base::Moment;
use crate::base::Pretty;
use crate::policy::outcome::Kind;
use crate::policy::priority::Priority;
use crate::policy::retry::Course;
use crate::policy::strategy::Finish;
use crate::policy::strategy::HedgeSettings;
use crate::policy::strategy::Race;
use crate::policy::strategy::Then;
use crate::record::Event;
use crate::request::admission;
use crate::request::admission::Bid;
use crate::request::admission::Entered;
use crate::request::attempt;
use crate::request::attempt::Ended;
use crate::request::attempts::told::Told;
use crate::request::error::failure;
use crate::request::flight::Flight;

/// Runs a race to its end.
pub(super) async fn run(
    flight: Arc<Flight>,
    set: &HedgeSettings,
    first: Option<(usize, Entered)>,
    shield: &AtomicBool,
) -> Ended {
    let mut runners = match start(&flight, set, first).await {
        Ok(runners) => runners,
        Err(refused) => return refused,
    };
    shield.store(runners.running.iter().any(|runner| runner.probe), Ordering::Relaxed);
    loop {
        let now = flight.shared.clock.now();
        match runners.race.then(now) {
            Then::Launch => runners.hedge(now),
            Then::Over => return runners.told.end(runners.race.attempts()),
            Then::Wait(until) => {
                let until = flight.shared.clock.instant(until.unwrap_or(Moment::NEVER));
                // Not in time: there is something to launch.
                let Ok(ended) = tokio::time::timeout_at(until, runners.tasks.join_next()).await else { continue };
                if let Some(winner) = ended.and_then(|ended| runners.ended(ended)) {
                    return winner;
                }
            }
        }
    }
}

/// Lets the first attempt through, with as much waiting as it takes.
async fn start<'a>(
    flight: &'a Arc<Flight>,
    set: &'a HedgeSettings,
    first: Option<(usize, Entered)>,
) -> Result<Runners<'a>, Ended> {
    let delay = flight.source.hedge_delay(flight.shared.clock.now()).unwrap_or_default();
    let max_attempts = if flight.once { 1 } else { set.max_attempts };
    let mut runners = Runners {
        flight,
        set,
        race: Race::new(max_attempts, delay),
        running: Vec::new(),
        last: (0, Moment::ZERO),
        tasks: JoinSet::new(),
        told: Told::new(flight),
    };
    let mut course = Course::new(1, flight.source.first());
    let mut first = first;
    loop {
        let (place, entered) = match first.take() {
            Some((place, entered)) => (place, Ok(entered)),
            None => {
                let now = flight.shared.clock.now();
                let admits = |place| flight.source.admits(place, now);
                let Some(place) = course.next(&flight.source.plan.terms, admits) else {
                    runners.told.refused();
                    return Err(runners.told.end(0));
                };
                let longest = flight.source.plan.attempt_timeout;
                let Some(endpoint) = flight.source.endpoint(place) else { return Err(runners.told.end(0)) };
                (place, admission::enter(Bid { flight, circuit: &endpoint.circuit, longest }).await)
            }
        };
        match entered {
            Ok(entered) => {
                runners.launch(place, entered);
                return Ok(runners);
            }
            Err(failure) => {
                let only_circuit = failure.kind == Kind::BreakerOpen;
                runners.told.keep(Ended::refused(failure));
                if !only_circuit {
                    return Err(runners.told.end(0));
                }
                course.refused(place);
            }
        }
    }
}

/// What a task gives back.
type Finished = (u32, Ended);

/// The attempts of a race.
struct Runners<'a> {
    flight: &'a Arc<Flight>,
    set: &'a HedgeSettings,
    race: Race,
    running: Vec<Runner>,
    /// Where the last one went, and when.
    last: (usize, Moment),
    tasks: JoinSet<Finished>,
    told: Told<'a>,
}

/// One of them, under way.
struct Runner {
    number: u32,
    place: usize,
    launched: Moment,
    /// It decides over a half-open circuit.
    probe: bool,
    task: AbortHandle,
}

impl Runners<'_> {
    fn launch(&mut self, place: usize, mut entered: Entered) {
        let launched = entered.at;
        self.last = (place, launched);
        self.race.launched(launched);
        self.told.sent(launched);
        let (number, probe) = (self.race.attempts(), entered.is_probe());
        let flight = Arc::clone(self.flight);
        entered.departs();
        let longest = flight.source.plan.attempt_timeout;
        let work =
            async move { (number, attempt::send(&flight, attempt::Sent { place, number, longest }, entered).await) };
        let task = self.flight.shared.tasks.spawn_in(&mut self.tasks, work);
        self.running.push(Runner { number, place, launched, probe, task });
    }

    /// Launches another attempt, if nothing speaks against it; if something does, none follows for this call.
    fn hedge(&mut self, now: Moment) {
        let (flight, name) = (self.flight, &self.flight.source.plan.name);
        let after = now.since(self.last.1);
        match self.admitted(now) {
            Ok((place, entered)) => {
                self.launch(place, entered);
                let n = self.race.attempts();
                flight.shared.events.of_source(name, Event::HedgeLaunched { n: n - 1, after });
                flight.trail.note(&flight.shared.clock, name, || {
                    let endpoint = flight.source.endpoint(place).map_or("", |endpoint| &endpoint.name);
                    format!("hedge: attempt {n} of {}, at {endpoint}, after {}", self.set.max_attempts, Pretty(after))
                });
            }
            Err(reason) => {
                self.race.refused();
                flight.source.metrics.hedged("suppressed");
                flight.shared.events.of_source(name, Event::HedgeSuppressed { reason });
                flight.trail.note(&flight.shared.clock, name, || format!("hedge: suppressed, {reason}"));
            }
        }
    }

    fn admitted(&self, now: Moment) -> Result<(usize, Entered), &'static str> {
        let (flight, source) = (self.flight, &self.flight.source);
        if !source.plan.terms.repeatable {
            return Err("not_idempotent");
        }
        if flight.priority <= Priority::Low {
            return Err("priority");
        }
        let place = self.target(now).ok_or("breaker_open")?;
        let endpoint = source.endpoint(place).ok_or("breaker_open")?;
        let longest = source.plan.attempt_timeout;
        let entered = admission::try_enter(Bid { flight, circuit: &endpoint.circuit, longest });
        let entered = entered.map_err(|failure| failure.kind.as_str())?;
        // Asked after the circuit was seen closed; between the two it may have opened, and be half open by now.
        if entered.is_probe() {
            return Err("breaker_open");
        }
        if !source.allowance.spend(source.purse(), now) {
            return Err("budget_exhausted");
        }
        Ok((place, entered))
    }

    /// The next endpoint that is not being asked, if its circuit is closed; else any whose is.
    fn target(&self, now: Moment) -> Option<usize> {
        let source = &self.flight.source;
        let count = source.plan.terms.endpoints;
        let after = self.last.0 + 1;
        let in_turn = (after..after + count).map(|place| place % count.max(1));
        let closed = in_turn.filter(|place| source.is_closed(*place, now)).collect::<Vec<_>>();
        let idle = closed.iter().find(|place| self.running.iter().all(|runner| runner.place != **place));
        idle.or(closed.first()).copied()
    }

    /// An attempt ended, or its task broke off. The winner's end, if that decides the race.
    fn ended(&mut self, finished: Result<Finished, tokio::task::JoinError>) -> Option<Ended> {
        let Ok((number, ended)) = finished else {
            self.race.ended(Finish::Unsent);
            let broken = failure(Kind::InternalError, "the call broke off; the log says why");
            self.told.keep(Ended::refused(broken));
            return None;
        };
        let (source, now) = (&self.flight.source, self.flight.shared.clock.now());
        let finish = match self.told.failed(&ended) {
            None => Finish::Decided,
            Some(failed) if failed.kind.is_ours() => Finish::Unsent,
            Some(failed) if source.plan.terms.retries(&failed).is_ok() => Finish::Passing,
            Some(_) => Finish::Decided,
        };
        let runner = self.running.iter().position(|runner| runner.number == number);
        let runner = runner.map(|place| self.running.swap_remove(place));
        if let (Ok(fetched), true) = (&ended.result, runner.is_some()) {
            source.took(self.set, fetched.took, now);
        }
        if !self.race.ended(finish) {
            if number > 1 {
                source.metrics.hedged("lost");
            }
            self.told.keep(ended);
            return None;
        }
        if number > 1 {
            source.metrics.hedged("won");
            self.flight.explain(|| format!("hedge: attempt {number} is the first to answer"));
            let took = runner.map_or(Duration::ZERO, |runner| now.since(runner.launched));
            self.flight.shared.events.of_source(&source.plan.name, Event::HedgeWon { n: number - 1, took });
        }
        self.cancel(now);
        self.told.keep_alone(ended);
        Some(self.told.end(self.race.attempts()))
    }

    /// The others have lost. How long they took by now counts: they would have taken longer.
    fn cancel(&mut self, now: Moment) {
        let source = &self.flight.source;
        for loser in self.running.drain(..) {
            let took = now.since(loser.launched);
            source.took(self.set, took, now);
            if loser.number > 1 {
                source.metrics.hedged("lost");
            }
            if loser.probe {
                continue;
            }
            loser.task.abort();
            if let Some(endpoint) = source.endpoint(loser.place) {
                endpoint.metrics.attempted(Kind::Cancelled, took);
            }
        }
        self.tasks.detach_all();
    }
}
