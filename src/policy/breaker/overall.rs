//! The circuits of several endpoints, seen as one: that of the source.

use std::time::Duration;

use crate::policy::breaker::CircuitState;
use crate::policy::breaker::View;

/// Closed if any is closed, else half open if any is, else open until the first recovers.
pub(crate) fn overall(views: impl Iterator<Item = View>) -> Option<View> {
    views.reduce(|one, other| {
        let last_success_ago = [one.last_success_ago, other.last_success_ago].into_iter().flatten().min();
        let last_failure_ago = [one.last_failure_ago, other.last_failure_ago].into_iter().flatten().min();
        let best = if rank(&other) < rank(&one) { other } else { one };
        View { last_success_ago, last_failure_ago, ..best }
    })
}

/// Lower is better; a circuit that is forced open without an end comes last, of equals the one that failed least.
fn rank(view: &View) -> (u8, Duration, u32) {
    let state = match view.state {
        CircuitState::Closed | CircuitState::ForcedClosed => 0,
        CircuitState::HalfOpen => 1,
        CircuitState::Open => 2,
        CircuitState::ForcedOpen => 3,
    };
    let wait = if state < 2 { Duration::ZERO } else { view.recovers_in.unwrap_or(Duration::MAX) };
    (state, wait, view.consecutive_failures)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn view(state: CircuitState, recovers_s: u64, success_s: u64) -> View {
        let seconds = |s: u64| (s > 0).then(|| Duration::from_secs(s));
        View {
            state,
            generation: 1,
            consecutive_failures: 0,
            opened_ago: None,
            recovers_in: seconds(recovers_s),
            last_success_ago: seconds(success_s),
            last_failure_ago: None,
            probes_in_flight: 0,
        }
    }

    #[test]
    fn a_source_is_as_well_as_its_best_endpoint_and_open_until_the_first_recovers() {
        use CircuitState::Closed;
        use CircuitState::ForcedOpen;
        use CircuitState::HalfOpen;
        use CircuitState::Open;
        let of = |views: &[View]| overall(views.iter().copied()).map(|view| (view.state, view.recovers_in));
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[view(Open, 9, 0), view(Closed, 0, 0), view(HalfOpen, 0, 0)]), Some((Closed, None)));
        assert_eq!(of(&[view(Open, 9, 0), view(HalfOpen, 0, 0)]), Some((HalfOpen, None)));
        assert_eq!(of(&[view(Open, 9, 0), view(Open, 4, 0), view(ForcedOpen, 1, 0)]), Some((Open, seconds(4))));
        assert_eq!(of(&[view(ForcedOpen, 0, 0), view(ForcedOpen, 60, 0)]), Some((ForcedOpen, seconds(60))));
        let successes = [view(Closed, 0, 30), view(Open, 9, 2)];
        assert_eq!(overall(successes.into_iter()).unwrap().last_success_ago, seconds(2), "whichever it was at");
    }
}
