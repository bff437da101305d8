//! Defects that resilience code in the field has, numbered, each with the tests that fail on the old behaviour. That
//! they exist is itself a test, so the list can't rot. What no other file tests is tested here.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::eventually;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(10);

/// One defect and what holds against it: files, with a test's name or a vector's id in them.
struct Row(u8, &'static str, &'static [(&'static str, &'static str)]);

const CIRCUIT: &str = "src/live/circuit.rs";
const BREAKER: &str = "src/policy/vectors/breaker.md";
const AGGREGATE: &str = "tests/it/aggregate.rs";
const CACHING: &str = "tests/it/caching.rs";
const RETRIES: &str = "tests/it/retries.rs";
const SHEDDING: &str = "tests/it/shedding.rs";
const QUOTAS: &str = "tests/it/quotas.rs";
const GATE: &str = "src/live/gate.rs";
const ADAPTIVE: &str = "src/policy/adaptive/tests.rs";
const HERE: &str = "tests/it/known_wrong.rs";

const ROWS: [Row; 30] = [
    Row(
        1,
        "any number of calls while half open",
        &[
            (BREAKER, "BRH-01"),
            (CIRCUIT, "con_01_one_of_a_thousand_callers_at_the_instant_of_recovery_is_the_probe"),
            (AGGREGATE, "agg_05_con_01_fifty_callers_share_the_one_probe_that_closes_the_circuit"),
        ],
    ),
    Row(
        2,
        "a failed probe begins no new open period",
        &[(BREAKER, "BRH-02"), (AGGREGATE, "agg_06_a_failed_probe_reopens_for_a_full_period")],
    ),
    Row(3, "a late success closes an open circuit", &[(BREAKER, "BRK-06")]),
    Row(
        4,
        "timeouts arrive as a cancellation and never trip",
        &[("tests/it/acceptance.rs", "ac_04_agg_07_dlp_02_a_hanging_upstream_costs_its_timeout_and_no_more")],
    ),
    Row(
        5,
        "the call is made before the circuit is asked",
        &[("tests/it/acceptance.rs", "ac_05_agg_03_an_open_circuit_is_not_contacted")],
    ),
    Row(
        6,
        "a whole answer is kept, failures and all",
        &[
            ("tests/it/acceptance.rs", "ac_05_agg_03_an_open_circuit_is_not_contacted"),
            (CACHING, "a_partial_answer_asks_the_failed_source_again_and_only_that_one"),
        ],
    ),
    Row(
        7,
        "a refresh for each hit, which brings back what was invalidated",
        &[
            (CACHING, "coa_05_the_second_half_of_the_ttl_refreshes_once_behind_the_reply"),
            (CACHING, "gen_01_invalidating_during_a_call_gives_its_waiter_the_value_and_the_cache_nothing"),
            (CACHING, "gen_02_a_request_after_the_invalidation_does_not_join_the_call_from_before_it"),
            (CACHING, "gen_03_a_refresh_that_races_an_invalidation_does_not_resurrect"),
        ],
    ),
    Row(
        8,
        "an empty key clears everything, and the store has no bound",
        &[
            (AGGREGATE, "agg_20_an_empty_key_clears_nothing"),
            ("src/live/cache/tests/bounds.rs", "no_more_bytes_than_allowed_are_held"),
        ],
    ),
    Row(
        9,
        "waiting in line has no bound, or is blamed on the upstream",
        &[
            (AGGREGATE, "agg_25_the_third_source_waits_for_a_slot_and_is_not_blamed"),
            (AGGREGATE, "agg_26_cls_23_waiting_too_long_for_a_slot_is_a_local_limit_and_neutral"),
            (AGGREGATE, "a_crowd_in_line_opens_no_circuit"),
        ],
    ),
    Row(
        12,
        "what is degraded overlaps with what is fine",
        &[("tests/it/acceptance.rs", "ac_07_ac_08_agg_23_health_names_every_circuit_and_is_degraded_when_one_is_open")],
    ),
    Row(
        13,
        "a token is spent on a call that the circuit refuses",
        &[
            (HERE, "what_the_circuit_refuses_takes_no_token"),
            ("tests/it/rates.rs", "what_a_later_limit_refuses_takes_nothing"),
        ],
    ),
    Row(
        14,
        "refusals of our own are tried again",
        &[(HERE, "a_refusal_of_our_own_is_not_tried_again"), ("src/policy/vectors/retry.rs", "RTY-17")],
    ),
    Row(
        15,
        "a place is held while a retry sleeps, and all attempts count once",
        &[
            (RETRIES, "nothing_is_held_while_waiting_for_the_next_attempt"),
            (RETRIES, "a_circuit_that_opens_between_attempts_ends_them_and_the_source_has_failed"),
        ],
    ),
    Row(
        16,
        "who is first to see the recovery lets everybody in",
        &[(CIRCUIT, "con_01_one_of_a_thousand_callers_at_the_instant_of_recovery_is_the_probe"), (BREAKER, "BRK-06")],
    ),
    Row(
        17,
        "a probe that a later limit refuses wedges the circuit",
        &[
            (HERE, "a_probe_that_finds_no_place_leaves_the_circuit_to_the_next"),
            (CIRCUIT, "con_02_an_aborted_probe_frees_its_place_wherever_it_was"),
        ],
    ),
    Row(
        18,
        "classes of priority that are shed alike",
        &[
            ("src/policy/vectors/shedding.rs", "lsh_01_to_12_who_is_shed"),
            (SHEDDING, "lsh_07_08_14_the_last_places_are_for_what_is_critical_and_nobody_claims_that"),
            ("src/live/in_flight.rs", "con_05_ten_thousand_who_come_wait_leave_and_are_aborted_leave_nothing_behind"),
        ],
    ),
    Row(
        19,
        "jitter after the cap, and a 429 without a Retry-After",
        &[("src/policy/vectors/retry.rs", "bkf_01_to_11_delays"), (RETRIES, "retry_after_is_waited_for")],
    ),
    Row(
        20,
        "tenants from a header that anybody writes, buckets for ever",
        &[
            ("src/live/quota/key.rs", "irl_10_who_shows_no_key_counts_by_address_whatever_he_claims"),
            (QUOTAS, "clients_for_whom_there_is_no_room_share_one_bucket"),
            (QUOTAS, "who_asks_too_much_is_told_when_to_come_back_and_nothing_is_done_for_him"),
        ],
    ),
    Row(
        21,
        "asked in one place, counted in another",
        &[(CIRCUIT, "a_permit_counts_once_whether_recorded_or_dropped"), (BREAKER, "BRH-01")],
    ),
    Row(
        22,
        "late results count, and events are told under the lock",
        &[
            (BREAKER, "BRK-06"),
            ("src/live/circuit_events.rs", "evt_01_and_02_a_trip_is_told_once_and_late_failures_are_not"),
            ("src/live/circuit_events.rs", "con_13_events_stand_in_the_order_of_changes_whoever_makes_them"),
        ],
    ),
    Row(
        23,
        "a cancelled caller keeps its place, and every refusal is called full",
        &[
            (GATE, "con_05_ten_thousand_callers_aborted_anywhere_leave_nothing_behind"),
            (GATE, "con_06_a_slot_granted_to_an_aborted_waiter_goes_to_the_next"),
            ("src/policy/limiter.rs", "the_three_reasons_are_told_apart"),
        ],
    ),
    Row(
        24,
        "a queue that takes newcomers while it drains",
        &[("src/policy/vectors/shedding.rs", "wmk_01_hysteresis_between_low_and_high")],
    ),
    Row(
        25,
        "a refused request is counted, and those of one millisecond are one",
        &[(QUOTAS, "every_limit_that_fits_holds_and_a_refusal_takes_from_none")],
    ),
    Row(
        26,
        "a limit that grows while idle, and shrinks once for each of many",
        &[
            (ADAPTIVE, "adp_01_aimd_grows_by_one_while_it_is_busy"),
            (ADAPTIVE, "adp_03_calls_of_one_epoch_shrink_it_once"),
            (ADAPTIVE, "adp_04_what_says_nothing_changes_nothing"),
            ("tests/it/adaptive.rs", "it_grows_while_it_is_used_and_not_while_it_is_idle"),
        ],
    ),
    Row(
        27,
        "attempts that are used up count as a success",
        &[
            (RETRIES, "the_most_telling_failure_is_told_with_the_number_of_attempts"),
            ("src/policy/vectors/retry.rs", "bkf_01_to_11_delays"),
        ],
    ),
    Row(28, "each request waits for a measurement of the processor", &[(HERE, "no_request_waits_for_a_measurement")]),
    Row(
        29,
        "a fallback within the retry hides the failure from it",
        &[(HERE, "what_stands_in_comes_after_the_last_attempt")],
    ),
    Row(
        30,
        "late failures reopen, and a call that panics is never recorded",
        &[(BREAKER, "BRK-06"), (CIRCUIT, "con_03_a_probe_that_panics_is_neutral_and_frees_its_place")],
    ),
    Row(
        31,
        "attempts at fixed times, whatever the others did",
        &[("src/policy/vectors/strategy.rs", "str_01_to_08_races")],
    ),
    Row(32, "an even split that forgets the time that was not used", &[("src/policy/vectors/strategy.md", "STR-12")]),
];

/// 10: a shared store; 11: webhooks. Neither is there.
const NOT_BUILT: [u8; 2] = [10, 11];

#[test]
fn every_known_defect_has_a_test_that_is_there() {
    let mut numbers: Vec<u8> = ROWS.iter().map(|Row(number, ..)| *number).chain(NOT_BUILT).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=32).collect::<Vec<_>>());
    for Row(number, defect, held_by) in &ROWS {
        assert!(!held_by.is_empty(), "{number}: {defect}");
        for (file, name) in *held_by {
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
                .unwrap_or_else(|error| panic!("{number}: {file}: {error}"));
            let is_there = match file.rsplit_once('.') {
                Some((_, "md")) => text.lines().any(|line| line.starts_with(&format!("### {name} "))),
                _ if name.starts_with(char::is_uppercase) => text.contains(&format!("\"{name}\"")),
                _ => text.contains(&format!("fn {name}(")),
            };
            assert!(is_there, "{number} ({defect}): `{name}` is not in {file}");
        }
    }
}

#[tokio::test]
async fn what_the_circuit_refuses_takes_no_token() {
    let upstream = Upstream::with(&[("/a", Script::status(503))]);
    let more = "cache: off\nbreaker: { failure_threshold: 1, recovery_timeout: 10m }\nrate_limit: { rate: 3/hour }";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    for _ in 0..10 {
        gateway.get("/aggregate").await.expect(200);
    }
    assert_eq!(upstream.calls("/a"), 1);
    assert_eq!(gateway.upstream("a").await["limits"]["rate"]["tokens"], 2);
}

#[tokio::test]
async fn a_refusal_of_our_own_is_not_tried_again() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)))]);
    let more = "cache: off\nrate_limit: { rate: 1/hour, mode: reject }\n\
                retry: { max_attempts: 5, retry_on: [5xx, timeout], backoff: { base: 1ms } }";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    gateway.get("/aggregate/a").await.expect(200);
    let part = gateway.get("/aggregate").await.part("a");
    assert_eq!((&part["kind"], &part["attempts"]), (&json!("rate_limited_local"), &json!(null)), "{part}");
    let refused = gateway.metric("aggd_rate_rejected_total", &[("source", "a"), ("reason", "no_token")]).await;
    assert!((refused - 1.0).abs() < f64::EPSILON, "it was tried {refused} times");
}

#[tokio::test]
async fn a_probe_that_finds_no_place_leaves_the_circuit_to_the_next() {
    let upstream = Upstream::with(&[("/a", Script::status(503)), ("/hog", Script::hang())]);
    let more = "cache: off\ntimeout: 5s\nbreaker: { failure_threshold: 1, recovery_timeout: 1ms }";
    let hog = source("hog", &upstream.url("/hog"), "timeout: 15s\ncache: off\naggregate: false");
    let setup = Setup::new().server("limits: { concurrency: 1, max_waiting: 0 }");
    let gateway = setup.sources(&[source("a", &upstream.url("/a"), more), hog]).start();
    gateway.get("/aggregate").await.expect(200);
    eventually(SOON, "half open", async || gateway.circuit("a").await == "half_open").await;
    upstream.on("/a", Script::json(&json!(1)));
    let hogging = tokio::spawn(gateway.ask(http::Method::GET, "/aggregate/hog").try_send());
    eventually(SOON, "the semaphore is taken", async || upstream.active() == 1).await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/aggregate").await.part("a")["kind"], "local_limit");
    }
    assert_eq!(gateway.circuit("a").await, "half_open");
    hogging.abort();
    let closed = async || gateway.get("/aggregate").await.part("a")["status"] == "ok";
    eventually(SOON, "the next one is the probe", closed).await;
    assert_eq!(gateway.circuit("a").await, "closed");
}

#[tokio::test]
async fn no_request_waits_for_a_measurement() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)))]);
    let server = "load_shedding: { sample_interval: 100ms, signals: { cpu: { high: 1, critical: 1 }, \
                  memory: { high: 1, critical: 1 } } }";
    let gateway = Setup::new().server(server).sources(&[source("a", &upstream.url("/a"), "")]).start();
    gateway.get("/aggregate").await.expect(200);
    let began = std::time::Instant::now();
    for _ in 0..200 {
        gateway.get("/aggregate").await;
    }
    // Measured within each request, for 100ms as is usual, these take 20 seconds.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_stands_in_comes_after_the_last_attempt() {
    let upstream = Upstream::with(&[("/a", Script::status(503))]);
    let more = "cache: off\nretry: { max_attempts: 3, backoff: { strategy: none } }\nfallback: [{ value: 7 }]";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    let part = gateway.get("/aggregate").await.part("a");
    assert_eq!((&part["status"], &part["data"]), (&json!("fallback"), &json!(7)), "{part}");
    assert_eq!((upstream.calls("/a"), &part["attempts"]), (3, &json!(3)), "{part}");
}
