//! Load shedding: what was turned away, counted as it happens; how many requests are under way and how hard the machine
//! is pressed, read at the scrape.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use crate::policy::pressure::Level;
use crate::policy::pressure::SignalView;
use crate::policy::priority::Priority;
use crate::policy::shedding::Shed;
use crate::record::metrics::family::Family;
use crate::record::metrics::family::alone;
use crate::record::metrics::family::number;
use crate::record::metrics::series::Tally;
use crate::record::metrics::series::Timings;

/// What was turned away.
#[derive(Debug, Default)]
pub(crate) struct SheddingMetrics {
    shed: Tally<(Shed, Priority)>,
    waits: Timings<()>,
    brownouts: Counter,
}

/// The load at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoadGauges {
    pub(crate) in_flight: u32,
    /// 0 with `load_shedding: off`.
    pub(crate) max_in_flight: u32,
    pub(crate) waiting: u32,
    pub(crate) level: Level,
    pub(crate) signals: Vec<SignalView>,
    /// The routes that count their own requests.
    pub(crate) routes: Vec<(String, u32)>,
}

impl SheddingMetrics {
    /// A request was turned away.
    pub(crate) fn shed(&self, why: Shed, priority: Priority) {
        self.shed.count((why, priority));
    }

    /// A request stood in line for this long, whatever came of it.
    pub(crate) fn waited(&self, waited: Duration) {
        self.waits.observe((), waited);
    }

    /// A request that would have been turned away was answered from cache.
    pub(crate) fn browned_out(&self) {
        self.brownouts.inc();
    }

    /// How many were turned away so far.
    pub(crate) fn total(&self) -> u64 {
        self.shed.all().iter().map(|(_, count)| count).sum()
    }

    pub(super) fn families(&self, families: &mut Vec<Family>) {
        let labels = |(why, priority): (Shed, Priority)| {
            vec![("reason", why.as_str().to_owned()), ("priority", priority.as_str().to_owned())]
        };
        let shed = self.shed.all().into_iter().map(|(kind, count)| (labels(kind), count)).collect();
        let waits = self.waits.all().into_iter().map(|((), timing)| (Vec::new(), timing)).collect();
        families.extend([
            Family::counter("aggd_shed", "Requests turned away", shed),
            Family::histogram("aggd_admission_wait_seconds", "How long requests stood in line", waits),
            Family::counter(
                "aggd_brownouts",
                "Requests answered from cache instead of being turned away",
                alone(self.brownouts.get()),
            ),
        ]);
    }
}

impl LoadGauges {
    pub(super) fn families(&self, families: &mut Vec<Family>) {
        let signal = |view: &SignalView| vec![("name", view.signal.as_str().to_owned())];
        let values = self.signals.iter().map(|view| (signal(view), view.value)).collect();
        let stale = self.signals.iter().map(|view| (signal(view), f64::from(u8::from(view.stale)))).collect();
        let routes =
            self.routes.iter().map(|(route, count)| (vec![("route", route.clone())], f64::from(*count))).collect();
        let gauge = |name, help, value: u32| Family::gauge(name, help, alone(number(value.into())));
        families.extend([
            gauge("aggd_in_flight", "Requests of the data plane under way", self.in_flight),
            gauge("aggd_max_in_flight", "The most requests under way", self.max_in_flight),
            gauge("aggd_admission_waiting", "Requests waiting to be under way", self.waiting),
            Family::gauge("aggd_route_in_flight", "Requests under way of routes with a limit of their own", routes),
            gauge("aggd_pressure_level", "0 normal, 1 high, 2 critical", self.level.number().into()),
            Family::gauge("aggd_signal", "The average of a signal of overload", values),
            Family::gauge("aggd_signal_stale", "Whether a signal is silent, and does not count", stale),
        ]);
    }
}
