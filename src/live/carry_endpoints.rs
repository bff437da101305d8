//! From one snapshot to the next: the endpoints of a source. A circuit is found by the name of its endpoint; another name
//! is another upstream, with nothing to be held against it.

use std::sync::Arc;

use crate::live::circuit::Circuit;
use crate::live::circuit::tell;
use crate::live::endpoint::LiveEndpoint;
use crate::live::snapshot::LiveSource;
use crate::plan::SourcePlan;
use crate::record::Events;
use crate::record::Metrics;

/// What the circuit of all endpoints is called.
pub(crate) const ALL: &str = "*";

/// What the endpoints of a source are made from.
pub(super) struct Endpoints<'a> {
    pub(super) plan: &'a SourcePlan,
    /// The source in the snapshot before.
    pub(super) before: Option<&'a LiveSource>,
    pub(super) events: &'a Events,
    pub(super) metrics: &'a Metrics,
}

impl Endpoints<'_> {
    pub(super) fn carry(&self) -> Vec<LiveEndpoint> {
        let names = self.plan.endpoints();
        let shared = self.plan.has_one_circuit().then(|| self.shared(&names));
        let make = |name: &str| {
            let known = self.known(name);
            LiveEndpoint {
                name: name.into(),
                circuit: shared.clone().unwrap_or_else(|| self.own(name)),
                metrics: self.metrics.source(&self.plan.name, name),
                pending: known.map(|known| Arc::clone(&known.pending)).unwrap_or_default(),
            }
        };
        names.into_iter().map(make).collect()
    }

    /// The circuit of all endpoints, as long as one of them stays.
    fn shared(&self, names: &[&str]) -> Arc<Circuit> {
        let was_shared = self.before.is_some_and(|before| before.plan.has_one_circuit());
        let known = names.iter().filter(|_| was_shared).find_map(|name| self.known(name));
        self.kept_or_new(known, ALL)
    }

    /// The circuit of one endpoint.
    fn own(&self, name: &str) -> Arc<Circuit> {
        let was_shared = self.before.is_some_and(|before| before.plan.has_one_circuit());
        self.kept_or_new(self.known(name).filter(|_| !was_shared), name)
    }

    fn kept_or_new(&self, known: Option<&LiveEndpoint>, name: &str) -> Arc<Circuit> {
        let (Some(known), Some(before)) = (known, self.before) else {
            let new = Circuit::new(&self.plan.breaker).telling(self.events, &self.plan.name, name);
            return Arc::new(new);
        };
        if let Some(change) = known.circuit.apply(&before.plan.breaker, &self.plan.breaker) {
            tell(&self.plan.name, &change);
        }
        Arc::clone(&known.circuit)
    }

    fn known(&self, name: &str) -> Option<&LiveEndpoint> {
        self.before?.endpoints.iter().find(|endpoint| *endpoint.name == *name)
    }
}
