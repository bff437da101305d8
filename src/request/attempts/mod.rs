//! The attempts of one flight: one, or as many as the source's terms allow.

mod key;
mod retry;

use std::sync::atomic::AtomicBool;

use crate::live::FlightResult;
use crate::plan::CallPlan;
use crate::policy::outcome::Kind;
use crate::request::attempt;
use crate::request::attempt::Attempt;
use crate::request::error::failure;
use crate::request::flight::Flight;

/// Does the work of a flight. Cancelling is safe at every await: whatever is held is given back, neutrally.
pub(crate) async fn fly(mut flight: Flight, shield: &AtomicBool) -> FlightResult {
    let (raw, entered) = (flight.raw.take(), flight.entered.take());
    flight.wants_raw = raw.is_some();
    flight.call_key = key::key(&flight);
    let plan = &flight.source.plan;
    let CallPlan::Http(http) = &plan.call else {
        return Err(failure(Kind::InternalError, "constant data is never called"));
    };
    let ended = if flight.may_repeat() {
        // Boxed, as what few sources need.
        Box::pin(retry::run(&flight, http, entered, shield)).await
    } else {
        let attempt = Attempt { number: 1, longest: plan.attempt_timeout, entered };
        attempt::make(&flight, http, attempt, shield).await
    };
    if let (Some(to), Some(answer)) = (raw, ended.raw) {
        // The caller may have left; then nobody wants it.
        drop(to.send(*answer));
    }
    ended.result
}
