//! The attempts of one flight: one at the only place there is, or as many as the source's terms allow, one after the
//! other or beside each other.

mod hedge;
mod key;
mod retry;
mod told;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::live::FlightResult;
use crate::request::admission::Entered;
use crate::request::attempt;
use crate::request::attempt::Attempt;
use crate::request::flight::Flight;

/// Does the work of a flight. Cancelling is safe at every await: whatever is held is given back, neutrally.
pub(crate) async fn fly(mut flight: Flight, shield: &AtomicBool) -> FlightResult {
    let (raw, entered) = (flight.raw.take(), flight.entered.take());
    flight.wants_raw = raw.is_some();
    flight.call_key = key::key(&flight);
    let plan = &flight.source.plan;
    let ended = if plan.strategy.hedge().is_some() {
        // Boxed, as what few sources need; so is the next.
        Box::pin(hedged(flight, entered, shield)).await
    } else if plan.terms.is_plain() || (flight.once && plan.terms.endpoints == 1) {
        let entered = entered.map(|(_, entered)| entered);
        let attempt = Attempt { place: 0, number: 1, longest: plan.attempt_timeout, entered };
        attempt::make(&flight, attempt, shield).await
    } else {
        Box::pin(retry::run(&flight, entered, shield)).await
    };
    if let (Some(to), Some(answer)) = (raw, ended.raw) {
        // The caller may have left; then nobody wants it.
        drop(to.send(*answer));
    }
    ended.result
}

/// The attempts of a race are tasks, which need the flight for themselves.
async fn hedged(flight: Flight, entered: Option<(usize, Entered)>, shield: &AtomicBool) -> attempt::Ended {
    let (plan, flight) = (Arc::clone(&flight.source.plan), Arc::new(flight));
    match plan.strategy.hedge() {
        Some(set) => hedge::run(flight, set, entered, shield).await,
        None => retry::run(&flight, entered, shield).await,
    }
}
