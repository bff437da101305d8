//! `adaptive_concurrency:` → its settings.

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::policy::adaptive::ADAPTIVE_DEFAULTS;
use crate::policy::adaptive::AIMD_DEFAULTS;
use crate::policy::adaptive::AdaptiveSettings;
use crate::policy::adaptive::AimdSettings;
use crate::policy::adaptive::Algorithm;
use crate::policy::adaptive::GRADIENT_DEFAULTS;
use crate::policy::adaptive::GradientSettings;

/// The keys that only one algorithm reads.
const OF_AIMD: [&str; 5] =
    ["measurement_window", "success_threshold", "failure_threshold", "increase", "decrease_factor"];
const OF_GRADIENT: [&str; 5] = ["sample_window", "long_window", "rtt_tolerance", "smoothing", "queue"];

/// Reads `adaptive_concurrency:`; `policies` is all of the source's policies. `None`: off.
pub(crate) fn adaptive(
    policies: &Node,
    concurrency: u32,
    at: &At<'_>,
    findings: &mut Findings,
) -> Option<AdaptiveSettings> {
    let node = policies.get("adaptive_concurrency").filter(|node| !node.is_off())?;
    beside_bulkhead(policies, node, at, findings);
    let name = node.word("algorithm").unwrap_or("aimd");
    let algorithm = match name {
        "gradient2" => Algorithm::Gradient2(gradient(node, at, findings)),
        "vegas" => Algorithm::Vegas,
        _ => Algorithm::Aimd(aimd(node, at, findings)),
    };
    let unread = OF_AIMD.into_iter().filter(|_| !matches!(algorithm, Algorithm::Aimd(_)));
    let unread = unread.chain(OF_GRADIENT.into_iter().filter(|_| !matches!(algorithm, Algorithm::Gradient2(_))));
    for key in unread.filter(|key| node.entry(key).is_some()) {
        let unused = problem(codes::NO_EFFECT, format!("`{key}` does nothing: `{name}` does not go by it"));
        findings.warn(&at.key(key), node.spot_of(key), unused.help("remove it, or write another `algorithm`"));
    }
    let settings = AdaptiveSettings {
        algorithm,
        initial: node.count("initial").unwrap_or(ADAPTIVE_DEFAULTS.initial),
        min: node.count("min").unwrap_or(ADAPTIVE_DEFAULTS.min),
        max: node.count("max").unwrap_or(ADAPTIVE_DEFAULTS.max),
    };
    Some(bounded(settings, concurrency, node, (at, findings)))
}

/// The bounds in order; a silent `initial` follows them.
fn bounded(
    mut settings: AdaptiveSettings,
    concurrency: u32,
    node: &Node,
    (at, findings): (&At<'_>, &mut Findings),
) -> AdaptiveSettings {
    let AdaptiveSettings { min, max, initial, .. } = settings;
    if min > max {
        let key = if node.entry("min").is_some() { "min" } else { "max" };
        let wrong = problem(codes::LIMIT_BOUNDS, format!("the least limit ({min}) is above the highest ({max})"));
        let help = format!("write `min: {max}` at most, or a larger `max`");
        findings.error(&at.key(key), node.spot_of(key), wrong.help(help));
        settings.max = min;
    } else if !(min..=max).contains(&initial) && node.entry("initial").is_some() {
        let wrong = problem(codes::LIMIT_BOUNDS, format!("`initial` is not from {min} to {max}"));
        let help = format!("write `initial: {}`, or other bounds", initial.clamp(min, max));
        findings.error(&at.key("initial"), node.spot_of("initial"), wrong.help(help));
    }
    if max > concurrency && node.entry("max").is_some() {
        let more = format!("`max` is never reached: `limits.concurrency` is {concurrency}");
        let help = "write a smaller one, or raise `limits.concurrency` in aggd.yaml";
        findings.warn(&at.key("max"), node.spot_of("max"), problem(codes::NO_EFFECT, more).help(help));
    }
    settings.initial = initial.clamp(settings.min, settings.max);
    settings
}

/// The limit is that of the bulkhead, which must be there, and cannot have one of its own.
fn beside_bulkhead(policies: &Node, node: &Node, at: &At<'_>, findings: &mut Findings) {
    let Some(bulkhead) = policies.get("bulkhead") else { return };
    if bulkhead.is_off() {
        let none = problem(codes::EXCLUSIVE_KEYS, "an adaptive limit is that of the bulkhead, which is off");
        findings.error(at, node.span, none.help("remove `bulkhead: off`, or `adaptive_concurrency`"));
    } else if bulkhead.get("max_concurrent").is_some() {
        let unused = problem(codes::NO_EFFECT, "`bulkhead.max_concurrent` does nothing beside `adaptive_concurrency`");
        findings.warn(at, node.span, unused.help("remove it; write `max` here for a bound"));
    }
}

fn aimd(node: &Node, at: &At<'_>, findings: &mut Findings) -> AimdSettings {
    let defaults = AIMD_DEFAULTS;
    let settings = AimdSettings {
        measurement_window: node.count("measurement_window").unwrap_or(defaults.measurement_window),
        success_threshold: node.ratio("success_threshold").unwrap_or(defaults.success_threshold),
        failure_threshold: node.ratio("failure_threshold").unwrap_or(defaults.failure_threshold),
        increase: node.number("increase").unwrap_or(defaults.increase),
        decrease_factor: node.ratio("decrease_factor").unwrap_or(defaults.decrease_factor),
    };
    if settings.failure_threshold > settings.success_threshold {
        let wrong = problem(codes::LIMIT_BOUNDS, "`failure_threshold` is above `success_threshold`");
        let key = if node.entry("failure_threshold").is_some() { "failure_threshold" } else { "success_threshold" };
        findings.error(&at.key(key), node.spot_of(key), wrong.help("write a smaller `failure_threshold`"));
    }
    let never = [
        ("increase", settings.increase <= 0.0, "the limit never grows", "write a number above 0"),
        ("decrease_factor", settings.decrease_factor >= 1.0, "the limit never shrinks", "write a share below 1"),
        (
            "decrease_factor",
            settings.decrease_factor <= 0.0,
            "the limit falls to its least at once",
            "write a share above 0",
        ),
        (
            "success_threshold",
            settings.success_threshold >= 1.0,
            "no share of successes is above 1: the limit never grows",
            "write a share below 1",
        ),
    ];
    wrong(&never, node, at, findings);
    settings
}

fn gradient(node: &Node, at: &At<'_>, findings: &mut Findings) -> GradientSettings {
    let defaults = GRADIENT_DEFAULTS;
    let window = node.get("sample_window");
    let settings = GradientSettings {
        window: window.and_then(|window| window.duration("min")).unwrap_or(defaults.window),
        min_samples: window.and_then(|window| window.count("min_samples")).unwrap_or(defaults.min_samples),
        long_window: node.count("long_window").unwrap_or(defaults.long_window),
        rtt_tolerance: node.number("rtt_tolerance").unwrap_or(defaults.rtt_tolerance),
        smoothing: node.ratio("smoothing").unwrap_or(defaults.smoothing),
        queue: node.count("queue").unwrap_or(defaults.queue),
    };
    let never = [
        ("smoothing", settings.smoothing <= 0.0, "the limit never moves", "write a share above 0"),
        ("queue", settings.queue == 0, "the limit never grows", "write a number above 0"),
    ];
    wrong(&never, node, at, findings);
    settings
}

/// Reports those that hold: key, whether, what follows from it, what to write.
fn wrong(cases: &[(&str, bool, &str, &str)], node: &Node, at: &At<'_>, findings: &mut Findings) {
    for (key, _, what, help) in cases.iter().filter(|(_, holds, ..)| *holds) {
        findings.error(&at.key(key), node.spot_of(key), problem(codes::LIMIT_BOUNDS, *what).help(*help));
    }
}
