//! The bus itself: one short lock around the numbers, what is kept, and the queues of the listeners.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use tokio::sync::Notify;

use crate::base::Clock;
use crate::base::Moment;
use crate::base::Name;
use crate::policy::events::EVENT_DEFAULTS;
use crate::policy::events::EventSettings;
use crate::policy::events::EventType;
use crate::policy::events::Thinning;
use crate::policy::events::TypeSet;
use crate::record::events::counts::EventCounts;
use crate::record::events::event::Event;
use crate::record::events::id::EventId;
use crate::record::events::subscription::Item;
use crate::record::events::subscription::Next;
use crate::record::events::subscription::Reset;
use crate::record::events::subscription::Subscription;
use crate::record::events::subscription::TooMany;
use crate::record::events::told::Told;

/// A listener that has events waiting and took none for this long loses its place when another one wants it.
const STUCK: Duration = Duration::from_secs(30);

/// The event bus. One is made in `app`; copies are the same bus.
#[derive(Clone, Debug)]
pub(crate) struct Events(Arc<Bus>);

#[derive(Debug)]
struct Bus {
    clock: Clock,
    /// The types that somebody listens to: asked before anything is made.
    wanted: AtomicU64,
    happened: [AtomicU64; EventType::COUNT],
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    set: EventSettings,
    last: EventId,
    seq: u64,
    kept: VecDeque<Arc<Told>>,
    thinning: Thinning,
    listeners: Vec<Listener>,
    closed: bool,
    /// Numbers listeners.
    joined: u64,
    sampled: u64,
    lagged: u64,
    refused: u64,
    cut_off: u64,
}

#[derive(Debug)]
struct Listener {
    number: u64,
    types: TypeSet,
    queue: VecDeque<Arc<Told>>,
    /// Told before the queue.
    reset: Option<Reset>,
    /// Lost before what is in the queue.
    missed: u64,
    wake: Arc<Notify>,
    read: Moment,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Default)]
struct About<'a> {
    source: Option<&'a Name>,
    endpoint: Option<&'a str>,
}

impl Events {
    /// A bus nobody listens to yet.
    pub(crate) fn new(clock: Clock) -> Self {
        let state = State {
            set: EVENT_DEFAULTS,
            last: EventId::before(fastrand::u32(1..)),
            seq: 0,
            kept: VecDeque::new(),
            thinning: Thinning::default(),
            listeners: Vec::new(),
            closed: false,
            joined: 0,
            sampled: 0,
            lagged: 0,
            refused: 0,
            cut_off: 0,
        };
        let happened = std::array::from_fn(|_| AtomicU64::new(0));
        Self(Arc::new(Bus { clock, wanted: AtomicU64::new(0), happened, state: Mutex::new(state) }))
    }

    /// Tells of the gateway as a whole. Never waits.
    pub(crate) fn publish(&self, event: Event<'_>) {
        self.tell(About::default(), event);
    }

    /// Tells of a source.
    pub(crate) fn of_source(&self, source: &Name, event: Event<'_>) {
        self.tell(About { source: Some(source), endpoint: None }, event);
    }

    /// Tells of an endpoint of a source, `scheme://host:port`.
    pub(crate) fn of_endpoint(&self, source: &Name, endpoint: &str, event: Event<'_>) {
        self.tell(About { source: Some(source), endpoint: Some(endpoint) }, event);
    }

    fn tell(&self, about: About<'_>, event: Event<'_>) {
        let kind = event.kind();
        if let Some(count) = self.0.happened.get(kind.place()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let is_wanted = || TypeSet::from_word(self.0.wanted.load(Ordering::Relaxed)).has(kind);
        if kind.is_kept() || is_wanted() {
            let draw = fastrand::f64();
            let mut state = self.lock();
            let State { set, thinning, .. } = &mut *state;
            match thinning.admit(&set.sample, (kind, about.source), self.0.clock.now(), draw) {
                None => state.sampled += 1,
                Some(left_out) => {
                    let (id, at) = state.next_id(&self.0.clock, kind);
                    state.seq += 1;
                    // Made here, under the lock: what is left out, which may be nearly all, is never made.
                    let (details, endpoint) = (event.details(), about.endpoint.map(Arc::from));
                    let source = about.source.cloned();
                    let (seq, generation, json) = (state.seq, event.generation(), OnceLock::new());
                    let told = Told { id, kind, at, seq, source, endpoint, generation, left_out, details, json };
                    state.push(&Arc::new(told));
                }
            }
        }
    }

    /// Listens to these types from now on; or, after the event whose id is `after`, from there on.
    ///
    /// # Errors
    ///
    /// As many listen as may.
    pub(crate) fn subscribe(&self, types: TypeSet, after: Option<&str>) -> Result<Subscription, TooMany> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let bound = state.set.max_subscribers;
        if state.listeners.len() >= bound && !state.make_room(now) {
            state.refused += 1;
            return Err(TooMany { bound });
        }
        state.joined += 1;
        let (number, wake) = (state.joined, Arc::new(Notify::new()));
        let (queue, reset) = after.map_or_else(Default::default, |after| state.since(after, types));
        let listener = Listener { number, types, queue, reset, missed: 0, wake: Arc::clone(&wake), read: now };
        state.listeners.push(listener);
        self.note_wanted(&state);
        Ok(Subscription { events: self.clone(), number, wake })
    }

    /// Puts settings in force.
    pub(crate) fn apply(&self, set: EventSettings) {
        let mut state = self.lock();
        state.set = set;
        while state.kept.len() > set.buffer {
            state.kept.pop_front();
        }
    }

    /// Ends every subscription once it has read what is in its queue.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for listener in &state.listeners {
            listener.wake.notify_one();
        }
    }

    /// The instance, as events name it.
    pub(crate) fn instance(&self) -> String {
        format!("{:08x}", self.lock().last.instance)
    }

    /// How it fares.
    pub(crate) fn counts(&self) -> EventCounts {
        let number = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let happened = EventType::ALL.into_iter().zip(&self.0.happened);
        let happened = happened.map(|(kind, count)| (kind.as_str(), count.load(Ordering::Relaxed)));
        let state = self.lock();
        EventCounts {
            happened: happened.filter(|(_, count)| *count > 0).collect(),
            sampled: state.sampled,
            lagged: state.lagged,
            kept: number(state.kept.len()),
            subscribers: number(state.listeners.len()),
            refused: state.refused,
            cut_off: state.cut_off,
        }
    }

    pub(super) fn take(&self, number: u64) -> Next {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let closed = state.closed;
        let Some(listener) = state.listeners.iter_mut().find(|listener| listener.number == number) else {
            return Next::Ended;
        };
        listener.read = now;
        if let Some(reset) = listener.reset.take() {
            return Next::Item(Item::Reset(reset));
        }
        if listener.missed > 0 {
            return Next::Item(Item::Lagged(std::mem::take(&mut listener.missed)));
        }
        match listener.queue.pop_front() {
            Some(told) => Next::Item(Item::Told(told)),
            None if closed => Next::Ended,
            None => Next::Nothing,
        }
    }

    pub(super) fn leave(&self, number: u64) {
        let mut state = self.lock();
        state.listeners.retain(|listener| listener.number != number);
        self.note_wanted(&state);
    }

    fn note_wanted(&self, state: &State) {
        let wanted = state.listeners.iter().fold(TypeSet::default(), |all, listener| all.and(listener.types));
        self.0.wanted.store(wanted.word(), Ordering::Relaxed);
    }

    /// A poisoned lock is taken all the same: what is done under it does not panic, and leaves the state whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_id(&mut self, clock: &Clock, kind: EventType) -> (EventId, std::time::SystemTime) {
        let at = clock.wall();
        let millis = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        self.last = self.last.next(u64::try_from(millis).unwrap_or(u64::MAX), kind.is_kept());
        (self.last, at)
    }

    /// Keeps a state change, and queues the event for whoever wants it. The oldest make room.
    fn push(&mut self, told: &Arc<Told>) {
        let bound = self.set.buffer;
        if told.kind.is_kept() {
            while self.kept.len() >= bound {
                self.kept.pop_front();
            }
            self.kept.push_back(Arc::clone(told));
        }
        for listener in self.listeners.iter_mut().filter(|listener| listener.types.has(told.kind)) {
            while listener.queue.len() >= bound {
                listener.queue.pop_front();
                listener.missed += 1;
                self.lagged += 1;
            }
            listener.queue.push_back(Arc::clone(told));
            listener.wake.notify_one();
        }
    }

    /// What was kept after the event with this id, and whether something is missing there.
    fn since(&self, after: &str, types: TypeSet) -> (VecDeque<Arc<Told>>, Option<Reset>) {
        let own = self.last.instance;
        let (reset, from) = match EventId::parse(after) {
            Some(id) if id.instance == own && id <= self.last => {
                // The first that is kept is the one after those that are gone.
                let gone = self.kept.front().map_or(self.last.kept, |first| first.id.kept.saturating_sub(1));
                let missed = gone.saturating_sub(id.kept);
                ((missed > 0).then(|| Reset::Gone(missed.into())), id)
            }
            Some(id) => (Some(Reset::OtherInstance), EventId { instance: own, kept: 0, live: 0, ..id }),
            None => (Some(Reset::OtherInstance), EventId::before(own)),
        };
        let later = self.kept.iter().filter(|told| told.id > from && types.has(told.kind));
        (later.cloned().collect(), reset)
    }

    /// Cuts off the listener that is stuck the longest; `false`: there is none.
    fn make_room(&mut self, now: Moment) -> bool {
        let stuck = |listener: &&Listener| {
            (listener.missed > 0 || !listener.queue.is_empty()) && now.since(listener.read) >= STUCK
        };
        let Some(number) = self.listeners.iter().filter(stuck).min_by_key(|one| one.read).map(|one| one.number) else {
            return false;
        };
        self.listeners.retain(|listener| listener.number != number);
        self.cut_off += 1;
        true
    }
}
