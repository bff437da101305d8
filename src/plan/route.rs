//! One route, ready to be answered: its parts, and the pieces of its answer that never change.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;

use crate::base::Name;
use crate::config::spec::PartSpec;
use crate::config::spec::Respond;
use crate::config::spec::RouteLimits;
use crate::config::spec::RoutePiece;
use crate::config::spec::RouteTemplate;
use crate::config::spec::RouteValue;
use crate::plan::door::DoorPlan;
use crate::plan::fallback::RouteFallback;
use crate::plan::template::json_string;
use crate::shape::Shape;

/// A route, compiled.
#[derive(Debug)]
pub(crate) struct RoutePlan {
    /// The path as written: the label of metrics, logs and audit records.
    pub(crate) path: Arc<str>,
    /// For people.
    pub(crate) description: Option<String>,
    pub(crate) method: Method,
    pub(crate) parts: Vec<PartPlan>,
    pub(crate) respond: Respond,
    /// What is made of the merged document; `None`: it is answered whole.
    pub(crate) shape: Option<Arc<Shape>>,
    pub(crate) timeout: Duration,
    pub(crate) min_sources: usize,
    /// Parts in flight at the same time; `None`: all of them.
    pub(crate) max_parallel: Option<usize>,
    /// What answers when that or a `required` part does not hold.
    pub(crate) fallback: Vec<RouteFallback>,
    /// The tag of the cache entries fetched for it.
    pub(crate) tag: Arc<str>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) door: DoorPlan,
    /// What it takes on at the same time.
    pub(crate) limits: RouteLimits,
    /// Whether it is never shed.
    pub(crate) exempt: bool,
}

/// One source of a route, compiled.
#[derive(Debug)]
pub(crate) struct PartPlan {
    pub(crate) alias: Name,
    /// The source's place in the plan.
    pub(crate) source: usize,
    pub(crate) required: bool,
    pub(crate) params: Vec<(String, RouteTemplate)>,
    /// `{"source":"weather","status":`: how its object in the envelope begins.
    pub(crate) head: String,
    /// `"weather"`.
    pub(crate) quoted: String,
}

impl PartPlan {
    /// Compiles a part; `source` is its place in the plan.
    pub(crate) fn new(spec: &PartSpec, source: usize) -> Self {
        let quoted = json_string(spec.alias.as_str());
        Self {
            alias: spec.alias.clone(),
            source,
            required: spec.required,
            params: spec.params.clone(),
            head: format!("{{\"source\":{quoted},\"status\":"),
            quoted,
        }
    }
}

/// What a route's placeholders read.
pub(crate) struct RequestValues<'a> {
    /// Path parameters, decoded.
    pub(crate) path: &'a [(String, String)],
    /// Query pairs, decoded, in the order sent.
    pub(crate) query: &'a [(String, String)],
    pub(crate) headers: &'a HeaderMap,
}

impl RequestValues<'_> {
    /// The first query value of this name.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        find(self.query, name)
    }

    /// The text of a template; `None` where one of its values is absent.
    pub(crate) fn fill(&self, template: &RouteTemplate) -> Option<String> {
        let mut out = String::new();
        for piece in &template.pieces {
            match piece {
                RoutePiece::Literal(text) => out.push_str(text),
                RoutePiece::Value(RouteValue::Path(name)) => out.push_str(find(self.path, name)?),
                RoutePiece::Value(RouteValue::Query(name)) => out.push_str(self.query(name)?),
                RoutePiece::Value(RouteValue::Header(name)) => out.push_str(self.headers.get(name)?.to_str().ok()?),
            }
        }
        Some(out)
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}
