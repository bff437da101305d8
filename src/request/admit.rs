//! Which parts a request asks for, and whether their parameters fit. Nothing is called before all of them do.

use std::sync::Arc;

use crate::config::spec::Respond;
use crate::config::spec::RouteTemplate;
use crate::live::LiveSource;
use crate::plan::Bound;
use crate::plan::CallPlan;
use crate::plan::PartPlan;
use crate::plan::RoutePlan;
use crate::plan::Values;
use crate::request::context::Context;
use crate::request::error::Problem;

/// One part to be had: its source and its parameters.
#[derive(Clone)]
pub(crate) struct PartCall {
    pub(crate) source: Arc<LiveSource>,
    pub(crate) bound: Bound,
    /// Whether it stands in for another source: then one attempt is made.
    pub(crate) once: bool,
}

/// The places of the parts asked for: all, or on `/aggregate` those that `?sources=a,b` names.
pub(crate) fn choose(ctx: &Context<'_>, route: &RoutePlan) -> Result<Vec<usize>, Problem> {
    let every = 0..route.parts.len();
    let picks = route.respond == Respond::Envelope && &*route.path == "/aggregate";
    let Some(wanted) = ctx.values().query("sources").filter(|_| picks).map(str::to_owned) else {
        return Ok(every.collect());
    };
    let known: Vec<&str> = route.parts.iter().map(|part| part.alias.as_str()).collect();
    let names: Vec<&str> = wanted.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(Problem::no_source_named(&known));
    }
    if let Some(unknown) = names.iter().find(|name| !known.contains(*name)) {
        return Err(Problem::unknown_source(unknown, &known));
    }
    let chosen = route.parts.iter().enumerate().filter(|(_, part)| names.contains(&part.alias.as_str()));
    Ok(chosen.map(|(place, _)| place).collect())
}

/// The calls of the chosen parts, every parameter checked.
pub(crate) fn bind(ctx: &Context<'_>, route: &RoutePlan, chosen: &[usize]) -> Result<Vec<PartCall>, Problem> {
    let parts = chosen.iter().filter_map(|place| route.parts.get(*place));
    parts.map(|part| bind_part(ctx, part)).collect()
}

fn bind_part(ctx: &Context<'_>, part: &PartPlan) -> Result<PartCall, Problem> {
    let source = ctx.snapshot.sources.get(part.source).ok_or_else(Problem::internal)?;
    let bound = bind_source(ctx, source, &part.params)?;
    Ok(PartCall { source: Arc::clone(source), bound, once: false })
}

/// A source's parameters: what the route gives, else the query's value of the same name.
pub(crate) fn bind_source(
    ctx: &Context<'_>,
    source: &LiveSource,
    given: &[(String, RouteTemplate)],
) -> Result<Bound, Problem> {
    if source.plan.params.is_empty() {
        return Bound::bind(&source.plan.params, &Values::default()).map_err(|error| Problem::parameter(&error));
    }
    let request = ctx.values();
    let mut values = Values::default();
    for spec in source.plan.params.iter() {
        let value = match given.iter().find(|(name, _)| *name == spec.name) {
            Some((_, template)) => request.fill(template),
            None => request.query(&spec.name).map(str::to_owned),
        };
        if let Some(value) = value {
            values.set(&spec.name, value);
        }
    }
    let bound = Bound::bind(&source.plan.params, &values).map_err(|error| Problem::parameter(&error))?;
    if let CallPlan::Http(http) = &source.plan.call {
        http.check(&bound).map_err(|error| Problem::parameter(&error))?;
    }
    Ok(bound)
}
