//! Tokens of one source, as calls take them: at once, or reserved in advance.
//!
//! | event | what happens |
//! |---|---|
//! | reserve | a grant with the moment from which it holds; or, at once, why there is none. Nobody waits in vain |
//! | start | its moment has come. Not yet, if the upstream asked for a pause meanwhile: then it is to be reserved anew |
//! | spend | the call is sent |
//! | refund | it will not be sent: the tokens come back, as far as nobody was granted what follows from their loss |
//! | pause | the upstream said when to come back: until then no grant holds |
//! | retune | another rate or burst; what is there stays there, nothing is refilled |
//!
//! Reservations are served in order, each knowing its moment, so there is no herd that wakes to look.
//!
//! **What a refund gives back.** Over any time, no more than the burst and what the rate adds may be sent. A grant that
//! is taken out moves all that were granted after it forward in the schedule, each by as much as it was delayed at most:
//! one that found the bucket full was delayed by nobody, and after it nothing can come back. So the least delay among
//! the later grants bounds the refund, and that is what is remembered of them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::Moment;
use crate::policy::gcra::Bucket;
use crate::policy::gcra::Quota;
use crate::policy::gcra::Short;

/// The memory of one limit.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    quota: Quota,
    bucket: Bucket,
    paused_until: Moment,
    /// Grants that wait for their moment.
    queued: u32,
    next: u64,
    /// Grants neither spent nor refunded, in order.
    open: VecDeque<Open>,
    counts: RateCounts,
}

/// A grant under way.
#[derive(Debug)]
struct Open {
    number: u64,
    /// Its own delay.
    delay: Duration,
    /// The least delay among the spent grants between this one and the next.
    after: Duration,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// Tokens. At least 1.
    pub(crate) cost: u32,
    /// The longest wait; zero: now or never.
    pub(crate) max_wait: Duration,
    /// What is left of the call's own time.
    pub(crate) left: Duration,
    /// So many may wait.
    pub(crate) max_queue: u32,
}

/// Tokens for one call. It owes a `spend` or a `refund`.
#[must_use]
#[derive(Debug)]
pub(crate) struct Grant {
    number: u64,
    /// What it holds, as the time in which that comes.
    span: Duration,
    /// From when on it holds.
    pub(crate) ready_at: Moment,
    queued: bool,
}

/// Why there are no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateRefusal {
    pub(crate) reason: RateReason,
    /// When they would be there; zero where no wait would help.
    pub(crate) wait: Duration,
}

/// The reason, as labels and messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RateReason {
    /// There is none, and the call waits for none.
    NoToken,
    /// It would wait for longer than calls may.
    MaxWait,
    /// As many wait as may.
    QueueFull,
    /// Its own time is over before.
    Deadline,
    /// The upstream asked for a pause.
    Paused,
    /// More than there ever are.
    CostExceedsBurst,
}

/// Refusals since it was made, in the order of [`RateReason::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RateCounts([u64; 6]);

impl RateReason {
    /// Every reason.
    pub(crate) const ALL: [Self; 6] =
        [Self::NoToken, Self::MaxWait, Self::QueueFull, Self::Deadline, Self::Paused, Self::CostExceedsBurst];

    /// The name in labels.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::MaxWait => "max_wait",
            Self::QueueFull => "queue_full",
            Self::Deadline => "deadline",
            Self::Paused => "paused",
            Self::CostExceedsBurst => "cost_exceeds_burst",
        }
    }
}

impl RateCounts {
    /// Each reason with its count.
    pub(crate) fn all(self) -> impl Iterator<Item = (RateReason, u64)> {
        RateReason::ALL.into_iter().zip(self.0)
    }

    fn add(&mut self, reason: RateReason) {
        for (known, count) in RateReason::ALL.into_iter().zip(&mut self.0) {
            *count += u64::from(known == reason);
        }
    }
}

impl RateLimiter {
    /// A limit that nobody used yet: the bucket is full.
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            quota,
            bucket: Bucket::default(),
            paused_until: Moment::ZERO,
            queued: 0,
            next: 0,
            open: VecDeque::new(),
            counts: RateCounts::default(),
        }
    }

    /// Takes tokens, now or in advance. A refusal changes nothing but its count.
    pub(crate) fn reserve(&mut self, demand: Demand, now: Moment) -> Result<Grant, RateRefusal> {
        let granted = self.granted(demand, now);
        if let Err(refusal) = &granted {
            self.counts.add(refusal.reason);
        }
        granted
    }

    fn granted(&mut self, demand: Demand, now: Moment) -> Result<Grant, RateRefusal> {
        // A pause delays everything: the schedule goes on where it ends.
        let from = now.max(self.paused_until);
        let wait = match self.bucket.wait(&self.quota, demand.cost, from) {
            Ok(wait) | Err(Short::Wait(wait)) => wait,
            Err(Short::CostExceedsBurst) => {
                return Err(RateRefusal { reason: RateReason::CostExceedsBurst, wait: Duration::ZERO });
            }
        };
        let whole = from.since(now).saturating_add(wait);
        let refuse = |reason| Err(RateRefusal { reason, wait: whole });
        let longest = demand.max_wait.min(demand.left);
        if whole > longest {
            return refuse(match () {
                () if from.since(now) > longest => RateReason::Paused,
                () if demand.max_wait.is_zero() => RateReason::NoToken,
                () if demand.left < demand.max_wait => RateReason::Deadline,
                () => RateReason::MaxWait,
            });
        }
        let queued = !whole.is_zero();
        if queued && self.queued >= demand.max_queue {
            return refuse(RateReason::QueueFull);
        }
        let span = self.quota.time_for(demand.cost);
        let delay = if wait.is_zero() { self.bucket.missing(from) } else { self.quota.window().saturating_sub(span) };
        let number = self.next;
        self.next += 1;
        self.open.push_back(Open { number, delay, after: Duration::MAX });
        self.queued += u32::from(queued);
        // It was found to be there soon enough.
        self.bucket.reserve(&self.quota, demand.cost, Duration::MAX, from).ok();
        Ok(Grant { number, span, ready_at: now.after(whole), queued })
    }

    /// The grant's moment has come. `false`: it does not hold yet, the upstream asked for a pause meanwhile.
    pub(crate) fn start(&mut self, grant: &mut Grant, now: Moment) -> bool {
        let holds = self.paused_until <= now;
        if holds {
            self.leave_queue(grant);
        }
        holds
    }

    /// The call is sent.
    pub(crate) fn spend(&mut self, mut grant: Grant) {
        self.leave_queue(&mut grant);
        let Some((place, spent)) = self.close(&grant) else { return };
        self.note(place, spent.delay.min(spent.after));
    }

    /// The call will not be sent.
    pub(crate) fn refund(&mut self, mut grant: Grant) {
        self.leave_queue(&mut grant);
        let Some((place, gone)) = self.close(&grant) else { return };
        self.note(place, gone.after);
        let later = self.open.range(place..).map(|open| open.delay.min(open.after));
        let back = later.min().unwrap_or(Duration::MAX).min(gone.after).min(grant.span);
        self.bucket.advance(back);
        // Those that were granted later stand so much earlier in the schedule now.
        let from = place.saturating_sub(1);
        for (index, open) in self.open.range_mut(from..).enumerate() {
            if from + index >= place {
                open.delay = open.delay.saturating_sub(back);
            }
            if open.after < Duration::MAX {
                open.after = open.after.saturating_sub(back);
            }
        }
    }

    /// Holds up every grant until then; a pause under way is never shortened. Whether a pause begins.
    pub(crate) fn pause(&mut self, until: Moment, now: Moment) -> bool {
        let begins = self.paused_until <= now && until > now;
        self.paused_until = self.paused_until.max(until);
        begins
    }

    /// Another rate or burst. What is there stays there, up to the new burst.
    pub(crate) fn retune(&mut self, quota: Quota, now: Moment) {
        if self.quota == quota {
            return;
        }
        self.bucket.retune(&self.quota, &quota, now);
        self.quota = quota;
        for open in &mut self.open {
            // What was granted in the old measure is not given back in the new one.
            (open.delay, open.after) = (Duration::ZERO, Duration::ZERO);
        }
    }

    /// Tokens that are there now; none in a pause.
    pub(crate) fn tokens(&self, now: Moment) -> u32 {
        if self.paused_until > now { 0 } else { self.bucket.tokens(&self.quota, now) }
    }

    /// The most that there are.
    pub(crate) fn burst(&self) -> u32 {
        self.quota.burst().get()
    }

    /// How many wait for their moment.
    pub(crate) fn queued(&self) -> u32 {
        self.queued
    }

    /// How much longer the upstream is left alone.
    pub(crate) fn paused_for(&self, now: Moment) -> Duration {
        self.paused_until.since(now)
    }

    /// What it refused so far.
    pub(crate) fn counts(&self) -> RateCounts {
        self.counts
    }

    fn leave_queue(&mut self, grant: &mut Grant) {
        if std::mem::take(&mut grant.queued) {
            self.queued = self.queued.saturating_sub(1);
        }
    }

    /// Forgets a grant; where it stood, and what is known of those after it.
    fn close(&mut self, grant: &Grant) -> Option<(usize, Open)> {
        let place = self.open.binary_search_by_key(&grant.number, |open| open.number).ok()?;
        self.open.remove(place).map(|open| (place, open))
    }

    /// Keeps the delay of grants that are closed with the open one before them.
    fn note(&mut self, place: usize, delay: Duration) {
        if let Some(before) = place.checked_sub(1).and_then(|before| self.open.get_mut(before)) {
            before.after = before.after.min(delay);
        }
    }
}
