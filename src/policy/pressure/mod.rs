//! How hard the machine is pressed: a level, made of signals that somebody else reads.
//!
//! ```text
//!           average ≥ high              average ≥ critical
//!  normal ─────────────────► high ─────────────────────► critical
//!         ◄─────────────────      ◄─────────────────────
//!   average < exit_factor × high   average < exit_factor × critical
//! ```
//!
//! Each signal has an average of its own (exponentially weighted, from zero), and a level of its own; the worst level
//! of those that speak is the machine's. A signal that says nothing for more than five intervals does not count:
//! without knowing, nobody is turned away.

mod gauge;

use std::time::Duration;

use smallvec::SmallVec;

use crate::base::Moment;
use crate::policy::pressure::gauge::Gauge;
use crate::policy::priority::Priority;

/// A signal that was silent for more intervals than this does not count.
const SILENT_INTERVALS: u32 = 5;

/// How hard the machine is pressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Level {
    #[default]
    Normal,
    /// What is `low` is shed; no refreshes, no hedges.
    High,
    /// What is `normal` is shed too.
    Critical,
}

impl Level {
    /// The word in answers and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The number in metrics and in atomics.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::High => 1,
            Self::Critical => 2,
        }
    }

    /// The level of a number.
    pub(crate) fn of_number(number: u8) -> Self {
        match number {
            0 => Self::Normal,
            1 => Self::High,
            _ => Self::Critical,
        }
    }

    /// Whether requests of this class are turned away.
    pub(crate) fn sheds(self, priority: Priority) -> bool {
        match self {
            Self::Normal => false,
            Self::High => priority == Priority::Low,
            Self::Critical => priority <= Priority::Normal,
        }
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Signal {
    /// The share of the CPU time there is that is used.
    Cpu,
    /// The share of the memory there is that is used.
    Memory,
    /// How late timers are, in seconds.
    LoopLag,
    /// How full the fullest background queue is.
    BackgroundQueue,
}

impl Signal {
    pub(crate) const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::LoopLag, Self::BackgroundQueue];

    /// The name in configurations and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::LoopLag => "loop_lag",
            Self::BackgroundQueue => "background_queue",
        }
    }
}

/// Where a signal is too high: a share, or seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Band {
    pub(crate) high: f64,
    pub(crate) critical: f64,
}

/// `signals:` and what goes with them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PressureSettings {
    /// `None`: not looked at.
    pub(crate) cpu: Option<Band>,
    pub(crate) memory: Option<Band>,
    pub(crate) loop_lag: Option<Band>,
    pub(crate) background_queue: Option<Band>,
    pub(crate) sample_interval: Duration,
    /// The weight of a new sample in the average: above 0, at most 1.
    pub(crate) ewma_alpha: f64,
    /// A level is left below this share of what entered it.
    pub(crate) exit_factor: f64,
}

/// Used where the file is silent: no signal is looked at.
pub(crate) const PRESSURE: PressureSettings = PressureSettings {
    cpu: None,
    memory: None,
    loop_lag: None,
    background_queue: None,
    sample_interval: Duration::from_millis(250),
    ewma_alpha: 0.3,
    exit_factor: 0.9,
};

impl PressureSettings {
    /// Where a signal is too high; `None`: it is not looked at.
    pub(crate) fn band(&self, signal: Signal) -> Option<Band> {
        match signal {
            Signal::Cpu => self.cpu,
            Signal::Memory => self.memory,
            Signal::LoopLag => self.loop_lag,
            Signal::BackgroundQueue => self.background_queue,
        }
    }

    /// Whether any signal is looked at.
    pub(crate) fn is_on(&self) -> bool {
        Signal::ALL.into_iter().any(|signal| self.band(signal).is_some())
    }

    /// How long a signal may be silent and still count.
    pub(crate) fn patience(&self) -> Duration {
        self.sample_interval * SILENT_INTERVALS
    }
}

/// The level changed, and which signal is the worst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LevelChange {
    pub(crate) from: Level,
    pub(crate) to: Level,
    /// `None`: none is high any more.
    pub(crate) because: Option<Signal>,
}

/// What came of looking at all signals together.
#[derive(Debug, Default)]
pub(crate) struct Assessment {
    pub(crate) change: Option<LevelChange>,
    /// They were silent for too long, and count no more.
    pub(crate) silent: SmallVec<[Signal; 1]>,
    /// They were silent, and are heard again.
    pub(crate) heard: SmallVec<[Signal; 1]>,
}

/// One signal as it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SignalView {
    pub(crate) signal: Signal,
    /// The average.
    pub(crate) value: f64,
    pub(crate) level: Level,
    /// Whether it was silent for too long, and does not count.
    pub(crate) stale: bool,
}

/// The memory of all signals. Outlives every configuration.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    cpu: Option<Gauge>,
    memory: Option<Gauge>,
    loop_lag: Option<Gauge>,
    background_queue: Option<Gauge>,
    level: Level,
}

impl Pressure {
    /// A signal was read. One that is not looked at is not kept.
    pub(crate) fn observe(&mut self, set: &PressureSettings, signal: Signal, value: f64, now: Moment) {
        if set.band(signal).is_some() {
            let patience = set.patience();
            self.slot(signal).get_or_insert_with(|| Gauge::new(now)).observe(value, set.ewma_alpha, patience, now);
        }
    }

    /// Looks at all signals together. To be called every interval, read or not.
    pub(crate) fn assess(&mut self, set: &PressureSettings, now: Moment) -> Assessment {
        let mut found = Assessment::default();
        let mut worst = (Level::Normal, None);
        for signal in Signal::ALL {
            let slot = self.slot(signal);
            let Some(band) = set.band(signal) else {
                *slot = None;
                continue;
            };
            let gauge = slot.get_or_insert_with(|| Gauge::new(now));
            match gauge.listen(set.patience(), now) {
                Some(true) => found.silent.push(signal),
                Some(false) => found.heard.push(signal),
                None => {}
            }
            let level = gauge.judge(band, set.exit_factor);
            if level > worst.0 {
                worst = (level, Some(signal));
            }
        }
        let from = std::mem::replace(&mut self.level, worst.0);
        found.change = (from != worst.0).then_some(LevelChange { from, to: worst.0, because: worst.1 });
        found
    }

    /// The level of the last assessment.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// The signals that are looked at.
    pub(crate) fn view(&self) -> impl Iterator<Item = SignalView> {
        let gauges = [&self.cpu, &self.memory, &self.loop_lag, &self.background_queue];
        Signal::ALL.into_iter().zip(gauges).filter_map(|(signal, gauge)| {
            let gauge = gauge.as_ref()?;
            let (value, level, stale) = (gauge.average(), gauge.level(), gauge.is_stale());
            Some(SignalView { signal, value, level, stale })
        })
    }

    fn slot(&mut self, signal: Signal) -> &mut Option<Gauge> {
        match signal {
            Signal::Cpu => &mut self.cpu,
            Signal::Memory => &mut self.memory,
            Signal::LoopLag => &mut self.loop_lag,
            Signal::BackgroundQueue => &mut self.background_queue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAND: Band = Band { high: 0.85, critical: 0.95 };
    const SET: PressureSettings = PressureSettings { cpu: Some(BAND), ewma_alpha: 1.0, ..PRESSURE };

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    fn told(pressure: &mut Pressure, set: &PressureSettings, value: f64, ms: u64) -> Level {
        pressure.observe(set, Signal::Cpu, value, at(ms));
        drop(pressure.assess(set, at(ms)));
        pressure.level()
    }

    #[test]
    fn lsh_15_a_level_is_left_later_than_it_was_entered() {
        let mut pressure = Pressure::default();
        let seen = [0.86, 0.80, 0.76].map(|value| told(&mut pressure, &SET, value, 0));
        assert_eq!(seen, [Level::High, Level::High, Level::Normal]);
        let seen = [0.85, 0.95, 0.86, 0.854, 0.765, 0.764].map(|value| told(&mut pressure, &SET, value, 0));
        let expected = [Level::High, Level::Critical, Level::Critical, Level::High, Level::High, Level::Normal];
        assert_eq!(seen, expected);
    }

    #[test]
    fn lsh_16_a_silent_signal_is_ignored_and_told_once() {
        let mut pressure = Pressure::default();
        assert_eq!(told(&mut pressure, &SET, 1.0, 0), Level::Critical);
        let five = pressure.assess(&SET, at(1250));
        assert_eq!((five.silent.len(), pressure.level()), (0, Level::Critical));
        let six = pressure.assess(&SET, at(1500));
        assert_eq!(six.silent.as_slice(), [Signal::Cpu]);
        assert_eq!(six.change.map(|change| (change.to, change.because)), Some((Level::Normal, None)));
        assert!(pressure.view().all(|view| view.stale && view.level == Level::Normal));
        assert!(pressure.assess(&SET, at(1750)).silent.is_empty());
        pressure.observe(&SET, Signal::Cpu, 0.5, at(2000));
        let back = pressure.assess(&SET, at(2000));
        assert_eq!((back.heard.as_slice(), back.change), ([Signal::Cpu].as_slice(), None));
        assert!(pressure.view().all(|view| !view.stale && (view.value - 0.5).abs() < 1e-9), "it starts anew");
    }

    #[test]
    fn a_signal_that_never_speaks_is_told_too() {
        let mut pressure = Pressure::default();
        assert!(pressure.assess(&SET, at(0)).silent.is_empty());
        assert_eq!(pressure.assess(&SET, at(1251)).silent.as_slice(), [Signal::Cpu]);
    }

    #[test]
    fn one_sample_is_no_level_and_the_worst_signal_decides() {
        let set = PressureSettings { memory: Some(BAND), ewma_alpha: 0.3, ..SET };
        let mut pressure = Pressure::default();
        assert_eq!(told(&mut pressure, &set, 1.0, 0), Level::Normal);
        let steps = (1..20).find(|step| told(&mut pressure, &set, 1.0, step * 250) == Level::High);
        assert_eq!(steps, Some(5), "1 − 0.7⁶ is the first above 0.85");
        for step in 6..30 {
            pressure.observe(&set, Signal::Memory, 0.99, at(step * 250));
            pressure.observe(&set, Signal::Cpu, 0.9, at(step * 250));
            drop(pressure.assess(&set, at(step * 250)));
        }
        assert_eq!(pressure.level(), Level::Critical);
        let change = pressure.assess(&SET, at(29 * 250)).change.unwrap();
        assert_eq!((change.to, change.because), (Level::High, Some(Signal::Cpu)), "memory is not looked at any more");
        assert_eq!(pressure.view().count(), 1);
    }

    #[test]
    fn who_is_shed_at_which_level() {
        let shed = |level: Level| Priority::ALL.map(|priority| level.sheds(priority));
        assert_eq!(shed(Level::Normal), [false; 4]);
        assert_eq!(shed(Level::High), [true, false, false, false]);
        assert_eq!(shed(Level::Critical), [true, true, false, false]);
        for level in [Level::Normal, Level::High, Level::Critical] {
            assert_eq!(Level::of_number(level.number()), level);
        }
    }
}
