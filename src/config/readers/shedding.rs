//! `load_shedding:` and `background:` of `aggd.yaml`, `load_shedding:` and `bulkhead:` of a route → their settings, with
//! what only shows where their keys meet.

use std::time::Duration;

use http::StatusCode;

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::spec::RefusalSpec;
use crate::config::spec::RouteBulkhead;
use crate::config::spec::RouteLimits;
use crate::config::spec::RouteShedding;
use crate::policy::codel::CodelSettings;
use crate::policy::limiter::LimiterSettings;
use crate::policy::limiter::QueueOrder;
use crate::policy::line::LINE;
use crate::policy::line::LineSettings;
use crate::policy::line::Order;
use crate::policy::pressure::Band;
use crate::policy::pressure::PRESSURE;
use crate::policy::pressure::PressureSettings;
use crate::policy::shedding::Floors;
use crate::policy::shedding::MAX_IN_FLIGHT;
use crate::policy::shedding::RETRY_AFTER;
use crate::policy::shedding::RetryAfter;
use crate::policy::shedding::SheddingSettings;
use crate::policy::shedding::THRESHOLDS;
use crate::policy::shedding::Thresholds;
use crate::policy::watermark::BACKGROUND;
use crate::policy::watermark::BackgroundSettings;
use crate::policy::watermark::Marks;
use crate::policy::watermark::Overflow;
use crate::policy::watermark::RefreshSettings;

/// Used where the file is silent. They are the server's own, and never shed in any case.
const EXEMPT: [&str; 5] = ["/health", "/livez", "/readyz", "/metrics", "/admin"];
/// Used where a signal that is looked at is silent.
const SHARE: Band = Band { high: 0.85, critical: 0.95 };
const FILL: Band = Band { high: 0.8, critical: 0.95 };
const LAG: Band = Band { high: 0.050, critical: 0.200 };
/// Used where a route's bulkhead is silent.
const ROUTE_WAITING: (u32, Duration) = (64, Duration::from_secs(1));

/// Reads `load_shedding:` of `aggd.yaml`; `None`: `off`.
pub(crate) fn load_shedding(server: &Node, findings: &mut Findings) -> Option<SheddingSettings> {
    if server.is_switched_off("load_shedding") {
        return None;
    }
    let root = At::document("");
    let at = root.key("load_shedding");
    let empty = Node::empty(server.span);
    let node = server.get("load_shedding").unwrap_or(&empty);
    let max_in_flight = node.count("max_in_flight").unwrap_or(MAX_IN_FLIGHT).max(1);
    let listed = |list: &Node| list.items().iter().filter_map(Node::text).map(str::to_owned).collect();
    Some(SheddingSettings {
        floors: Floors::new(max_in_flight, &thresholds(node.get("thresholds"), &at.key("thresholds"), findings)),
        queue: queue(node.get("queue"), &at.key("queue"), findings),
        pressure: pressure(node, &at, findings),
        retry_after: retry_after(node.get("retry_after")),
        exempt: node.get("exempt").map_or_else(|| EXEMPT.map(str::to_owned).to_vec(), listed),
        brownout: node.switch("brownout").unwrap_or(true),
    })
}

/// `queue:`; `None`: nobody waits.
fn queue(node: Option<&Node>, at: &At<'_>, findings: &mut Findings) -> Option<LineSettings> {
    let node = node?;
    let order = match node.word("order") {
        Some("fifo") => Order::Fifo,
        Some("priority") => Order::Priority,
        Some(_) | None => LINE.order,
    };
    let set = LineSettings {
        max_waiting: node.count("max_waiting").unwrap_or(LINE.max_waiting),
        codel: CodelSettings {
            target: node.duration("target").unwrap_or(LINE.codel.target),
            interval: node.duration("interval").unwrap_or(LINE.codel.interval),
        },
        order,
        queue_timeout: node.duration("queue_timeout").unwrap_or(LINE.queue_timeout),
    };
    if set.max_waiting > 0 {
        return Some(set);
    }
    // A default that is written out is no mistake.
    if set != LINE
        && let Some(entry) = node.entries().iter().find(|entry| entry.key != "max_waiting")
    {
        let unused = problem(codes::NO_EFFECT, format!("`{}` does nothing while nobody may wait", entry.key));
        findings.warn(&at.key(&entry.key), entry.at, unused.help("add `max_waiting: 100`, or remove it"));
    }
    None
}

fn pressure(node: &Node, at: &At<'_>, findings: &mut Findings) -> PressureSettings {
    let signals_at = at.key("signals");
    let signals = node.get("signals");
    let mut of = |name: &str, band: Band, read: fn(&Node, &str) -> Option<f64>| {
        let entry = signals.and_then(|signals| signals.entry(name)).filter(|entry| !entry.value.is_off())?;
        let at = signals_at.key(name);
        let value = |key: &str, default: f64| read(&entry.value, key).unwrap_or(default);
        let band = Band { high: value("high", band.high), critical: value("critical", band.critical) };
        if band.high <= 0.0 || band.high > band.critical {
            let key = if entry.value.entry("high").is_some() { "high" } else { "critical" };
            let message = "a signal must be high before it is critical, and be something to be high";
            let help = "write a `high` above zero, and a `critical` above that";
            findings.error(&at.key(key), entry.value.spot_of(key), problem(codes::SHED_ORDER, message).help(help));
        }
        Some(band)
    };
    let seconds: fn(&Node, &str) -> Option<f64> = |node, key| node.duration(key).map(|lag| lag.as_secs_f64());
    let set = PressureSettings {
        cpu: of("cpu", SHARE, Node::ratio),
        memory: of("memory", SHARE, Node::ratio),
        loop_lag: of("loop_lag", LAG, seconds),
        background_queue: of("background_queue", FILL, Node::ratio),
        sample_interval: node.duration("sample_interval").unwrap_or(PRESSURE.sample_interval),
        ewma_alpha: node.ratio("ewma_alpha").unwrap_or(PRESSURE.ewma_alpha),
        exit_factor: node.ratio("exit_factor").unwrap_or(PRESSURE.exit_factor),
    };
    for (key, share, sample) in [("ewma_alpha", set.ewma_alpha, "0.3"), ("exit_factor", set.exit_factor, "0.9")] {
        if share <= 0.0 {
            let none = problem(codes::BAD_RATIO, format!("with `{key}: 0` no level would ever change back or forth"));
            findings.error(&at.key(key), node.spot_of(key), none.help(format!("write `{key}: {sample}`")));
        }
    }
    // A default that is written out is no mistake.
    let brownout = node.switch("brownout").unwrap_or(true);
    let changed = [
        ("sample_interval", set.sample_interval != PRESSURE.sample_interval),
        ("ewma_alpha", set.ewma_alpha.to_bits() != PRESSURE.ewma_alpha.to_bits()),
        ("exit_factor", set.exit_factor.to_bits() != PRESSURE.exit_factor.to_bits()),
        ("brownout", !brownout),
    ];
    for (key, _) in changed.into_iter().filter(|(_, changed)| *changed && !set.is_on()) {
        let unused = problem(codes::NO_EFFECT, format!("`{key}` does nothing without `signals`"));
        findings.warn(&at.key(key), node.spot_of(key), unused.help("add `signals: { cpu: {} }`, or remove it"));
    }
    set
}

/// Reads `background:`.
pub(crate) fn background(server: &Node, findings: &mut Findings) -> BackgroundSettings {
    let root = At::document("");
    let at = root.key("background");
    let of = |name: &str| server.get("background").and_then(|node| node.get(name));
    let refresh = of("refresh");
    let defaults = BACKGROUND.refresh;
    let overflow = refresh.and_then(|node| node.word("overflow"));
    BackgroundSettings {
        refresh: RefreshSettings {
            marks: marks(refresh, defaults.marks, &at.key("refresh"), findings),
            workers: refresh.and_then(|node| node.count("workers")).unwrap_or(defaults.workers).max(1),
            overflow: if overflow == Some("drop_oldest") { Overflow::DropOldest } else { defaults.overflow },
        },
        audit: marks(of("audit"), BACKGROUND.audit, &at.key("audit"), findings),
    }
}

/// The marks of a queue; where they are not written, shares of what it may hold.
fn marks(node: Option<&Node>, defaults: Marks, at: &At<'_>, findings: &mut Findings) -> Marks {
    let Some(node) = node else { return defaults };
    let max_pending = node.count("max_pending").unwrap_or(defaults.max_pending).max(1);
    let high = node.count("high_water_mark").unwrap_or_else(|| max_pending.saturating_mul(8).div_ceil(10));
    let low = node.count("low_water_mark").unwrap_or((max_pending / 5).min(high.saturating_sub(1)));
    if low >= high || high > max_pending {
        let key = if node.entry("high_water_mark").is_some() { "high_water_mark" } else { "low_water_mark" };
        let message = format!("the marks must be low < high ≤ max_pending, and are {low}, {high}, {max_pending}");
        let help = format!("write a `high_water_mark` up to {max_pending}, and a `low_water_mark` below it");
        findings.error(&at.key(key), node.spot_of(key), problem(codes::WATER_MARKS, message).help(help));
        return defaults;
    }
    Marks { max_pending, high_water_mark: high, low_water_mark: low }
}

/// Reads a route's own limits.
pub(crate) fn route_limits(route: &Node, at: &At<'_>, findings: &mut Findings) -> RouteLimits {
    let load_shedding = route.get("load_shedding").and_then(|node| {
        let at = at.key("load_shedding");
        let share = thresholds(node.get("thresholds"), &at.key("thresholds"), findings);
        let floors = Floors::new(node.count("max_in_flight")?.max(1), &share);
        Some(RouteShedding { floors, refusal: refusal(node) })
    });
    let bulkhead = route.get("bulkhead").and_then(|node| {
        let limit = LimiterSettings {
            limit: node.count("max_concurrent")?.max(1),
            max_waiting: node.count("max_waiting").unwrap_or(ROUTE_WAITING.0),
            queue_timeout: Some(node.duration("queue_timeout").unwrap_or(ROUTE_WAITING.1)),
            order: QueueOrder::Fifo,
        };
        Some(RouteBulkhead { limit, refusal: refusal(node) })
    });
    RouteLimits { load_shedding, bulkhead }
}

fn refusal(node: &Node) -> RefusalSpec {
    let status = node.whole("status").and_then(|status| u16::try_from(status).ok());
    RefusalSpec {
        status: status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
        message: node.word("message").map(str::to_owned),
        retry_after: node.duration("retry_after"),
    }
}

fn thresholds(node: Option<&Node>, at: &At<'_>, findings: &mut Findings) -> Thresholds {
    let Some(node) = node else { return THRESHOLDS };
    let share = |key: &str, default: f64| node.ratio(key).unwrap_or(default);
    let set = Thresholds {
        low: share("low", THRESHOLDS.low),
        normal: share("normal", THRESHOLDS.normal),
        high: share("high", THRESHOLDS.high),
        critical: share("critical", THRESHOLDS.critical),
    };
    let order = [("low", set.low), ("normal", set.normal), ("high", set.high), ("critical", set.critical)];
    for ((lower, less), (higher, more)) in order.iter().zip(order.iter().skip(1)) {
        if less > more {
            let key = if node.entry(higher).is_some() { higher } else { lower };
            let message = format!("`{higher}` may fill less than `{lower}`, so what matters more would be shed first");
            let help = format!("write a `{higher}` of at least {less}, or a `{lower}` of at most {more}");
            findings.error(&at.key(key), node.spot_of(key), problem(codes::SHED_ORDER, message).help(help));
        }
    }
    set
}

fn retry_after(node: Option<&Node>) -> RetryAfter {
    let Some(node) = node else { return RETRY_AFTER };
    RetryAfter {
        base: node.duration("base").unwrap_or(RETRY_AFTER.base),
        jitter: node.duration("jitter").unwrap_or(RETRY_AFTER.jitter),
    }
}
