//! What is told of a call that made several attempts: the success, or the failure that says most.

use std::sync::Arc;

use crate::base::Moment;
use crate::live::Failure;
use crate::policy::outcome::Kind;
use crate::policy::retry::Failed;
use crate::request::admission::circuit_refusal;
use crate::request::attempt::Ended;
use crate::request::error::failure;
use crate::request::flight::Flight;

/// The end to be told, as far as it is known.
pub(super) struct Told<'a> {
    flight: &'a Flight,
    /// When the first attempt was sent.
    began: Option<Moment>,
    best: Option<Ended>,
}

impl<'a> Told<'a> {
    /// Nothing known yet.
    pub(super) fn new(flight: &'a Flight) -> Self {
        Self { flight, began: None, best: None }
    }

    /// An attempt was sent.
    pub(super) fn sent(&mut self, at: Moment) {
        self.began.get_or_insert(at);
    }

    /// How an attempt failed, as decisions read it; `None`: it did not.
    pub(super) fn failed(&self, ended: &Ended) -> Option<Failed> {
        let failure = ended.result.as_ref().err()?;
        let (kind, status, retry_after) = (failure.kind, failure.status, failure.retry_after);
        Some(Failed { kind, status, retry_after, do_not_retry: ended.do_not_retry })
    }

    /// Keeps the failure that says most; of two that say as much, the later.
    pub(super) fn keep(&mut self, ended: Ended) {
        let weight = |ended: &Ended| ended.result.as_ref().err().map_or(0, |failure| failure.kind.weight());
        if self.best.as_ref().is_none_or(|best| weight(best) <= weight(&ended)) {
            self.best = Some(ended);
        }
    }

    /// Whatever was before it, this is the end.
    pub(super) fn keep_alone(&mut self, ended: Ended) {
        self.best = Some(ended);
    }

    /// No circuit lets an attempt through.
    pub(super) fn refused(&mut self) {
        if let Err(denied) = self.flight.source.ask(self.flight.shared.clock.now()) {
            self.keep(Ended::refused(circuit_refusal(&denied)));
        }
    }

    /// The end of a call that made so many attempts, and how long all of them took.
    pub(super) fn end(&mut self, attempts: u32) -> Ended {
        let refused = || Ended::refused(failure(Kind::BreakerOpen, "circuit open"));
        let mut end = self.best.take().unwrap_or_else(refused);
        let Some(began) = self.began else { return end };
        let took = self.flight.shared.clock.now().since(began);
        match &mut end.result {
            Ok(fetched) => {
                if let (2.., Some(fetched)) = (attempts, Arc::get_mut(fetched)) {
                    fetched.took = took;
                }
            }
            Err(failure) => {
                let failure: &mut Failure = Arc::make_mut(failure);
                (failure.attempts, failure.took) = (attempts, took);
            }
        }
        end
    }
}
