//! The bus, told the time by a clock of tokio's.

use std::sync::Barrier;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;

use super::*;
use crate::base::Clock;
use crate::base::Name;
use crate::base::Tasks;
use crate::policy::breaker::Change;
use crate::policy::breaker::CircuitState;
use crate::policy::breaker::Reason;
use crate::policy::events::EVENT_DEFAULTS;
use crate::policy::events::EventSettings;
use crate::policy::events::EventType;
use crate::policy::events::TypeSet;

fn bus() -> Events {
    Events::new(Clock::start())
}

fn types(text: &str) -> TypeSet {
    TypeSet::parse(text).unwrap()
}

fn degraded(events: &Events, store: &str) {
    events.publish(Event::StoreDegraded { store, reason: "away" });
}

fn retried(events: &Events, source: &str) {
    let event = Event::RetryAttempt { n: 1, delay: Duration::from_millis(20), outcome: "timeout" };
    events.of_source(&Name::parse(source).unwrap(), event);
}

/// All that waits for a listener, in words.
fn read(subscription: &mut Subscription) -> Vec<String> {
    let mut read = Vec::new();
    while let Some(Some(item)) = subscription.next().now_or_never() {
        read.push(match item {
            Item::Told(told) => match told.details.get("store") {
                Some(store) => store.as_str().unwrap().to_owned(),
                None => told.kind.as_str().to_owned(),
            },
            Item::Lagged(missed) => format!("lagged {missed}"),
            Item::Reset(reset) => format!("{reset:?}"),
        });
    }
    read
}

fn last_id(events: &Events) -> String {
    let mut all = events.subscribe(TypeSet::all(), Some("?")).unwrap();
    let mut last = String::new();
    while let Some(Some(item)) = all.next().now_or_never() {
        if let Item::Told(told) = item {
            last = told.id.to_string();
        }
    }
    last
}

/// Events that each call may cause, with what they say.
fn of_calls() -> Vec<(Event<'static>, &'static str)> {
    let ms = Duration::from_micros(1_500);
    vec![
        (Event::RetryAttempt { n: 1, delay: ms, outcome: "x" }, r#"{"n":1,"delay_ms":1.5,"outcome":"x"}"#),
        (Event::RetrySuccess { attempts: 2 }, r#"{"attempts":2}"#),
        (Event::RetryExhausted { attempts: 3, reason: "x" }, r#"{"attempts":3,"reason":"x"}"#),
        (Event::HedgeLaunched { n: 1, after: ms }, r#"{"n":1,"after_ms":1.5}"#),
        (Event::HedgeWon { n: 1, took: ms }, r#"{"n":1,"took_ms":1.5}"#),
        (Event::HedgeSuppressed { reason: "x" }, r#"{"reason":"x"}"#),
        (
            Event::TimeoutExceeded { stage: "attempt", timeout: ms, by_client: true },
            r#"{"stage":"attempt","timeout_ms":1.5,"by_client":true}"#,
        ),
        (Event::BulkheadRejected { limiter: "global", reason: "x" }, r#"{"limiter":"global","reason":"x"}"#),
        (Event::RateLimitExceeded { limiter: "l", wait: ms }, r#"{"limiter":"l","wait_ms":1.5}"#),
        (Event::AdaptiveLimitChanged { from: 9, to: 8, reason: "x" }, r#"{"from":9,"to":8,"reason":"x"}"#),
        (Event::FallbackUsed { via: "stale", kind: "x" }, r#"{"via":"stale","kind":"x"}"#),
        (
            Event::WebhookDelivered { target: "t", event: "e", attempts: 1 },
            r#"{"target":"t","event":"e","attempts":1}"#,
        ),
    ]
}

/// State changes, with what they say.
fn of_states() -> Vec<(Event<'static>, &'static str)> {
    let ms = Duration::from_micros(1_500);
    let cause = InvalidationCause::Order;
    vec![
        (Event::RateLimitPaused { limiter: "l", pause: ms }, r#"{"limiter":"l","pause_ms":1.5}"#),
        (Event::ShedLevelChanged { from: "a", to: "b", reason: "x" }, r#"{"from":"a","to":"b","reason":"x"}"#),
        (Event::BackpressureHigh { queue: "audit", pending: 8 }, r#"{"queue":"audit","pending":8}"#),
        (Event::BackpressureLow { queue: "audit", pending: 2 }, r#"{"queue":"audit","pending":2}"#),
        (
            Event::CacheInvalidated { scope: "tag", of: Some("t"), entries: 3, generation: 4, cause },
            r#"{"scope":"tag","of":"t","entries":3,"cause":"order"}"#,
        ),
        (Event::CacheStoreDegraded { reason: "x" }, r#"{"reason":"x"}"#),
        (
            Event::ConfigReloaded { result: "applied", generation: 4, digest: "d", changes: &[], findings: 0 },
            r#"{"result":"applied","digest":"d","changed":0,"changes":[],"findings":0}"#,
        ),
        (Event::ConfigRejected { generation: 4, findings: 2 }, r#"{"findings":2}"#),
        (
            Event::WebhookFailed { target: "t", event: "e", attempts: 1, reason: "x" },
            r#"{"target":"t","event":"e","attempts":1,"reason":"x"}"#,
        ),
        (Event::WebhookDisabled { target: "t", reason: "x" }, r#"{"target":"t","reason":"x"}"#),
        (Event::StoreDegraded { store: "redis", reason: "x" }, r#"{"store":"redis","reason":"x"}"#),
        (Event::StoreRecovered { store: "redis", away: ms }, r#"{"store":"redis","away_ms":1.5}"#),
    ]
}

#[test]
fn every_type_tells_what_is_particular_to_it() {
    let mut seen = TypeSet::default();
    for (kept, cases) in [(false, of_calls()), (true, of_states())] {
        for (event, details) in cases {
            assert_eq!(Value::Object(event.details()).to_string(), details);
            assert_eq!(event.kind().is_kept(), kept, "{event:?}");
            seen = seen.and([event.kind()].into_iter().collect());
        }
    }
    let rest: TypeSet = EventType::ALL.into_iter().filter(|kind| !seen.has(*kind)).collect();
    assert_eq!(rest, types("circuit.*"), "and those are told below");
}

#[test]
fn a_change_is_told_with_its_generation_and_a_long_list_is_cut() {
    let (from, to, reason) = (CircuitState::Closed, CircuitState::Open, Reason::FailureRate);
    let open_for = Some(Duration::from_secs(30));
    let change = Change { from, to, generation: 4, reason, consecutive_failures: 5, open_for };
    let said = |change| Value::Object(Event::Circuit(change).details()).to_string();
    let opened =
        r#"{"from":"closed","to":"open","reason":"failure_rate","consecutive_failures":5,"open_for_ms":30000.0}"#;
    assert_eq!(said(change), opened);
    assert!(!said(Change { open_for: None, ..change }).contains("open_for"));
    assert_eq!(Event::Circuit(change).generation(), Some(4));
    let changes = vec!["source `a` changed".to_owned(); 60];
    let many = Event::ConfigReloaded { result: "applied", generation: 7, digest: "d", changes: &changes, findings: 0 };
    let details = many.details();
    assert_eq!((details["changed"].as_u64(), details["changes"].as_array().map(Vec::len)), (Some(60), Some(50)));
    let long = "ä".repeat(1_000_000);
    let cause = InvalidationCause::Order;
    let event = Event::CacheInvalidated { scope: "prefix", of: Some(&long), entries: 0, generation: 9, cause };
    assert_eq!(event.details()["of"].as_str().map(|of| of.chars().count()), Some(200));
    assert_eq!([many.generation(), event.generation()], [Some(7), Some(9)]);
}

#[tokio::test]
async fn an_event_says_where_when_and_in_which_place_it_stands() {
    let events = bus();
    let mut all = events.subscribe(TypeSet::all(), None).unwrap();
    let name = Name::parse("news").unwrap();
    events.of_endpoint(&name, "https://news.example:443", Event::FallbackUsed { via: "value", kind: "timeout" });
    events.publish(Event::ConfigRejected { generation: 7, findings: 1 });
    let mut told = Vec::new();
    while let Some(Some(Item::Told(one))) = all.next().now_or_never() {
        told.push(serde_json::from_str::<Value>(one.json()).unwrap());
    }
    let [first, second] = &told[..] else { panic!("{told:?}") };
    let keys: Vec<_> = first.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["id", "type", "time", "instance", "seq", "source", "endpoint", "data"]);
    assert_eq!((&first["source"], &first["endpoint"]), (&"news".into(), &"https://news.example:443".into()));
    assert_eq!(
        (&second["type"], &second["generation"], &second["seq"]),
        (&"config.rejected".into(), &7.into(), &2.into())
    );
    assert!(first["id"].as_str() < second["id"].as_str() && first["time"].as_str().unwrap().ends_with('Z'), "{told:?}");
    assert_eq!(first["instance"].as_str(), Some(&*events.instance()));
}

#[tokio::test]
async fn what_nobody_wants_is_counted_and_not_made() {
    let events = bus();
    let _circuits = events.subscribe(types("circuit.*"), None).unwrap();
    for _ in 0..1000 {
        retried(&events, "a");
    }
    let counts = events.counts();
    assert_eq!((counts.happened, counts.sampled, counts.kept), (vec![("retry.attempt", 1000)], 0, 0));
    degraded(&events, "redis");
    let mut late = events.subscribe(TypeSet::all(), Some("?")).unwrap();
    assert_eq!(read(&mut late), ["OtherInstance", "redis"], "the first number went to the first that was made");
    assert_eq!(events.counts().kept, 1);
}

#[tokio::test]
async fn a_listener_gets_its_types_thinned_and_in_order() {
    let events = bus();
    let mut all = events.subscribe(TypeSet::all(), None).unwrap();
    let mut stores = events.subscribe(types("store.*"), None).unwrap();
    retried(&events, "a");
    degraded(&events, "1");
    retried(&events, "a");
    retried(&events, "b");
    degraded(&events, "2");
    assert_eq!(read(&mut all), ["retry.attempt", "1", "retry.attempt", "2"]);
    assert_eq!(read(&mut stores), ["1", "2"]);
    assert_eq!(events.counts().sampled, 1);
    let mut set = EVENT_DEFAULTS;
    set.sample.set(EventType::RetryAttempt, 1.0);
    events.apply(set);
    for _ in 0..3 {
        retried(&events, "a");
    }
    assert_eq!(read(&mut all).len(), 3, "a share of 1 tells all");
}

#[tokio::test]
async fn evt_03_a_listener_that_sleeps_loses_its_oldest_events_and_is_told_how_many() {
    let events = bus();
    events.apply(EventSettings { buffer: 4, ..EVENT_DEFAULTS });
    let mut slow = events.subscribe(types("store.*"), None).unwrap();
    let mut other = events.subscribe(types("config.*"), None).unwrap();
    for n in 0..10 {
        degraded(&events, &n.to_string());
    }
    assert_eq!(read(&mut slow), ["lagged 6", "6", "7", "8", "9"]);
    assert!(read(&mut other).is_empty(), "others' events fill no queue");
    degraded(&events, "10");
    assert_eq!(read(&mut slow), ["10"], "told once");
    assert_eq!((events.counts().lagged, events.counts().kept), (6, 4));
}

#[tokio::test]
async fn evt_03_a_listener_that_panics_gives_back_its_place_and_hurts_nobody() {
    let events = bus();
    let mut other = events.subscribe(TypeSet::all(), None).unwrap();
    let mut broken = events.subscribe(TypeSet::all(), None).unwrap();
    let task = Tasks::default().spawn(async move {
        drop(broken.next().await);
        panic!("on purpose");
    });
    degraded(&events, "1");
    assert!(task.await.unwrap_err().is_panic());
    degraded(&events, "2");
    assert_eq!(read(&mut other), ["1", "2"]);
    assert_eq!(events.counts().subscribers, 1);
    drop(other);
    retried(&events, "a");
    assert_eq!((events.counts().subscribers, events.counts().sampled), (0, 0));
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_was() {
    let events = bus();
    events.apply(EventSettings { buffer: 4, ..EVENT_DEFAULTS });
    degraded(&events, "1");
    let first = last_id(&events);
    let since = |id: &str, kinds: &str| read(&mut events.subscribe(types(kinds), Some(id)).unwrap());
    assert!(since(&first, "*").is_empty());
    let mut live = events.subscribe(TypeSet::all(), Some(&first)).unwrap();
    retried(&events, "a");
    degraded(&events, "2");
    events.publish(Event::ConfigRejected { generation: 1, findings: 1 });
    assert_eq!(since(&first, "*"), ["2", "config.rejected"], "of high volume nothing is kept");
    assert_eq!(since(&first, "store.*"), ["2"]);
    assert_eq!(read(&mut live), ["retry.attempt", "2", "config.rejected"], "nothing twice");
    for n in 3..=5 {
        degraded(&events, &n.to_string());
    }
    assert_eq!(since(&first, "store.*"), ["Gone(1)", "3", "4", "5"], "four of five are kept");
    degraded(&events, "6");
    assert_eq!(since(&first, "store.*"), ["Gone(2)", "3", "4", "5", "6"]);
    assert_eq!(since(&last_id(&events), "*"), [""; 0]);
}

#[tokio::test]
async fn who_was_with_another_instance_is_told_so() {
    let (events, other) = (bus(), bus());
    degraded(&events, "1");
    degraded(&other, "x");
    let foreign = last_id(&other);
    let since = |id: &str| read(&mut events.subscribe(TypeSet::all(), Some(id)).unwrap());
    let read = since(&foreign);
    assert_eq!(read[0], "OtherInstance", "{read:?}");
    assert_eq!(since("nonsense"), ["OtherInstance", "1"]);
    let earlier = id::EventId { millis: 1, ..id::EventId::parse(&foreign).unwrap() };
    assert_eq!(since(&earlier.to_string()), ["OtherInstance", "1"], "it goes by the time");
    let later = id::EventId { millis: 1 << 47, ..id::EventId::parse(&last_id(&events)).unwrap() };
    assert_eq!(since(&later.to_string()), ["OtherInstance"], "an id that this instance never gave");
}

#[tokio::test(start_paused = true)]
async fn listeners_have_a_bound_and_who_is_stuck_makes_room() {
    let events = bus();
    events.apply(EventSettings { max_subscribers: 2, ..EVENT_DEFAULTS });
    let mut stuck = events.subscribe(TypeSet::all(), None).unwrap();
    let mut good = events.subscribe(TypeSet::all(), None).unwrap();
    degraded(&events, "1");
    assert_eq!(events.subscribe(TypeSet::all(), None).unwrap_err().bound, 2);
    assert_eq!(read(&mut good), ["1"]);
    tokio::time::advance(Duration::from_secs(30)).await;
    let _third = events.subscribe(TypeSet::all(), None).unwrap();
    assert!(stuck.next().await.is_none(), "it is over");
    degraded(&events, "2");
    assert_eq!(read(&mut good), ["2"]);
    tokio::time::advance(Duration::from_secs(60)).await;
    let _fourth = events.subscribe(TypeSet::all(), None).unwrap();
    assert!(events.subscribe(TypeSet::all(), None).is_err(), "nobody is stuck any more");
    let counts = events.counts();
    assert_eq!((counts.cut_off, counts.refused, counts.subscribers), (2, 2, 2));
}

#[tokio::test]
async fn a_closed_bus_lets_listeners_read_to_the_end() {
    let events = bus();
    let mut waiting = events.subscribe(TypeSet::all(), None).unwrap();
    let task = Tasks::default().spawn(async move { waiting.next().await.is_none() });
    tokio::task::yield_now().await;
    let mut reading = events.subscribe(TypeSet::all(), None).unwrap();
    events.close();
    assert!(task.await.unwrap(), "it was woken");
    degraded(&events, "1");
    assert!(matches!(reading.next().await, Some(Item::Told(_))));
    assert!(reading.next().await.is_none());
}

#[test]
fn numbers_rise_whoever_publishes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let events = bus();
    let mut all = events.subscribe(TypeSet::all(), None).unwrap();
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (events, start) = (&events, &start);
            scope.spawn(move || {
                start.wait();
                for n in 0..200 {
                    degraded(events, &format!("{thread}-{n}"));
                }
            });
        }
    });
    let mut last = None;
    let mut count = 0;
    while let Some(Some(Item::Told(told))) = all.next().now_or_never() {
        assert!(last < Some((told.seq, told.id)), "{last:?} {told:?}");
        last = Some((told.seq, told.id));
        count += 1;
    }
    assert_eq!(count, 800);
}
