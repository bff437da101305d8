//! The page of `GET /metrics`, as a scraper reads it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use crate::base::Name;
use crate::policy::breaker::CircuitState;
use crate::policy::breaker::Counts;
use crate::policy::breaker::Reason;
use crate::policy::breaker::TransitionCount;
use crate::policy::limiter::LimiterCounts;
use crate::policy::outcome::Kind;
use crate::record::audit::AuditCounts;
use crate::record::events::EventCounts;
use crate::record::metrics::BreakerGauge;
use crate::record::metrics::BudgetGauge;
use crate::record::metrics::CacheGauges;
use crate::record::metrics::CacheResult;
use crate::record::metrics::ConfigGauges;
use crate::record::metrics::HedgeGauge;
use crate::record::metrics::LimiterGauges;
use crate::record::metrics::LoadGauges;
use crate::record::metrics::Metrics;
use crate::record::metrics::QuotaGauges;
use crate::record::metrics::ReloadResult;
use crate::record::metrics::Role;
use crate::record::metrics::Scrape;
use crate::record::metrics::SourceLimitGauges;
use crate::record::metrics::SourceMetrics;
use crate::record::metrics::Stage;

const MS: Duration = Duration::from_millis(1);

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

#[expect(clippy::too_many_lines, reason = "one value")]
fn scrape() -> Scrape {
    let (from, to, reason) = (CircuitState::Closed, CircuitState::Open, Reason::ConsecutiveFailures);
    let transitions = vec![TransitionCount { from, to, reason, count: 1 }];
    Scrape {
        breakers: vec![BreakerGauge {
            source: name("news"),
            endpoint: "https://news.example:443".into(),
            state: CircuitState::ForcedOpen,
            counts: Counts {
                failures: 6,
                late_results: 2,
                rejected_half_open_full: 4,
                transitions,
                ..Counts::default()
            },
        }],
        hedge_delays: vec![HedgeGauge { source: name("news"), delay: 200 * MS }],
        budgets: vec![BudgetGauge { source: name("news"), balance: -1_500 }],
        limiters: vec![LimiterGauges {
            limiter: "global".to_owned(),
            active: 3,
            limit: 100,
            waiting: 2,
            counts: LimiterCounts { rejected_deadline: 8, ..LimiterCounts::default() },
        }],
        source_limits: SourceLimitGauges::default(),
        quotas: vec![QuotaGauges {
            limit: "default".into(),
            keys: 12,
            allowed: 9,
            limited: 5,
            concurrent: 1,
            overflowed: 2,
            refunded: 3,
        }],
        cache: CacheGauges {
            entries: 7,
            bytes: 4120,
            max_entries: 100,
            max_bytes: 5000,
            flights: 1,
            evictions: vec![("capacity", 5)],
            refreshes: vec![("failed", 3)],
            passes: 11,
            passes_dropped: 12,
            store_discarded: 6,
        },
        audit: Some(AuditCounts { pending: 4, written: 9, dropped: 1, failed_batches: 2 }),
        events: EventCounts {
            happened: vec![("circuit.opened", 3)],
            lagged: 2,
            subscribers: 1,
            ..EventCounts::default()
        },
        config: ConfigGauges { generation: 7, last_reload_successful: true, findings: 0 },
        load: LoadGauges::default(),
        background: Vec::new(),
        connections: 11,
        started: UNIX_EPOCH + Duration::from_millis(1500),
        uptime: Duration::from_secs(60),
        version: "0.1.0",
    }
}

/// Everything counted once. The endpoint's series last as long as somebody holds its source.
fn everything() -> (Metrics, Arc<SourceMetrics>) {
    let metrics = Metrics::new();
    let news = metrics.source(&name("news"), "https://news.example:443");
    news.answered("ok", 83 * MS);
    news.attempted(Kind::Success, 80 * MS);
    news.attempted(Kind::AttemptTimeout, 2000 * MS);
    news.cache(CacheResult::Hit);
    news.coalesced(Role::Join);
    news.fell_back("stale");
    metrics.route("/cities/{city}").answered("fresh", 200, 5 * MS);
    metrics.limiter("global").granted(MS);
    metrics.server.deadline_exceeded(Stage::Queue);
    metrics.server.deadline_header_invalid();
    metrics.server.reloaded(ReloadResult::Applied);
    metrics.server.connection_rejected();
    metrics.server.request_bytes_rejected();
    metrics.server.panicked();
    (metrics, news)
}

/// The lines of samples: the series with its labels → the value.
fn samples(page: &str) -> BTreeMap<&str, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(series, value)| (series, value.parse().unwrap())).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one list")]
fn every_number_of_the_scrape_is_on_the_page() {
    let (metrics, _news) = everything();
    let page = metrics.encode(&scrape());
    let samples = samples(&page);
    let news = r#"source="news""#;
    let endpoint = r#"endpoint="https://news.example:443""#;
    let wanted = [
        (format!("aggd_source_duration_seconds_count{{{news},status=\"ok\"}}"), 1.0),
        (format!("aggd_attempt_duration_seconds_sum{{{news},{endpoint},outcome=\"success\"}}"), 0.08),
        (format!("aggd_attempt_timeout_total{{{news},{endpoint}}}"), 1.0),
        (format!("aggd_breaker_state{{{news},{endpoint}}}"), 3.0),
        (format!("aggd_retry_budget_balance{{{news}}}"), -1.5),
        (format!("aggd_hedge_delay_seconds{{{news}}}"), 0.2),
        (
            format!(
                "aggd_breaker_transitions_total{{{news},{endpoint},from=\"closed\",to=\"open\",reason=\"consecutive_failures\"}}"
            ),
            1.0,
        ),
        (format!("aggd_breaker_rejected_total{{{news},{endpoint},reason=\"half_open_full\"}}"), 4.0),
        (format!("aggd_breaker_calls_total{{{news},{endpoint},outcome=\"failure\"}}"), 6.0),
        (format!("aggd_breaker_late_results_total{{{news},{endpoint}}}"), 2.0),
        (format!("aggd_cache_requests_total{{{news},result=\"hit\"}}"), 1.0),
        (format!("aggd_coalesced_total{{{news},role=\"join\"}}"), 1.0),
        (format!("aggd_fallbacks_total{{{news},via=\"stale\"}}"), 1.0),
        (r#"aggd_request_duration_seconds_count{route="/cities/{city}",mode="fresh"}"#.into(), 1.0),
        (r#"aggd_requests_total{route="/cities/{city}",status="200"}"#.into(), 1.0),
        (r#"aggd_queue_wait_seconds_count{limiter="global"}"#.into(), 1.0),
        (r#"aggd_limiter_rejected_total{limiter="global",reason="deadline"}"#.into(), 8.0),
        (r#"aggd_limiter_active{limiter="global"}"#.into(), 3.0),
        (r#"aggd_limiter_limit{limiter="global"}"#.into(), 100.0),
        (r#"aggd_limiter_waiting{limiter="global"}"#.into(), 2.0),
        (r#"aggd_deadline_exceeded_total{stage="queue"}"#.into(), 1.0),
        ("aggd_deadline_header_invalid_total".into(), 1.0),
        (r#"aggd_cache_refresh_total{result="failed"}"#.into(), 3.0),
        ("aggd_cache_store_discarded_total".into(), 6.0),
        ("aggd_cache_passes".into(), 11.0),
        ("aggd_cache_passes_dropped_total".into(), 12.0),
        (r#"aggd_cache_evictions_total{cause="capacity"}"#.into(), 5.0),
        ("aggd_cache_entries".into(), 7.0),
        ("aggd_cache_bytes".into(), 4120.0),
        ("aggd_cache_max_entries".into(), 100.0),
        ("aggd_cache_max_bytes".into(), 5000.0),
        ("aggd_flights".into(), 1.0),
        ("aggd_config_findings".into(), 0.0),
        (r#"aggd_config_reloads_total{result="applied"}"#.into(), 1.0),
        ("aggd_config_generation".into(), 7.0),
        ("aggd_config_last_reload_successful".into(), 1.0),
        ("aggd_connections".into(), 11.0),
        ("aggd_connections_rejected_total".into(), 1.0),
        ("aggd_request_bytes_rejected_total".into(), 1.0),
        ("aggd_panics_total".into(), 1.0),
        ("aggd_audit_pending".into(), 4.0),
        ("aggd_audit_written_total".into(), 9.0),
        ("aggd_audit_dropped_total".into(), 1.0),
        ("aggd_audit_failed_batches_total".into(), 2.0),
        (r#"aggd_build_info{version="0.1.0"}"#.into(), 1.0),
        ("process_start_time_seconds".into(), 1.5),
        ("aggd_uptime_seconds".into(), 60.0),
    ];
    for (series, value) in wanted {
        assert_eq!(samples.get(series.as_str()), Some(&value), "{series} of\n{page}");
    }
}

#[test]
fn the_event_bus_is_on_the_page() {
    let page = Metrics::new().encode(&scrape());
    let samples = samples(&page);
    for (series, value) in [
        (r#"aggd_events_total{type="circuit.opened"}"#, 3.0),
        (r#"aggd_events_dropped_total{reason="lagged"}"#, 2.0),
        (r#"aggd_event_subscribers_refused_total{reason="full"}"#, 0.0),
        ("aggd_event_subscribers", 1.0),
        ("aggd_events_kept", 0.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series} of\n{page}");
    }
}

#[test]
fn every_series_is_described_before_it_and_named_as_scrapers_want_it() {
    let (metrics, _news) = everything();
    let page = metrics.encode(&scrape());
    let mut helped = BTreeSet::new();
    let mut types = BTreeMap::new();
    let mut checked = 0;
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(!text.is_empty() && helped.insert(name), "{name} is described twice or not at all");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "{name} is declared twice");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        } else {
            assert!(!line.starts_with('#'), "{line}");
            let series = line.split(['{', ' ']).next().unwrap();
            let plain = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end));
            let histogram = plain.filter(|name| types.get(name) == Some(&"histogram"));
            let name = histogram.unwrap_or(series);
            assert!(helped.contains(name) && types.contains_key(name), "{line}");
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} series");
}

#[test]
fn a_removed_source_or_route_has_no_series_even_if_somebody_still_counts_into_it() {
    let metrics = Metrics::new();
    let gone = metrics.source(&name("gone"), "http://gone:80");
    let kept = metrics.source(&name("kept"), "http://kept:80");
    let (gone_route, kept_route) = (metrics.route("/gone"), metrics.route("/kept"));
    for source in [&gone, &kept] {
        source.attempted(Kind::Success, MS);
    }
    metrics.retain_sources(&[name("kept")]);
    metrics.retain_routes(&["/kept"]);
    for source in [&gone, &kept] {
        source.attempted(Kind::ServerError, MS);
        source.cache(CacheResult::Miss);
    }
    for route in [&gone_route, &kept_route] {
        route.answered("fresh", 200, MS);
    }
    let page = metrics.encode(&scrape());
    assert!(!page.contains("gone"), "{page}");
    assert!(page.contains(r#"source="kept""#) && page.contains(r#"route="/kept""#), "{page}");
}

#[test]
fn a_changed_endpoint_begins_new_attempts_and_leaves_the_source_alone() {
    let metrics = Metrics::new();
    let old = metrics.source(&name("news"), "http://old:80");
    old.attempted(Kind::Success, MS);
    old.answered("ok", MS);
    let new = metrics.source(&name("news"), "http://new:80");
    new.answered("ok", MS);
    new.attempted(Kind::Success, MS);
    let both = metrics.encode(&scrape());
    assert!(both.contains("http://old:80") && both.contains("http://new:80"), "{both}");
    assert!(both.contains(r#"aggd_source_duration_seconds_count{source="news",status="ok"} 2"#), "{both}");
    drop(old);
    let page = metrics.encode(&scrape());
    assert!(!page.contains("http://old:80") && page.contains("http://new:80"), "{page}");
}

#[test]
fn the_same_name_gives_the_same_counters() {
    let metrics = Metrics::new();
    assert!(Arc::ptr_eq(&metrics.route("/a"), &metrics.route("/a")));
    let (one, two) = (metrics.source(&name("a"), "http://a:80"), metrics.source(&name("a"), "http://a:80"));
    one.attempted(Kind::Success, MS);
    two.attempted(Kind::Success, MS);
    let page = metrics.encode(&scrape());
    let counted = r#"aggd_attempt_duration_seconds_count{source="a",endpoint="http://a:80",outcome="success"}"#;
    assert_eq!(samples(&page).get(counted), Some(&2.0), "{page}");
}

#[test]
fn buckets_are_cumulative_and_end_at_infinity() {
    let metrics = Metrics::new();
    for took in [MS / 10, MS, 3 * MS, 60_000 * MS] {
        metrics.route("/a").answered("fresh", 200, took);
    }
    let page = metrics.encode(&scrape());
    let samples = samples(&page);
    let bucket = |le: &str| {
        let series = format!(r#"aggd_request_duration_seconds_bucket{{le="{le}",route="/a",mode="fresh"}}"#);
        *samples.get(series.as_str()).unwrap_or_else(|| panic!("no {series} in\n{page}"))
    };
    assert_eq!(
        [bucket("0.0002"), bucket("0.001"), bucket("0.005"), bucket("30.0"), bucket("+Inf")],
        [1.0, 2.0, 3.0, 3.0, 4.0]
    );
}
