//! `aggd routes`: what is served, by whom, with which limits.

use std::path::Path;

use crate::base::Pretty;
use crate::cli::Exit;
use crate::cli::console;
use crate::cli::load;
use crate::config::spec::Respond;
use crate::plan::Plan;
use crate::plan::RoutePlan;
use crate::plan::compile;

/// Prints one line per route, then one per source.
pub(crate) fn run(config: Option<&Path>) -> Exit {
    let loading = match load::load(config) {
        Ok(loading) => loading,
        Err(_) => return Exit::Failed,
    };
    let plan = compile(loading.loaded.spec);
    let mut rows = vec![["METHOD", "PATH", "ANSWERS", "TIMEOUT", "SOURCES", "DESCRIPTION"].map(str::to_owned)];
    rows.extend(plan.routes.iter().map(|route| row(&plan, route)));
    let every: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
    rows.push(
        ["GET", "/aggregate/{source}", "one source", "the source's", &every.join(", "), "around the cache"]
            .map(str::to_owned),
    );
    let mut sources =
        vec![["SOURCE", "CALLS", "TIMEOUT", "CACHE", "CIRCUIT OPENS AFTER", "DESCRIPTION"].map(str::to_owned)];
    for source in &plan.sources {
        let cache = source.cache.as_ref().map_or("off".to_owned(), |cache| Pretty(cache.ttl).to_string());
        let breaker = match (source.breaker.enabled, source.breaker.failure_threshold) {
            (false, _) => "never".to_owned(),
            (true, 0) => "a rate over its window".to_owned(),
            (true, failures) => format!("{failures} failures, for {}", Pretty(source.breaker.recovery_timeout)),
        };
        let name = source.name.to_string();
        let about = source.description.clone().unwrap_or_default();
        sources.push([name, source.endpoints().join(", "), Pretty(source.timeout).to_string(), cache, breaker, about]);
    }
    let mut shown = format!("{}\n{}", table(&rows), table(&sources));
    if !plan.limits.is_empty() {
        shown = format!("{shown}\n{}", table(&limits(&plan)));
    }
    console::result(&shown);
    Exit::Fine
}

/// How much each client may ask, and of what.
fn limits(plan: &Plan) -> Vec<[String; 5]> {
    let mut rows = vec![["LIMIT", "COUNTED BY", "UNITS", "IN FLIGHT", "ROUTES"].map(str::to_owned)];
    let doors = || plan.routes.iter().map(|route| &route.door).chain([&plan.single]);
    for (place, limit) in plan.limits.iter().enumerate() {
        let key: Vec<String> = limit.key.iter().map(ToString::to_string).collect();
        let units = limit.rule.quota.as_ref().map_or("any number".to_owned(), |quota| {
            format!("{} at once, one in {}", quota.burst(), Pretty(quota.time_for(1)))
        });
        let in_flight = limit.rule.max_in_flight.map_or("any number".to_owned(), |most| most.to_string());
        let charged = doors().filter_map(|door| {
            let charge = door.limits.iter().find(|charge| charge.limit == place)?;
            let times = if charge.cost.get() == 1 { String::new() } else { format!(" ×{}", charge.cost) };
            Some(format!("{}{times}", door.route))
        });
        rows.push([limit.name.to_string(), key.join(", "), units, in_flight, charged.collect::<Vec<_>>().join(", ")]);
    }
    rows
}

fn row(plan: &Plan, route: &RoutePlan) -> [String; 6] {
    let parts = route.parts.iter().map(|part| {
        let source = plan.sources.get(part.source).map_or("", |source| source.name.as_str());
        let renamed = if source == part.alias.as_str() { String::new() } else { format!("={source}") };
        format!("{}{renamed}{}", part.alias, if part.required { " (required)" } else { "" })
    });
    let answers = match route.respond {
        Respond::Envelope => "envelope",
        Respond::Merge => "merge",
    };
    let (method, path) = (route.method.to_string(), route.path.to_string());
    let sources = parts.collect::<Vec<_>>().join(", ");
    let about = route.description.clone().unwrap_or_default();
    [method, path, answers.to_owned(), Pretty(route.timeout).to_string(), sources, about]
}

/// Columns as wide as their widest cell; the last one as it is.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(&format!("{cell:width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
