//! A source's adaptive limit as its calls share it: the machine behind a lock, and the gate that it opens and closes.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::base::Clock;
use crate::base::Moment;
use crate::live::gate::Gate;
use crate::policy::adaptive::Adaptive;
use crate::policy::adaptive::AdaptiveSettings;
use crate::policy::adaptive::AdaptiveView;
use crate::policy::adaptive::Algorithm;
use crate::policy::adaptive::Completion;
use crate::policy::adaptive::Epoch;
use crate::policy::adaptive::Sample;
use crate::policy::adaptive::Told;
use crate::policy::limiter::LimiterSettings;

/// The limit of one source. Its memory lives as long as the source's name does, over reloads.
#[derive(Debug)]
pub(crate) struct AdaptiveLimit {
    pub(crate) settings: AdaptiveSettings,
    /// How its gate is, but for the limit.
    gate_settings: LimiterSettings,
    gate: Arc<Gate>,
    machine: Arc<Mutex<Adaptive>>,
}

impl AdaptiveLimit {
    /// A limit over this gate: with the memory that it had, or a new one. The gate is set to it.
    pub(crate) fn over(
        gate: &Arc<Gate>,
        (settings, gate_settings): (AdaptiveSettings, LimiterSettings),
        before: Option<&Self>,
        clock: &Clock,
    ) -> Self {
        let machine =
            before.map_or_else(|| Arc::new(Mutex::new(Adaptive::new(&settings))), |it| Arc::clone(&it.machine));
        let limit = Self { settings, gate_settings, gate: Arc::clone(gate), machine };
        let mut machine = limit.lock();
        if let Some(before) = before {
            machine.apply(&before.settings, &settings);
        }
        // Under the machine's lock, as every change of the gate's limit is: so the last decision is the one in force.
        limit.set_gate(machine.admits(), clock);
        drop(machine);
        limit
    }

    /// A call is sent.
    pub(crate) fn begin(&self) -> Epoch {
        let in_flight = self.gate.active();
        self.lock().begin(in_flight)
    }

    /// A call ended. The change, where it is worth telling.
    pub(crate) fn record(&self, epoch: Epoch, sample: Sample, now: Moment, clock: &Clock) -> Option<Told> {
        if sample == Sample::Ignore {
            return None;
        }
        let draw = if matches!(self.settings.algorithm, Algorithm::Vegas) { fastrand::f64() } else { 0.5 };
        let done = Completion { epoch, sample, in_flight: self.gate.active(), draw };
        let mut machine = self.lock();
        let change = machine.record(&self.settings, done, now)?;
        if change.from != change.to {
            self.set_gate(change.to, clock);
        }
        drop(machine);
        change.worth_telling
    }

    /// The limit as it is.
    pub(crate) fn view(&self) -> AdaptiveView {
        self.lock().view()
    }

    fn set_gate(&self, limit: u32, clock: &Clock) {
        self.gate.resize(LimiterSettings { limit, ..self.gate_settings }, clock);
    }

    /// The machine's calls do not panic, and each leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Adaptive> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
