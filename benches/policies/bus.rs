//! Telling what happens: to nobody, and to one listener.

use std::time::Duration;

use criterion::Criterion;

use crate::base::Clock;
use crate::base::Name;
use crate::meter::shared;
use crate::policy::events::EVENT_DEFAULTS;
use crate::policy::events::EventType;
use crate::policy::events::TypeSet;
use crate::record::Event;
use crate::record::Events;

/// High volume: made only while somebody wants it.
const RETRY: Event<'_> = Event::RetryAttempt { n: 1, delay: Duration::from_millis(100), outcome: "server_error" };
/// A change of state: kept whether somebody listens or not.
const CHANGE: Event<'_> = Event::StoreDegraded { store: "redis", reason: "unreachable" };

pub(crate) fn all(criterion: &mut Criterion) {
    let source = Name::parse("weather").unwrap();
    let alone = Events::new(Clock::start());
    shared(criterion, "events: nobody listens", |_| (), |()| alone.of_source(&source, RETRY));
    shared(criterion, "events: a change of state", |_| (), |()| alone.of_source(&source, CHANGE));

    let heard = Events::new(Clock::start());
    let thinned = heard.subscribe(TypeSet::all(), None).unwrap();
    shared(criterion, "events: one listener, one a second", |_| (), |()| heard.of_source(&source, RETRY));
    drop(thinned);

    let mut every = EVENT_DEFAULTS;
    every.sample.set(EventType::RetryAttempt, 1.0);
    heard.apply(every);
    // It reads nothing: its queue is full, and loses the oldest each time.
    let _all = heard.subscribe(TypeSet::all(), None).unwrap();
    shared(criterion, "events: one listener, every one", |_| (), |()| heard.of_source(&source, RETRY));
}
