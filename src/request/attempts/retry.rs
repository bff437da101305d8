//! Attempts one after the other: each is let through anew, and nothing is held while waiting for the next.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::base::Moment;
use crate::base::Pretty;
use crate::live::Failure;
use crate::plan::HttpPlan;
use crate::policy::outcome::Kind;
use crate::policy::retry::Course;
use crate::policy::retry::Failed;
use crate::policy::retry::Present;
use crate::policy::retry::Stop;
use crate::record::Event;
use crate::request::admission::Entered;
use crate::request::admission::circuit_refusal;
use crate::request::attempt;
use crate::request::attempt::Attempt;
use crate::request::attempt::Ended;
use crate::request::error::failure;
use crate::request::flight::Flight;

/// Makes attempts until one brings data or none may follow.
pub(super) async fn run(flight: &Flight, http: &HttpPlan, mut entered: Option<Entered>, shield: &AtomicBool) -> Ended {
    let mut calls = Calls::new(flight);
    loop {
        let Some(place) = calls.next() else { return calls.refused() };
        let (terms, now) = (&flight.source.plan.terms, flight.shared.clock.now());
        let share = calls.course.share(terms, flight.end.at.since(now));
        let longest = [flight.source.plan.attempt_timeout, share].into_iter().flatten().min();
        let number = calls.course.attempts() + 1;
        let attempt = Attempt { number, longest, entered: entered.take() };
        let ended = attempt::make(flight, http, attempt, shield).await;
        match calls.ended(place, ended) {
            Next::Over(ended) => return ended,
            Next::Elsewhere => {}
            Next::After(wait) => flight.shared.clock.sleep_until(wait).await,
        }
    }
}

/// The attempts so far.
struct Calls<'a> {
    flight: &'a Flight,
    course: Course,
    /// When the first was sent.
    began: Option<Moment>,
    /// The failure that says most.
    told: Option<Ended>,
}

/// What follows an attempt.
enum Next {
    /// This is how the call ended.
    Over(Ended),
    /// Nothing was sent; another endpoint may do.
    Elsewhere,
    /// Another attempt, then.
    After(Moment),
}

impl<'a> Calls<'a> {
    fn new(flight: &'a Flight) -> Self {
        let course = Course::new(flight.source.plan.terms.retry.max_attempts, 0);
        Self { flight, course, began: None, told: None }
    }

    /// Where the next attempt goes, if any circuit admits it.
    fn next(&self) -> Option<usize> {
        let (source, now) = (&self.flight.source, self.flight.shared.clock.now());
        self.course.next(&source.plan.terms, |_| source.circuit.peek(&source.plan.breaker, now).is_ok())
    }

    fn ended(&mut self, place: usize, ended: Ended) -> Next {
        match ended.sent {
            Some(sent) => {
                self.course.sent(place);
                self.began.get_or_insert(sent);
            }
            None if ended.result.as_ref().is_err_and(|failure| failure.kind == Kind::BreakerOpen) => {
                self.course.refused(place);
                self.keep(ended);
                return Next::Elsewhere;
            }
            None => {}
        }
        let Err(failure) = &ended.result else { return Next::Over(self.landed(ended)) };
        let failed = Failed {
            kind: failure.kind,
            status: failure.status,
            retry_after: failure.retry_after,
            do_not_retry: ended.do_not_retry,
        };
        let decision = self.decide(&failed);
        self.keep(ended);
        match decision {
            Ok(at) => Next::After(at),
            Err(stop) => Next::Over(self.stopped(stop)),
        }
    }

    /// Whether another attempt follows, and when.
    fn decide(&mut self, failed: &Failed) -> Result<Moment, Stop> {
        let (flight, source) = (self.flight, &self.flight.source);
        let (terms, now) = (&source.plan.terms, flight.shared.clock.now());
        let present = Present { left: flight.end.at.since(now), next: self.next(), draw: fastrand::f64() };
        let withdraw = || terms.retry.budget.as_ref().is_none_or(|budget| source.allowance.spend(budget, now));
        let wait = self.course.after(terms, failed, present, withdraw)?;
        source.metrics.retried(failed.kind);
        let event = Event::RetryAttempt { n: self.course.attempts(), delay: wait, outcome: failed.kind.as_str() };
        flight.shared.events.of_source(&source.plan.name, event);
        flight.trail.note(&flight.shared.clock, &source.plan.name, || {
            let (next, of) = (self.course.attempts() + 1, terms.retry.max_attempts);
            format!("retry: attempt {next} of {of} in {}, because of {}", Pretty(wait), failed.kind.as_str())
        });
        Ok(now.after(wait))
    }

    /// Keeps the failure that says most; of two that say as much, the later.
    fn keep(&mut self, ended: Ended) {
        let weight = |ended: &Ended| ended.result.as_ref().err().map_or(0, |failure| failure.kind.weight());
        if self.told.as_ref().is_none_or(|told| weight(told) <= weight(&ended)) {
            self.told = Some(ended);
        }
    }

    /// No circuit admits an attempt.
    fn refused(&mut self) -> Ended {
        let now = self.flight.shared.clock.now();
        if let Err(denied) = self.flight.source.ask(now) {
            let result = Err(circuit_refusal(&denied));
            self.keep(Ended { result, sent: None, do_not_retry: false, raw: None });
        }
        self.stopped(Stop::BreakerOpen)
    }

    /// No attempt follows.
    fn stopped(&mut self, stop: Stop) -> Ended {
        let source = &self.flight.source;
        source.metrics.retry_stopped(stop.as_str());
        let attempts = self.course.attempts();
        let event = Event::RetryExhausted { attempts, reason: stop.as_str() };
        self.flight.shared.events.of_source(&source.plan.name, event);
        self.flight.trail.note(&self.flight.shared.clock, &source.plan.name, || {
            format!("retry: stops after {attempts} attempt(s): {}", stop.as_str())
        });
        let broken = || failure(Kind::InternalError, "no attempt was made");
        let mut told = self.told.take().unwrap_or_else(|| Ended {
            result: Err(broken()),
            sent: None,
            do_not_retry: false,
            raw: None,
        });
        if let (Err(failure), Some(began)) = (&mut told.result, self.began) {
            let failure: &mut Failure = Arc::make_mut(failure);
            failure.attempts = attempts;
            failure.took = self.flight.shared.clock.now().since(began);
        }
        told
    }

    /// Data came.
    fn landed(&self, mut ended: Ended) -> Ended {
        let attempts = self.course.attempts();
        if attempts < 2 {
            return ended;
        }
        let event = Event::RetrySuccess { attempts };
        self.flight.shared.events.of_source(&self.flight.source.plan.name, event);
        if let (Ok(fetched), Some(began)) = (&mut ended.result, self.began)
            && let Some(fetched) = Arc::get_mut(fetched)
        {
            fetched.took = self.flight.shared.clock.now().since(began);
        }
        ended
    }
}
