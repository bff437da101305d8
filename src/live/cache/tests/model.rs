//! Random interleavings against a model that keeps the whole history of invalidations and searches it (P4).

use proptest::prelude::*;

use super::Desk;
use super::at;
use super::bad;
use super::good;
use super::heard;
use super::name;
use super::only;
use super::text;
use crate::live::cache::Lead;
use crate::live::cache::Look;
use crate::live::cache::Scope;
use crate::live::cache::Waiter;
use crate::policy::freshness::RefreshAhead;

const KEYS: [&str; 2] = ["k0", "k1"];
const TAGS: [&str; 2] = ["board", "home"];

#[derive(Debug, Clone)]
enum Move {
    Look { key: usize, tag: usize },
    Land { flight: prop::sample::Index, good: bool },
    Leave { flight: prop::sample::Index },
    Invalidate(Over),
    Wait(u64),
}

/// A scope, as the model knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    All,
    Source,
    Other,
    Tag(usize),
    Key(usize),
    Prefix(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let over = prop_oneof![
        Just(Over::All),
        Just(Over::Source),
        Just(Over::Other),
        (0..2_usize).prop_map(Over::Tag),
        (0..2_usize).prop_map(Over::Key),
        (0..2_usize).prop_map(Over::Prefix),
    ];
    let one = prop_oneof![
        6 => (0..2_usize, 0..2_usize).prop_map(|(key, tag)| Move::Look { key, tag }),
        5 => (any::<prop::sample::Index>(), prop::bool::weighted(0.8)).prop_map(|(flight, good)| Move::Land { flight, good }),
        1 => any::<prop::sample::Index>().prop_map(|flight| Move::Leave { flight }),
        2 => over.prop_map(Move::Invalidate),
        2 => (1..20_000_u64).prop_map(Move::Wait),
    ];
    prop::collection::vec(one, 1..60)
}

/// A flight of the model. Its value is its place in the order of departures.
#[derive(Debug, Clone)]
struct Flown {
    key: usize,
    tag: usize,
    /// How many invalidations there were when it began.
    stamp: usize,
    landed: bool,
}

#[derive(Default)]
struct Model {
    now: u64,
    history: Vec<Over>,
    flown: Vec<Flown>,
    /// Per key: the flight whose answer is stored, and when it was.
    stored: [Option<(usize, u64)>; 2],
}

impl Model {
    fn since(&self, flight: usize) -> &[Over] {
        &self.history[self.flown[flight].stamp..]
    }

    /// Dropped, or never to be stored.
    fn is_void(&self, flight: usize) -> bool {
        let Flown { key, tag, .. } = self.flown[flight];
        self.since(flight).iter().any(|over| match over {
            Over::All | Over::Source => true,
            Over::Other => false,
            Over::Tag(other) => *other == tag,
            Over::Key(other) | Over::Prefix(other) => *other == key,
        })
    }

    fn is_hidden(&self, flight: usize, reader: usize) -> bool {
        self.is_void(flight) || self.since(flight).contains(&Over::Tag(reader))
    }

    /// What a look must give: `Ok` the flight whose answer is served, `Err` the flight joined, if any.
    fn look(&self, key: usize, tag: usize) -> Result<usize, Option<usize>> {
        let fresh = |(flight, at): &(usize, u64)| !self.is_hidden(*flight, tag) && self.now - at < 60_000;
        if let Some((flight, _)) = self.stored[key].filter(fresh) {
            return Ok(flight);
        }
        let in_the_air = |flight: &usize| self.flown[*flight].key == key && !self.flown[*flight].landed;
        Err((0..self.flown.len()).rev().filter(in_the_air).find(|flight| !self.is_hidden(*flight, tag)))
    }

    /// Whether an answer is stored.
    fn land(&mut self, flight: usize, good: bool) -> bool {
        self.flown[flight].landed = true;
        let key = self.flown[flight].key;
        let newer = self.stored[key].is_some_and(|(held, _)| held > flight && !self.is_void(held));
        let stored = good && !self.is_void(flight) && !newer;
        if stored {
            self.stored[key] = Some((flight, self.now));
        }
        stored
    }
}

struct Run {
    model: Model,
    desks: [Desk; 2],
    leads: Vec<Option<Lead>>,
    waiting: Vec<(usize, Waiter)>,
}

impl Run {
    fn step(&mut self, step: &Move) -> Result<(), TestCaseError> {
        match step {
            Move::Look { key, tag } => self.look(*key, *tag)?,
            Move::Land { flight, good } => self.land(flight, *good)?,
            Move::Leave { flight } if !self.waiting.is_empty() => {
                drop(self.waiting.swap_remove(flight.index(self.waiting.len())));
            }
            Move::Leave { .. } => {}
            Move::Invalidate(over) => {
                let generation = self.desks[0].cache.invalidate(&scope(*over)).generation;
                self.model.history.push(*over);
                prop_assert_eq!(generation, self.model.history.len() as u64);
            }
            Move::Wait(ms) => self.model.now += ms,
        }
        Ok(())
    }

    fn look(&mut self, key: usize, tag: usize) -> Result<(), TestCaseError> {
        let expected = self.model.look(key, tag);
        match self.desks[tag].look(KEYS[key], self.model.now) {
            Look::Hit { entry, .. } => prop_assert_eq!(Ok(text(&entry)), expected.map(|flight| flight.to_string())),
            Look::Wait { waiter, lead, .. } => {
                let flight = match lead {
                    Some(lead) => {
                        prop_assert_eq!(expected, Err(None));
                        let stamp = self.model.history.len();
                        self.model.flown.push(Flown { key, tag, stamp, landed: false });
                        self.leads.push(Some(lead));
                        self.leads.len() - 1
                    }
                    None => {
                        let joined = self.leads.iter().position(|lead| {
                            lead.as_ref().is_some_and(|lead| std::sync::Arc::ptr_eq(&lead.flight, &waiter.flight))
                        });
                        prop_assert!(joined.is_some());
                        prop_assert_eq!(expected, Err(joined));
                        joined.unwrap_or_default()
                    }
                };
                self.waiting.push((flight, waiter));
            }
        }
        Ok(())
    }

    fn land(&mut self, which: &prop::sample::Index, is_good: bool) -> Result<(), TestCaseError> {
        let in_the_air: Vec<usize> = (0..self.leads.len()).filter(|flight| self.leads[*flight].is_some()).collect();
        if in_the_air.is_empty() {
            return Ok(());
        }
        let flight = in_the_air[which.index(in_the_air.len())];
        let Some(lead) = self.leads[flight].take() else { return Ok(()) };
        let result = if is_good { good(&flight.to_string()) } else { bad(500) };
        let stored = lead.complete(result, at(self.model.now));
        prop_assert_eq!(stored, self.model.land(flight, is_good));
        let (told, others) = self.waiting.drain(..).partition::<Vec<_>, _>(|(of, _)| *of == flight);
        self.waiting = others;
        for (_, waiter) in told {
            let landing = heard(waiter);
            prop_assert_eq!(landing.map(|landing| (landing.stored, landing.result.is_ok())), Some((stored, is_good)));
        }
        Ok(())
    }
}

fn scope(over: Over) -> Scope {
    match over {
        Over::All => Scope::All,
        Over::Source => Scope::Source(name("weather")),
        Over::Other => Scope::Source(name("news")),
        Over::Tag(tag) => Scope::Tag(TAGS[tag].into()),
        Over::Key(of) => only(KEYS[of]),
        Over::Prefix(of) => Scope::Prefix(format!("weather|{}", KEYS[of]).into()),
    }
}

proptest! {
    #[test]
    fn every_interleaving_is_as_the_model_says(moves in moves()) {
        let mut board = Desk::new();
        board.settings.refresh_ahead = RefreshAhead::Off;
        let desks = [board.for_route(TAGS[0]), board.for_route(TAGS[1])];
        let mut run = Run { model: Model::default(), desks, leads: Vec::new(), waiting: Vec::new() };
        for step in &moves {
            run.step(step)?;
        }
        let in_the_air = run.leads.iter().flatten().count() as u64;
        prop_assert_eq!(board.cache.counters().flights, in_the_air);
        run.leads.clear();
        prop_assert_eq!(board.cache.counters().flights, 0);
        for (_, waiter) in run.waiting.drain(..) {
            prop_assert!(heard(waiter).is_some());
        }
    }
}
