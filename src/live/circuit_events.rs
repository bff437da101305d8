//! What circuits publish: the vectors about events, on real threads.

use std::sync::Arc;
use std::sync::Barrier;
use std::time::Duration;

use futures_util::FutureExt;

use crate::base::Clock;
use crate::base::Moment;
use crate::base::Name;
use crate::live::circuit::Circuit;
use crate::policy::breaker::BREAKER_DEFAULTS;
use crate::policy::breaker::BreakerSettings;
use crate::policy::outcome::Kind;
use crate::policy::outcome::Outcome;
use crate::record::EventItem;
use crate::record::EventTypes;
use crate::record::Events;
use crate::record::Subscription;

const SET: BreakerSettings = BreakerSettings { failure_threshold: 1, ..BREAKER_DEFAULTS };
const SECOND: Duration = Duration::from_secs(1);

/// Type, generation and number of one event.
type Seen = (&'static str, u64, u64);

fn circuit() -> (Arc<Circuit>, Subscription) {
    let events = Events::new(Clock::start());
    let subscription = events.subscribe(EventTypes::all(), None).unwrap();
    let name = Name::parse("news").unwrap();
    (Arc::new(Circuit::new(&SET).telling(&events, &name, "http://news.example:80")), subscription)
}

fn seen(subscription: &mut Subscription) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some(Some(EventItem::Told(told))) = subscription.next().now_or_never() {
        assert_eq!(told.source.as_ref().map(Name::as_str), Some("news"));
        assert_eq!(told.endpoint.as_deref(), Some("http://news.example:80"));
        seen.push((told.kind.as_str(), told.generation.unwrap(), told.seq));
    }
    seen
}

fn outcome(kind: Kind) -> Outcome {
    Outcome { kind, evidence: kind.evidence(), retry_after: None }
}

fn at(s: u64) -> Moment {
    Moment::from_start(Duration::from_secs(s))
}

#[tokio::test]
async fn evt_01_and_02_a_trip_is_told_once_and_late_failures_are_not() {
    let (circuit, mut subscription) = circuit();
    let permits: Vec<_> = (0..51).map(|_| circuit.admit(&SET, at(0), SECOND).permit.unwrap()).collect();
    for permit in permits {
        _ = permit.record(&SET, &outcome(Kind::ServerError), SECOND, at(1));
    }
    assert_eq!(seen(&mut subscription), [("circuit.opened", 1, 1)]);
    assert_eq!(circuit.counts().late_results, 50);
}

#[tokio::test]
async fn everything_that_changes_a_circuit_is_told() {
    let (circuit, mut subscription) = circuit();
    let permit = |s| circuit.admit(&SET, at(s), SECOND).permit.unwrap();
    _ = permit(0).record(&SET, &outcome(Kind::ServerError), SECOND, at(0));
    _ = permit(30).record(&SET, &outcome(Kind::Success), SECOND, at(30));
    circuit.force_open(None, at(40));
    circuit.force_close();
    circuit.reset(&SET);
    let off = BreakerSettings { enabled: false, ..SET };
    assert!(circuit.apply(&SET, &off).is_some() && circuit.apply(&off, &SET).is_some());
    let kinds: Vec<_> = seen(&mut subscription).into_iter().map(|(kind, generation, _)| (kind, generation)).collect();
    assert_eq!(
        kinds,
        [
            ("circuit.opened", 1),
            ("circuit.half_opened", 2),
            ("circuit.closed", 3),
            ("circuit.forced_open", 4),
            ("circuit.forced_closed", 5),
            ("circuit.reset", 6),
            ("circuit.forced_closed", 7),
            ("circuit.closed", 8),
        ]
    );
}

#[test]
fn con_13_events_stand_in_the_order_of_changes_whoever_makes_them() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let (circuit, mut subscription) = circuit();
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (circuit, start) = (&circuit, &start);
            scope.spawn(move || {
                start.wait();
                for n in 0..50 {
                    _ = match (thread + n) % 3 {
                        0 => circuit.force_open(None, at(n)),
                        1 => circuit.force_close(),
                        _ => circuit.reset(&SET),
                    };
                }
            });
        }
    });
    let seen = seen(&mut subscription);
    assert_eq!(seen.len(), 200);
    for (n, (_, generation, seq)) in (1..).zip(seen) {
        assert_eq!((generation, seq), (n, n));
    }
}
