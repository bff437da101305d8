//! The race of a hedged call: when another attempt is launched beside those that run, and when it is decided.
//!
//! | event | what follows |
//! |---|---|
//! | the delay since the last launch is over | another attempt |
//! | an attempt fails in a way that may pass | another attempt, at once; the delay begins anew |
//! | an attempt ends in any other way | that is the answer |
//! | an attempt was never sent | nothing, as long as others run |
//! | a hedge is refused | none is launched for this call any more |

use std::time::Duration;

use crate::base::Moment;

/// The memory of one race.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Race {
    max_attempts: u32,
    delay: Duration,
    launched: u32,
    running: u32,
    /// When the last one was launched.
    last: Moment,
    /// Whether an attempt failed and another is to take its place.
    due: bool,
    /// Whether a hedge was refused.
    closed: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Launch an attempt, or say that it was refused.
    Launch,
    /// Wait for an attempt to end, at most until then.
    Wait(Option<Moment>),
    /// None runs and none follows.
    Over,
}

/// How an attempt ended, as the race sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// Another one would get no other answer.
    Decided,
    /// It failed in a way that may pass.
    Passing,
    /// It was never sent.
    Unsent,
}

impl Race {
    /// A race that nobody runs in yet.
    pub(crate) fn new(max_attempts: u32, delay: Duration) -> Self {
        let last = Moment::ZERO;
        Self { max_attempts, delay, launched: 0, running: 0, last, due: true, closed: false }
    }

    /// What is to be done now.
    pub(crate) fn then(&self, now: Moment) -> Then {
        let more = self.launched < self.max_attempts && !self.closed;
        let next = self.last.after(self.delay);
        match self.running {
            _ if more && (self.due || (self.running > 0 && next <= now)) => Then::Launch,
            0 => Then::Over,
            _ => Then::Wait(more.then_some(next)),
        }
    }

    /// An attempt was launched.
    pub(crate) fn launched(&mut self, now: Moment) {
        self.launched += 1;
        self.running += 1;
        (self.last, self.due) = (now, false);
    }

    /// The attempt to be launched was refused.
    pub(crate) fn refused(&mut self) {
        (self.closed, self.due) = (true, false);
    }

    /// An attempt ended. Whether that decides the race.
    pub(crate) fn ended(&mut self, finish: Finish) -> bool {
        self.running = self.running.saturating_sub(1);
        self.due |= finish == Finish::Passing;
        finish == Finish::Decided
    }

    /// How many were launched.
    pub(crate) fn attempts(&self) -> u32 {
        self.launched
    }
}
