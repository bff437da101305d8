//! Attempts one after the other: each is let through anew, and nothing is held while waiting for the next.

use std::sync::atomic::AtomicBool;

use crate::base::Moment;
use crate::base::Pretty;
use crate::policy::outcome::Kind;
use crate::policy::retry::Course;
use crate::policy::retry::Failed;
use crate::policy::retry::Present;
use crate::policy::retry::Stop;
use crate::record::Event;
use crate::request::admission::Entered;
use crate::request::attempt;
use crate::request::attempt::Attempt;
use crate::request::attempt::Ended;
use crate::request::attempts::told::Told;
use crate::request::flight::Flight;

/// Makes attempts until one brings data or none may follow.
pub(super) async fn run(flight: &Flight, mut entered: Option<(usize, Entered)>, shield: &AtomicBool) -> Ended {
    let mut calls = Calls::new(flight);
    loop {
        let (place, entered) = match entered.take() {
            Some((place, entered)) => (place, Some(entered)),
            None => match calls.next() {
                Some(place) => (place, None),
                None => return calls.refused(),
            },
        };
        let (terms, now) = (&flight.source.plan.terms, flight.shared.clock.now());
        let share = calls.course.share(terms, flight.end.at.since(now));
        let longest = [flight.source.plan.attempt_timeout, share].into_iter().flatten().min();
        let attempt = Attempt { place, number: calls.course.attempts() + 1, longest, entered };
        let ended = attempt::make(flight, attempt, shield).await;
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
    told: Told<'a>,
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
        let max_attempts = if flight.once { 1 } else { flight.source.plan.terms.retry.max_attempts };
        Self { flight, course: Course::new(max_attempts, flight.source.first()), told: Told::new(flight) }
    }

    /// Where the next attempt goes, if any circuit admits it.
    fn next(&self) -> Option<usize> {
        let (source, now) = (&self.flight.source, self.flight.shared.clock.now());
        self.course.next(&source.plan.terms, |place| source.admits(place, now))
    }

    fn ended(&mut self, place: usize, ended: Ended) -> Next {
        match (ended.sent, self.told.failed(&ended)) {
            (Some(sent), None) => {
                self.sent(place, sent);
                Next::Over(self.landed(ended))
            }
            (None, Some(Failed { kind: Kind::BreakerOpen, .. })) => {
                self.course.refused(place);
                self.told.keep(ended);
                Next::Elsewhere
            }
            (sent, failed) => {
                if let Some(sent) = sent {
                    self.sent(place, sent);
                }
                self.told.keep(ended);
                match failed.map(|failed| self.decide(&failed)) {
                    Some(Ok(at)) => Next::After(at),
                    Some(Err(stop)) => Next::Over(self.stopped(stop)),
                    None => Next::Over(self.stopped(Stop::NotRetryable)),
                }
            }
        }
    }

    fn sent(&mut self, place: usize, at: Moment) {
        self.course.sent(place);
        self.told.sent(at);
    }

    /// Whether another attempt follows, and when.
    fn decide(&mut self, failed: &Failed) -> Result<Moment, Stop> {
        let (flight, source) = (self.flight, &self.flight.source);
        let (terms, now) = (&source.plan.terms, flight.shared.clock.now());
        let present = Present { left: flight.end.at.since(now), next: self.next(), draw: fastrand::f64() };
        let withdraw = || source.allowance.spend(source.purse(), now);
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

    /// No circuit admits an attempt.
    fn refused(&mut self) -> Ended {
        self.told.refused();
        self.stopped(Stop::BreakerOpen)
    }

    /// No attempt follows.
    fn stopped(&mut self, stop: Stop) -> Ended {
        let (source, attempts) = (&self.flight.source, self.course.attempts());
        if source.plan.terms.retry.max_attempts > 1 {
            source.metrics.retry_stopped(stop.as_str());
            let event = Event::RetryExhausted { attempts, reason: stop.as_str() };
            self.flight.shared.events.of_source(&source.plan.name, event);
            self.flight.trail.note(&self.flight.shared.clock, &source.plan.name, || {
                format!("retry: stops after {attempts} attempt(s): {}", stop.as_str())
            });
        }
        self.told.end(attempts)
    }

    /// Data came.
    fn landed(&mut self, ended: Ended) -> Ended {
        let attempts = self.course.attempts();
        if attempts > 1 {
            let event = Event::RetrySuccess { attempts };
            self.flight.shared.events.of_source(&self.flight.source.plan.name, event);
        }
        self.told.keep_alone(ended);
        self.told.end(attempts)
    }
}
