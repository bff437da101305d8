//! Taking from several limits at once: all are asked first, and only if the request fits into each is anything taken.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::Moment;
use crate::live::quota::LiveQuota;
use crate::live::quota::state::Held;
use crate::policy::quota::Standing;

/// What a request would take from one limit.
#[derive(Clone, Copy)]
pub(crate) struct Charge<'a> {
    pub(crate) quota: &'a Arc<LiveQuota>,
    pub(crate) key: u128,
    pub(crate) cost: u32,
}

/// How the request stands with each limit, in their order; after it has taken, where it fits.
pub(crate) type Standings = SmallVec<[Standing; 4]>;

/// Lets a request in, or not. The charges are of different limits, in the order of the configuration.
pub(crate) fn admit(charges: &[Charge<'_>], now: Moment) -> (Standings, Option<Receipt>) {
    let mut held: SmallVec<[Held<'_>; 4]> = SmallVec::new();
    let mut standings = Standings::new();
    let mut fits = true;
    for charge in charges {
        let set = &charge.quota.set;
        let hold = charge.quota.state.hold(charge.key, set.max_keys, now);
        let cell = hold.cell();
        let short = cell.check(&set.rule, charge.cost, now).err();
        if let Some(short) = short {
            charge.quota.state.refused(short);
            fits = false;
        }
        standings.push(cell.standing(&set.rule, short, now));
        held.push(hold);
    }
    if !fits {
        return (standings, None);
    }
    let mut receipt = Receipt::default();
    standings.clear();
    for (charge, hold) in charges.iter().zip(held) {
        let set = &charge.quota.set;
        let (cell, key) = hold.take(set, charge.cost, now);
        standings.push(cell.standing(&set.rule, None, now));
        let in_flight = set.rule.max_in_flight.is_some();
        receipt.taken.push(Taken { quota: Arc::clone(charge.quota), key, cost: charge.cost, in_flight });
    }
    (standings, Some(receipt))
}

/// What a request has taken from its limits. Dropped, it is in flight no more.
#[derive(Default)]
#[must_use]
pub(crate) struct Receipt {
    taken: SmallVec<[Taken; 2]>,
}

struct Taken {
    quota: Arc<LiveQuota>,
    /// `None`: from the cell that keys without room share.
    key: Option<u128>,
    cost: u32,
    /// Whether it is counted among the requests in flight.
    in_flight: bool,
}

impl Receipt {
    /// Gives everything back: a later layer has refused the request.
    #[allow(dead_code, reason = "its caller comes with the layer that sheds load")]
    pub(crate) fn refund(self) {
        for taken in &self.taken {
            taken.quota.state.refund(taken.key, &taken.quota.set.rule, taken.cost);
        }
    }

    /// What must be kept until the answer is written; `None`: nothing.
    pub(crate) fn in_flight(mut self) -> Option<Box<Self>> {
        self.taken.retain(|taken| taken.in_flight);
        (!self.taken.is_empty()).then(|| Box::new(self))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.in_flight {
            self.quota.state.leave(self.key);
        }
    }
}

#[cfg(test)]
mod tests;
