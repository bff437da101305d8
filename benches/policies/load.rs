//! Load shedding: what every request asks when it comes in, and what is worked out four times a second.

use std::sync::Arc;

use criterion::Criterion;

use crate::base::Clock;
use crate::live::in_flight::InFlight;
use crate::meter::now;
use crate::meter::shared;
use crate::policy::pressure::Band;
use crate::policy::pressure::Level;
use crate::policy::pressure::PRESSURE;
use crate::policy::pressure::Pressure;
use crate::policy::pressure::PressureSettings;
use crate::policy::pressure::Signal;
use crate::policy::priority::Priority;
use crate::policy::shedding::Floors;
use crate::policy::shedding::MAX_IN_FLIGHT;
use crate::policy::shedding::THRESHOLDS;

pub(crate) fn all(criterion: &mut Criterion) {
    let floors = Floors::new(MAX_IN_FLIGHT, &THRESHOLDS);
    let server = Arc::new(InFlight::new(&Clock::start()));
    let enter = |level| server.enter(&floors, Priority::Normal, level).is_ok();
    shared(criterion, "shedding: admitted", |_| (), |()| assert!(enter(Level::Normal)));
    shared(criterion, "shedding: shed", |_| (), |()| assert!(!enter(Level::Critical)));

    let band = Some(Band { high: 0.85, critical: 0.95 });
    let set = PressureSettings { cpu: band, memory: band, loop_lag: band, background_queue: band, ..PRESSURE };
    let mut pressure = Pressure::default();
    criterion.bench_function("shedding: all signals judged", |bencher| {
        bencher.iter(|| {
            for signal in Signal::ALL {
                pressure.observe(&set, signal, 0.5, now());
            }
            pressure.assess(&set, now())
        });
    });
}
