//! Measures one operation: by one thread, and by several that share what it works on.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Duration;

use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::SamplingMode;

use crate::base::Clock;
use crate::base::Moment;

/// Alone, one for each CPU of a small machine, and more than it has: the last shows what a lock costs whose holder is
/// not running.
const THREADS: [u64; 3] = [1, 2, 8];

/// The clock as it is read for most decisions: what the other figures are to be held against.
pub(crate) fn clock(criterion: &mut Criterion) {
    let clock = Clock::start();
    criterion.bench_function("clock", |bencher| bencher.iter(|| clock.now()));
}

/// The time of one operation by the wall, whichever thread made it: where threads do not hinder each other it falls with
/// their number, under one lock it stays or rises.
///
/// `begin` makes what each thread has for itself, from the thread's number.
pub(crate) fn shared<S, O>(
    criterion: &mut Criterion,
    name: &str,
    begin: impl Fn(u64) -> S + Sync,
    operation: impl Fn(&mut S) -> O + Sync,
) {
    let clock = Clock::start();
    let mut group = criterion.benchmark_group(name);
    // Samples of one length, and so long that starting threads is nothing beside them.
    group.sampling_mode(SamplingMode::Flat);
    for threads in THREADS {
        group.bench_function(BenchmarkId::from_parameter(threads), |bencher| {
            bencher.iter_custom(|rounds| {
                let start = Barrier::new(usize::try_from(threads).unwrap_or(1));
                let one = |thread| {
                    let mut own = begin(thread);
                    start.wait();
                    let began = clock.now();
                    for _ in 0..rounds {
                        black_box(operation(&mut own));
                    }
                    (began, clock.now())
                };
                let times: Vec<_> = std::thread::scope(|scope| {
                    let one = &one;
                    let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
                    running.into_iter().map(|thread| thread.join().unwrap()).collect()
                });
                // From the first to begin to the last to end: some may be over before others are given a CPU.
                let first = times.iter().map(|(began, _)| *began).min().unwrap_or_default();
                let last = times.iter().map(|(_, ended)| *ended).max().unwrap_or_default();
                last.since(first) / u32::try_from(threads).unwrap_or(1)
            });
        });
    }
    group.finish();
}

/// Some moment, long after the start: for decisions that go by no time.
pub(crate) fn now() -> Moment {
    Moment::from_start(Duration::from_secs(1_000))
}

/// Numbers that look like chance, below a bound; another row for each thread.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn begin(thread: u64) -> Self {
        Self(thread.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap_or(1)).unwrap_or(0)
    }
}
