//! A source's circuit as calls share it: the breaker behind a lock, and permits that give themselves back.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::base::Moment;
use crate::base::Name;
use crate::policy::breaker::Breaker;
use crate::policy::breaker::BreakerSettings;
use crate::policy::breaker::Change;
use crate::policy::breaker::Counts;
use crate::policy::breaker::Denied;
use crate::policy::breaker::DenyReason;
use crate::policy::breaker::Ended;
use crate::policy::breaker::Pass;
use crate::policy::breaker::View;
use crate::policy::outcome::Outcome;
use crate::record::Event;
use crate::record::Events;

/// One circuit. Lives as long as the source's name does, over reloads.
#[derive(Debug)]
pub(crate) struct Circuit {
    breaker: Mutex<Breaker>,
    voice: Option<Voice>,
}

/// Whose circuit it is, and where its changes are told.
#[derive(Debug)]
struct Voice {
    events: Events,
    source: Name,
    endpoint: Arc<str>,
}

/// The answer to a request for a permit, and what asking changed, for the caller to tell.
#[must_use]
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) permit: Result<Permit, Denied>,
    pub(crate) change: Option<Change>,
}

/// Leave to make one call. Dropped without a `record`, at any await, the call was cancelled: that says nothing, and a
/// probe's place is free again.
#[must_use]
#[derive(Debug)]
pub(crate) struct Permit {
    circuit: Arc<Circuit>,
    /// `None` once it was recorded.
    pass: Option<Pass>,
}

impl Circuit {
    /// A circuit nothing happened to.
    pub(crate) fn new(set: &BreakerSettings) -> Self {
        Self { breaker: Mutex::new(Breaker::new(set)), voice: None }
    }

    /// The same, which publishes its changes as those of this endpoint.
    pub(crate) fn telling(self, events: &Events, source: &Name, endpoint: &str) -> Self {
        let voice = Voice { events: events.clone(), source: source.clone(), endpoint: endpoint.into() };
        Self { voice: Some(voice), ..self }
    }

    /// Asks to make one call, as the last thing before it is sent. `budget` is what the attempt may take.
    pub(crate) fn admit(self: &Arc<Self>, set: &BreakerSettings, now: Moment, budget: Duration) -> Admission {
        let mut breaker = self.lock();
        let asked = breaker.admit(set, now, budget, draw(set));
        self.publish(&breaker, asked.change.as_ref());
        drop(breaker);
        let permit = asked.answer.map(|pass| Permit { circuit: Arc::clone(self), pass: Some(pass) });
        Admission { permit, change: asked.change }
    }

    /// What [`Circuit::admit`] would answer; changes and counts nothing.
    pub(crate) fn peek(&self, set: &BreakerSettings, now: Moment) -> Result<(), Denied> {
        self.lock().peek(set, now)
    }

    /// Counts a refusal that only `peek` gave.
    pub(crate) fn count_refusal(&self, reason: DenyReason) {
        self.lock().count_refusal(reason);
    }

    /// The circuit as it is now.
    pub(crate) fn view(&self, set: &BreakerSettings, now: Moment) -> View {
        self.lock().view(set, now)
    }

    /// What it has counted so far.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts()
    }

    /// Refuses everything until `ttl` is over, then probes; without a ttl until somebody says otherwise.
    pub(crate) fn force_open(&self, ttl: Option<Duration>, now: Moment) -> Change {
        let mut breaker = self.lock();
        let change = breaker.force_open(ttl, now);
        self.publish(&breaker, Some(&change));
        change
    }

    /// Admits everything; results are counted and open nothing.
    pub(crate) fn force_close(&self) -> Change {
        let mut breaker = self.lock();
        let change = breaker.force_close();
        self.publish(&breaker, Some(&change));
        change
    }

    /// Back to rest with a clean record; calls in flight no longer count.
    pub(crate) fn reset(&self, set: &BreakerSettings) -> Change {
        let mut breaker = self.lock();
        let change = breaker.reset(set);
        self.publish(&breaker, Some(&change));
        change
    }

    /// Takes over from one set of settings to the next. Requests of the old snapshot may still come with the old ones:
    /// the machine remembers none, so that ends with them.
    pub(crate) fn apply(&self, old: &BreakerSettings, new: &BreakerSettings) -> Option<Change> {
        let mut breaker = self.lock();
        let change = breaker.apply(old, new);
        self.publish(&breaker, change.as_ref());
        change
    }

    /// Publishes a change while the lock under which it was made is held: so events stand in the order of changes,
    /// whoever made them. It waits for nothing, and whoever listens does so in tasks of their own.
    fn publish(&self, _held: &MutexGuard<'_, Breaker>, change: Option<&Change>) {
        if let (Some(voice), Some(change)) = (&self.voice, change) {
            voice.events.of_endpoint(&voice.source, &voice.endpoint, Event::Circuit(*change));
        }
    }

    /// A poisoned lock is taken all the same: a breaker's calls do not panic, and each leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Reports how the call ended. `took` is from send to the end of decoding.
    pub(crate) fn record(
        mut self,
        set: &BreakerSettings,
        outcome: &Outcome,
        took: Duration,
        now: Moment,
    ) -> Option<Change> {
        let pass = self.pass.take()?;
        let ended = Ended { evidence: outcome.evidence, retry_after: outcome.retry_after, took, draw: draw(set) };
        let mut breaker = self.circuit.lock();
        let change = breaker.record(set, pass, ended, now);
        self.circuit.publish(&breaker, change.as_ref());
        change
    }

    /// Whether the call decides over a half-open circuit, and so runs to its end even if its client leaves.
    pub(crate) fn is_probe(&self) -> bool {
        self.pass.as_ref().is_some_and(Pass::is_probe)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.circuit.lock().release(pass);
        }
    }
}

/// Says that a circuit changed: once, by whoever caused the change.
pub(crate) fn tell(source: &Name, change: &Change) {
    tracing::info!(
        event = change.event(),
        source = source.as_str(),
        from = change.from.as_str(),
        to = change.to.as_str(),
        reason = change.reason.as_str(),
        generation = change.generation,
        consecutive_failures = change.consecutive_failures,
        open_for_ms = change.open_for.map(|open_for| open_for.as_secs_f64() * 1000.0),
        "circuit changed"
    );
}

/// The draw for the jitter of an open period; the middle of the range where there is no jitter to draw for.
fn draw(set: &BreakerSettings) -> f64 {
    if set.open_backoff.jitter > 0.0 { fastrand::f64() } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::base::Tasks;
    use crate::policy::breaker::BREAKER_DEFAULTS;
    use crate::policy::breaker::CircuitState;
    use crate::policy::breaker::Reason;
    use crate::policy::outcome::Kind;

    const BUDGET: Duration = Duration::from_secs(5);

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    fn outcome(kind: Kind) -> Outcome {
        Outcome { kind, evidence: kind.evidence(), retry_after: None }
    }

    /// One failure opens.
    const SET: BreakerSettings = BreakerSettings { failure_threshold: 1, ..BREAKER_DEFAULTS };

    fn permit(circuit: &Arc<Circuit>, now: Moment) -> Permit {
        circuit.admit(&SET, now, BUDGET).permit.unwrap()
    }

    fn opened() -> Arc<Circuit> {
        let circuit = Arc::new(Circuit::new(&SET));
        let change = permit(&circuit, at(0)).record(&SET, &outcome(Kind::ServerError), BUDGET, at(0)).unwrap();
        assert_eq!((change.event(), change.generation), ("circuit.opened", 1));
        circuit
    }

    #[test]
    fn con_01_one_of_a_thousand_callers_at_the_instant_of_recovery_is_the_probe() {
        let circuit = opened();
        let start = Barrier::new(8);
        let (mut permits, mut changes) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            let ask = || {
                start.wait();
                (0..125).map(|_| circuit.admit(&SET, at(30_000), BUDGET)).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            for admission in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
                permits.extend(admission.permit.ok());
                changes.extend(admission.change);
            }
        });
        assert_eq!(permits.len(), 1);
        assert!(permits[0].is_probe());
        assert_eq!(changes.iter().map(|change| change.reason).collect::<Vec<_>>(), [Reason::Elapsed]);
        assert_eq!(circuit.counts().rejected_half_open_full, 999);
    }

    #[tokio::test]
    async fn con_02_an_aborted_probe_frees_its_place_wherever_it_was() {
        let circuit = opened();
        // Before its first poll, while it waits, and when it has its answer but has not recorded it.
        for stage in 0..3 {
            let permit = permit(&circuit, at(30_000));
            let (answer, answered) = tokio::sync::oneshot::channel::<()>();
            let task = Tasks::default().spawn(async move {
                answered.await.unwrap();
                std::future::pending::<()>().await;
                drop(permit);
            });
            if stage > 0 {
                tokio::task::yield_now().await;
            }
            if stage == 2 {
                answer.send(()).unwrap();
                tokio::task::yield_now().await;
            }
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            let view = circuit.view(&SET, at(30_000));
            assert_eq!((view.state, view.probes_in_flight, view.generation), (CircuitState::HalfOpen, 0, 2), "{stage}");
        }
        assert!(circuit.peek(&SET, at(30_000)).is_ok());
    }

    #[test]
    fn con_03_a_probe_that_panics_is_neutral_and_frees_its_place() {
        let circuit = opened();
        let permit = permit(&circuit, at(30_000));
        let probe = std::thread::spawn(move || {
            let _held = permit;
            std::panic::resume_unwind(Box::new("the probe panics"));
        });
        assert!(probe.join().is_err());
        let view = circuit.view(&SET, at(30_000));
        assert_eq!((view.state, view.probes_in_flight, view.consecutive_failures), (CircuitState::HalfOpen, 0, 1));
        assert!(circuit.peek(&SET, at(30_000)).is_ok());
    }

    #[test]
    fn con_04_failures_recorded_at_once_open_it_once() {
        let circuit = Arc::new(Circuit::new(&BREAKER_DEFAULTS));
        let permits: Vec<_> = (0..64).map(|_| permit(&circuit, at(0))).collect();
        let start = Barrier::new(permits.len());
        let changes: Vec<Change> = std::thread::scope(|scope| {
            let record = |permit: Permit| {
                start.wait();
                permit.record(&BREAKER_DEFAULTS, &outcome(Kind::AttemptTimeout), BUDGET, at(1))
            };
            let threads: Vec<_> = permits.into_iter().map(|permit| scope.spawn(move || record(permit))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].generation, changes[0].reason), (1, Reason::ConsecutiveFailures));
        let view = circuit.view(&BREAKER_DEFAULTS, at(1));
        assert_eq!((view.state, view.generation, view.consecutive_failures), (CircuitState::Open, 1, 5));
        assert_eq!((circuit.counts().failures, circuit.counts().late_results), (64, 59));
    }

    #[test]
    fn a_permit_counts_once_whether_recorded_or_dropped() {
        let circuit = Arc::new(Circuit::new(&BREAKER_DEFAULTS));
        drop(permit(&circuit, at(0)));
        assert_eq!(permit(&circuit, at(0)).record(&SET, &outcome(Kind::Success), BUDGET, at(7)), None);
        let counts = circuit.counts();
        assert_eq!((counts.neutral, counts.successes), (1, 1));
        let ago = circuit.view(&SET, at(9)).last_success_ago;
        assert_eq!(ago, Some(Duration::from_millis(2)));
    }

    #[test]
    fn new_settings_are_in_force_for_permits_given_under_the_old() {
        let circuit = Arc::new(Circuit::new(&BREAKER_DEFAULTS));
        let permit = permit(&circuit, at(0));
        assert_eq!(circuit.apply(&BREAKER_DEFAULTS, &SET), None);
        let change = permit.record(&SET, &outcome(Kind::Reset), BUDGET, at(1)).unwrap();
        assert_eq!((change.to, change.open_for), (CircuitState::Open, Some(Duration::from_secs(30))));
    }
}
