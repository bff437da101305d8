//! One test, from its first step to its last, in a gateway of its own.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use futures_util::future::join_all;

use crate::app;
use crate::app::App;
use crate::app::Loading;
use crate::base::Clock;
use crate::base::Moment;
use crate::base::Pretty;
use crate::cli::test::ask;
use crate::cli::test::ask::Seen;
use crate::cli::test::idle::Idle;
use crate::cli::test::judge;
use crate::cli::test::judge::Failure;
use crate::cli::test::wire;
use crate::cli::test::wire::Wire;
use crate::config;
use crate::config::Environment;
use crate::config::Files;
use crate::config::Location;
use crate::config::selftest::Given;
use crate::config::selftest::Step;
use crate::config::selftest::Subject;
use crate::config::selftest::TestSpec;
use crate::config::spec::Database;
use crate::config::spec::Spec;
use crate::diag::Place;
use crate::outbound::Network;
use crate::record::Logs;
use crate::request::Note;
use crate::request::Shared;
use crate::request::Trail;

/// When every test begins: 2026-01-01T00:00:00Z.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);
/// No answer takes longer, whatever is configured; what does would wait for ever.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What all tests stand on.
pub(crate) struct Ground<'a> {
    pub(crate) location: Location,
    pub(crate) environment: Environment,
    pub(crate) files: Files,
    pub(crate) spec: &'a Spec,
    /// Whether all that the engine decided is kept, of every step.
    pub(crate) explain: bool,
}

/// How a test ended.
#[derive(Default)]
pub(crate) struct Verdict {
    /// What was not as expected, of the first step in which something was not. None: it passed.
    pub(crate) failures: Vec<Failure>,
    /// Where it ended: `step 2 of 3, request 5 of 5`.
    pub(crate) within: String,
    /// What happened, in order; of the steps before the last one without what the engine decided.
    pub(crate) history: Vec<Line>,
}

/// Something that happened.
pub(crate) struct Line {
    pub(crate) at: Moment,
    pub(crate) text: String,
    /// Whether engine or network did it, and not the test.
    is_detail: bool,
}

/// Plays a test in a new gateway, in a runtime whose time is paused and which has no network.
pub(crate) fn play(test: &TestSpec, ground: &Ground<'_>) -> Verdict {
    // The same chances each time, whatever other tests there are.
    fastrand::seed(rapidhash::v3::rapidhash_v3(test.title.as_bytes()));
    let idle = Idle::default();
    let told = idle.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .on_thread_park(move || told.about_to_sleep())
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(live(test, ground, idle)),
        Err(error) => Verdict::of(test.place.clone(), format!("no runtime: {error}")),
    }
}

impl Verdict {
    fn of(place: Place, message: String) -> Self {
        Self { failures: vec![Failure { place, message, lines: Vec::new() }], ..Self::default() }
    }
}

async fn live(test: &TestSpec, ground: &Ground<'_>, idle: Idle) -> Verdict {
    let clock = Clock::start_at(SystemTime::UNIX_EPOCH + BEGINNING);
    let trail = Trail::on();
    let wire = Arc::new(Wire::new(clock, trail.clone()));
    let app = match gateway(test, ground, clock, Arc::clone(&wire) as Arc<dyn Network>) {
        Ok(app) => app,
        Err(why) => return Verdict::of(test.place.clone(), why),
    };
    let shared = Arc::clone(&app.shared);
    let explain = ground.explain;
    let mut life = Life { test, shared, wire, idle, trail, explain, verdict: Verdict::default() };
    if life.give(&test.given) {
        for (index, step) in test.steps.iter().enumerate() {
            if test.steps.len() > 1 {
                life.verdict.within = format!("step {} of {}", index + 1, test.steps.len());
            }
            life.step(step).await;
            if !life.verdict.failures.is_empty() {
                break;
            }
        }
    }
    life.remember();
    life.verdict
}

/// A gateway with nothing behind it: no listener, no database, the wire for a network.
fn gateway(test: &TestSpec, ground: &Ground<'_>, clock: Clock, network: Arc<dyn Network>) -> Result<App, String> {
    let timeout = match &test.subject {
        Subject::Source(name) => {
            let source = ground.spec.sources.iter().find(|source| source.name == *name);
            source.map(|source| source.policies.timeout).unwrap_or_default()
        }
        Subject::Route(_) => Duration::ZERO,
    };
    // The source's own timer is what ends a slow call: the reserve of the route comes on top.
    let timeout = timeout + 2 * ground.spec.server.deadline.response_reserve;
    let files = match ask::hidden_route(&test.subject, timeout) {
        Some(route) => ground.files.with("aggd-test", &route),
        None => ground.files.clone(),
    };
    let mut loaded = config::load(&files, &ground.environment);
    loaded.spec.server.database = Database::Off;
    // What goes wrong shows as a failure of the test; the log would say it a second time.
    "off".clone_into(&mut loaded.spec.server.telemetry.level);
    let logs = Logs::install(&loaded.spec.server.telemetry);
    let environment = ground.environment.clone();
    let loading = Loading { location: ground.location.clone(), environment, files, loaded, quarantined: false };
    let upon = app::Ground { clock, network: Some(network), audited: true };
    App::build_upon(loading, logs, upon).map_err(|error| error.to_string())
}

/// A test under way.
struct Life<'a> {
    test: &'a TestSpec,
    shared: Arc<Shared>,
    wire: Arc<Wire>,
    idle: Idle,
    trail: Trail,
    explain: bool,
    verdict: Verdict,
}

impl Life<'_> {
    async fn step(&mut self, step: &Step) {
        self.remember();
        if !self.explain {
            self.verdict.history.retain(|line| !line.is_detail);
        }
        if !self.give(&step.given) {
            return;
        }
        if let Some(advance) = step.advance {
            self.remember();
            self.note(format!("{} pass", Pretty(advance)));
            let until = self.shared.clock.now().after(advance);
            self.shared.clock.sleep_until(until).await;
            self.idle.reached().await;
        }
        let rounds = if step.at_once { 1 } else { step.asks };
        let each = if step.at_once { step.asks } else { 1 };
        for round in 0..rounds {
            if !self.ask(step, round, each).await {
                return;
            }
        }
        let state = step.expect.iter().filter_map(|one| judge::of_state(one, &self.shared, &self.wire));
        self.verdict.failures.extend(state);
        self.unexpected(&step.place);
    }

    /// Asks, so many at the same time; whether every answer is as expected. `before` were asked before in this step.
    async fn ask(&mut self, step: &Step, before: u32, count: u32) -> bool {
        let path = ask::path(&self.test.subject, &step.request);
        self.remember();
        let what = match &self.test.subject {
            Subject::Source(name) => format!("asks `{name}`"),
            Subject::Route(_) => format!("asks {path}"),
        };
        self.note(if count > 1 { format!("{what}, {count} at the same time") } else { what });
        let asked = (0..count).map(|_| ask::ask(&self.shared, &path, &step.request, &self.trail));
        let seen = tokio::time::timeout(LONGEST, join_all(asked)).await;
        self.idle.reached().await;
        self.remember();
        let Ok(seen) = seen else {
            self.fail(&step.place, "no answer, ever".to_owned());
            return false;
        };
        let within = self.verdict.within.clone();
        for (number, seen) in (before + 1..).zip(seen) {
            if step.asks > 1 {
                let comma = if within.is_empty() { "" } else { ", " };
                self.verdict.within = format!("{within}{comma}request {number} of {}", step.asks);
            }
            match seen {
                Some(seen) => self.judge(step, &seen),
                None => self.fail(&step.place, format!("nothing is served at `{path}`")),
            }
            if !self.verdict.failures.is_empty() {
                self.unexpected(&step.place);
                return false;
            }
        }
        self.verdict.within = within;
        true
    }

    fn judge(&mut self, step: &Step, seen: &Seen) {
        self.note(format!("answered {} after {}", seen.status, Pretty(seen.took)));
        self.verdict.failures.extend(step.expect.iter().filter_map(|one| judge::of_answer(one, seen)));
    }

    /// Upstreams answer this from here on; `false`: a file of theirs can't be read.
    fn give(&mut self, given: &[Given]) -> bool {
        for given in given {
            match wire::script(given) {
                Ok(answers) => self.wire.give(&given.source, answers),
                Err((answer, why)) => {
                    let place = answer.place.clone();
                    self.fail(&place, why);
                    return false;
                }
            }
        }
        true
    }

    /// A call that nothing is given for is a mistake of the test: told before what came of it.
    fn unexpected(&mut self, place: &Place) {
        for name in self.wire.unexpected() {
            let message = format!("the upstream of `{name}` was called, and nothing is `given` for it");
            if self.verdict.failures.iter().all(|failure| failure.message != message) {
                self.verdict.failures.insert(0, Failure { place: place.clone(), message, lines: Vec::new() });
            }
        }
    }

    fn fail(&mut self, place: &Place, message: String) {
        self.verdict.failures.push(Failure { place: place.clone(), message, lines: Vec::new() });
    }

    fn note(&mut self, text: String) {
        self.verdict.history.push(Line { at: self.shared.clock.now(), text, is_detail: false });
    }

    /// Takes up what engine and network have noted.
    fn remember(&mut self) {
        let notes = self.trail.take().into_iter();
        let line =
            |note: Note| Line { at: note.at, text: format!("  {}: {}", note.source, note.text), is_detail: true };
        self.verdict.history.extend(notes.map(line));
    }
}
