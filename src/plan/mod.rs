//! Settings → everything a request needs, computed once, at load.

mod compile;
mod door;
mod fallback;
mod params;
mod route;
mod source;
mod table;
mod template;

pub(crate) use compile::Plan;
pub(crate) use compile::compile;
pub(crate) use door::DoorPlan;
pub(crate) use fallback::Constant;
pub(crate) use fallback::RouteFallback;
pub(crate) use params::Bound;
pub(crate) use params::ParamError;
pub(crate) use params::Values;
pub(crate) use route::PartPlan;
pub(crate) use route::RequestValues;
pub(crate) use route::RoutePlan;
pub(crate) use source::CallPlan;
pub(crate) use source::Fallback;
pub(crate) use source::HttpPlan;
pub(crate) use source::SourcePlan;
pub(crate) use source::Target as CallTarget;
pub(crate) use table::Matched;
pub(crate) use table::Target;
pub(crate) use template::encode;
pub(crate) use template::json_string;
