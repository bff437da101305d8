//! The task that watches the signals. It reads nothing itself: a file that hangs holds up a thread for blocking work,
//! and the signals that come from it fall silent; requests ask for a number and never wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::base::Clock;
use crate::base::Moment;
use crate::live::overload::system::Reader;
use crate::live::snapshot::Snapshot;
use crate::policy::pressure::Assessment;
use crate::policy::pressure::Level;
use crate::policy::pressure::PressureSettings;
use crate::policy::pressure::Signal;
use crate::record::Event;
use crate::record::Events;

/// The longest sleep whose overshoot is the lag of the loop.
const LAG_PROBE: Duration = Duration::from_millis(100);
/// How often the configuration is looked at for signals to watch, where there are none.
const IDLE: Duration = Duration::from_secs(1);

/// Watches the signals.
pub(crate) struct Watch<S, F> {
    pub(crate) clock: Clock,
    pub(crate) events: Events,
    /// Gives the snapshot in force.
    pub(crate) snapshot: S,
    /// Gives how full the fullest background queue is.
    pub(crate) fullest: F,
}

/// What was read, or why it was not; `None`: it was not asked for, or says nothing yet.
struct Readings {
    at: Moment,
    cpu: Option<Result<f64, String>>,
    memory: Option<Result<f64, String>>,
}

/// What the task remembers between two intervals.
#[derive(Default)]
struct Memory {
    reader: Option<Reader>,
    reading: Option<JoinHandle<(Reader, Readings)>>,
    /// The signals that could not be read, told already.
    unreadable: Vec<Signal>,
}

impl<S: Fn() -> Arc<Snapshot>, F: Fn() -> f64> Watch<S, F> {
    /// Watches until `stop`. Without signals to watch it costs a look at the configuration every second.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.watch() => {}
        }
    }

    async fn watch(&self) {
        let mut memory = Memory { reader: Some(Reader::new()), ..Memory::default() };
        loop {
            let snapshot = (self.snapshot)();
            let set = snapshot.plan.server.load_shedding.as_ref().map(|set| set.pressure);
            let Some(set) = set.filter(PressureSettings::is_on) else {
                // What was pressed before is not looked at any more.
                let none = crate::policy::pressure::PRESSURE;
                self.conclude(&snapshot, &snapshot.overload.assess(&none, self.clock.now()));
                tokio::time::sleep(IDLE).await;
                continue;
            };
            let lag = self.sleep(set.sample_interval, snapshot.generation).await;
            let now = self.clock.now();
            memory.collect(&snapshot, &set).await;
            memory.read(&set, self.clock);
            snapshot.overload.observe(&set, Signal::LoopLag, lag.as_secs_f64(), now);
            snapshot.overload.observe(&set, Signal::BackgroundQueue, (self.fullest)(), now);
            self.conclude(&snapshot, &snapshot.overload.assess(&set, now));
        }
    }

    /// Sleeps in short steps; gives the most that one of them was too long. Ends early with the configuration.
    async fn sleep(&self, interval: Duration, generation: u64) -> Duration {
        let mut lag = Duration::ZERO;
        let end = self.clock.now().after(interval);
        loop {
            let now = self.clock.now();
            let left = end.since(now);
            if left.is_zero() || (self.snapshot)().generation != generation {
                return lag;
            }
            let due = now.after(left.min(LAG_PROBE));
            self.clock.sleep_until(due).await;
            lag = lag.max(self.clock.now().since(due));
        }
    }

    /// Says what changed, and lets the cache know.
    fn conclude(&self, snapshot: &Snapshot, found: &Assessment) {
        for signal in &found.silent {
            tracing::warn!(signal = signal.as_str(), "a signal of overload is silent and does not count");
        }
        for signal in &found.heard {
            tracing::info!(signal = signal.as_str(), "a signal of overload is heard again");
        }
        if let Some(change) = &found.change {
            snapshot.cache.press(change.to >= Level::High);
            // None is high any more: they are all at rest.
            let because = change.because.map_or("recovered", Signal::as_str);
            let (from, to) = (change.from.as_str(), change.to.as_str());
            self.events.publish(Event::ShedLevelChanged { from, to, reason: because });
            if change.to > change.from {
                tracing::warn!(event = "shed.level_changed", from, to, because, "the machine is pressed harder");
            } else {
                tracing::info!(event = "shed.level_changed", from, to, because, "the machine is pressed less");
            }
        }
    }
}

impl Memory {
    /// Takes what was read, if it is there: a read that hangs is left to itself.
    async fn collect(&mut self, snapshot: &Snapshot, set: &PressureSettings) {
        if !self.reading.as_ref().is_some_and(JoinHandle::is_finished) {
            return;
        }
        let Some(reading) = self.reading.take() else { return };
        let Ok((reader, readings)) = reading.await else {
            self.reader = Some(Reader::new());
            return;
        };
        self.reader = Some(reader);
        for (signal, read) in [(Signal::Cpu, readings.cpu), (Signal::Memory, readings.memory)] {
            match read {
                Some(Ok(value)) => {
                    self.unreadable.retain(|known| *known != signal);
                    snapshot.overload.observe(set, signal, value, readings.at);
                }
                Some(Err(why)) if !self.unreadable.contains(&signal) => {
                    self.unreadable.push(signal);
                    let signal = signal.as_str();
                    tracing::warn!(signal, why, "this system does not say it: the signal does not count");
                }
                Some(Err(_)) | None => {}
            }
        }
    }

    /// Starts the next read, unless one is under way.
    fn read(&mut self, set: &PressureSettings, clock: Clock) {
        let (cpu, memory) = (set.cpu.is_some(), set.memory.is_some());
        if !cpu && !memory {
            return;
        }
        let Some(mut reader) = self.reader.take() else { return };
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let at = clock.now();
            let cpu = cpu.then(|| reader.cpu(at).transpose()).flatten();
            let memory = memory.then(|| reader.memory());
            (reader, Readings { at, cpu, memory })
        }));
    }
}
