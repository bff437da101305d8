//! What holds of the limiter in every order of events: the hand-off of places, explored whole, and random histories.
//!
//! The gate around it (`live/gate.rs`) does each of these as one step under its lock, and may be interrupted between any
//! two of them: ask; leave; send one verdict; take a verdict; give up; be dropped. All orders of a few callers are gone
//! through, so none is left to luck.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use proptest::prelude::*;

use crate::base::Moment;
use crate::policy::limiter::Limiter;
use crate::policy::limiter::LimiterSettings;
use crate::policy::limiter::Patience;
use crate::policy::limiter::QueueOrder;
use crate::policy::limiter::Refusal;
use crate::policy::limiter::Served;
use crate::policy::limiter::Ticket;
use crate::policy::priority::Priority;

const NOW: Moment = Moment::ZERO;
const PATIENCE: Patience = Patience { priority: Priority::Normal, deadline: Moment::NEVER };

fn set(limit: u32, max_waiting: u32) -> LimiterSettings {
    LimiterSettings { limit, max_waiting, queue_timeout: None, order: QueueOrder::Fifo }
}

/// The choices of one run; the next run takes the next way at the last fork that has one left.
#[derive(Default)]
struct Ways {
    taken: Vec<(usize, usize)>,
    at: usize,
}

impl Ways {
    fn choose(&mut self, of: usize) -> usize {
        if self.at == self.taken.len() {
            self.taken.push((0, of));
        }
        let (way, ways) = self.taken[self.at];
        assert_eq!(ways, of, "the same choices lead to the same fork");
        self.at += 1;
        way
    }

    /// Whether there is a way left.
    fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((way, of)) = self.taken.pop() {
            if way + 1 < of {
                self.taken.push((way + 1, of));
                return true;
            }
        }
        false
    }
}

/// Where a caller is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    Outside,
    /// In the queue, its timer running.
    Waiting(Ticket),
    /// Its timer fired too late: the verdict is on its way.
    Owed,
    Inside,
    Gone,
}

/// Callers, their mailboxes, and verdicts that were reached and not sent yet, by whom.
struct Scene {
    limiter: Limiter<usize>,
    callers: Vec<Caller>,
    mail: BTreeMap<usize, Result<(), Refusal>>,
    /// Those whose mailbox is closed.
    dropped: Vec<bool>,
    unsent: Vec<VecDeque<(usize, Result<(), Refusal>)>>,
    resizes: Vec<u32>,
    highest: u32,
}

/// What one of them may do next.
#[derive(Clone, Copy, Debug)]
enum Move {
    Ask(usize),
    Take(usize),
    GiveUp(usize),
    Drop(usize),
    Leave(usize),
    Send(usize),
    Resize,
}

impl Scene {
    fn new(callers: usize, limit: u32, resizes: &[u32]) -> Self {
        Self {
            limiter: Limiter::new(set(limit, 2)),
            callers: vec![Caller::Outside; callers],
            mail: BTreeMap::new(),
            dropped: vec![false; callers],
            // One more for whoever resizes.
            unsent: vec![VecDeque::new(); callers + 1],
            resizes: resizes.iter().rev().copied().collect(),
            highest: resizes.iter().copied().chain([limit]).max().unwrap(),
        }
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (who, unsent) in self.unsent.iter().enumerate() {
            if !unsent.is_empty() {
                // Whoever has verdicts to send does nothing else first.
                moves.push(Move::Send(who));
            }
        }
        for (who, caller) in self.callers.iter().enumerate().filter(|(who, _)| self.unsent[*who].is_empty()) {
            let has_mail = self.mail.contains_key(&who);
            match caller {
                Caller::Outside => moves.push(Move::Ask(who)),
                Caller::Inside => moves.push(Move::Leave(who)),
                Caller::Waiting(_) if has_mail => moves.extend([Move::Take(who), Move::Drop(who)]),
                Caller::Waiting(_) => moves.extend([Move::GiveUp(who), Move::Drop(who)]),
                Caller::Owed if has_mail => moves.push(Move::Take(who)),
                Caller::Owed | Caller::Gone => {}
            }
        }
        if !self.resizes.is_empty() && self.unsent[self.callers.len()].is_empty() {
            moves.push(Move::Resize);
        }
        moves
    }

    fn step(&mut self, step: Move) {
        match step {
            Move::Ask(who) => {
                self.callers[who] = match self.limiter.enter() {
                    true => Caller::Inside,
                    false => self.limiter.enqueue(who, PATIENCE, NOW).map_or(Caller::Gone, Caller::Waiting),
                };
            }
            Move::Take(who) => {
                self.callers[who] = self.mail.remove(&who).unwrap().map_or(Caller::Gone, |()| Caller::Inside);
            }
            Move::GiveUp(who) => {
                let Caller::Waiting(ticket) = self.callers[who] else { unreachable!() };
                self.callers[who] = self.limiter.give_up(ticket, NOW).map_or(Caller::Owed, |_| Caller::Gone);
            }
            Move::Drop(who) => {
                let Caller::Waiting(ticket) = self.callers[who] else { unreachable!() };
                self.callers[who] = Caller::Gone;
                self.dropped[who] = true;
                self.limiter.cancel(ticket, NOW);
                // A slot that lay in the mailbox is dropped with it.
                if self.mail.remove(&who).is_some_and(|verdict| verdict.is_ok()) {
                    self.leave(who);
                }
            }
            Move::Leave(who) => {
                self.callers[who] = Caller::Gone;
                self.leave(who);
            }
            Move::Send(who) => {
                let (to, verdict) = self.unsent[who].pop_front().unwrap();
                if !self.dropped[to] {
                    self.mail.insert(to, verdict);
                } else if verdict.is_ok() {
                    self.leave(who);
                }
            }
            Move::Resize => {
                let limit = self.resizes.pop().unwrap();
                let served = self.limiter.resize(set(limit, 2), NOW);
                self.owe(self.callers.len(), served);
            }
        }
        let inside = self.callers.iter().filter(|caller| **caller == Caller::Inside).count();
        assert!(inside <= self.highest as usize, "{inside} are inside");
        assert!(inside <= self.limiter.active() as usize, "somebody is inside who is not counted");
    }

    fn leave(&mut self, who: usize) {
        let served = self.limiter.leave(NOW);
        self.owe(who, served);
    }

    fn owe(&mut self, who: usize, served: Served<usize>) {
        self.unsent[who].extend(served.granted.into_iter().map(|to| (to, Ok(()))));
        self.unsent[who].extend(served.refused.into_iter().map(|(to, refusal)| (to, Err(refusal))));
    }
}

/// Goes through every order; how many there were.
fn explore(callers: usize, limit: u32, resizes: &[u32]) -> usize {
    let mut ways = Ways::default();
    let mut runs = 0;
    loop {
        let mut scene = Scene::new(callers, limit, resizes);
        loop {
            let moves = scene.moves();
            if moves.is_empty() {
                break;
            }
            scene.step(moves[ways.choose(moves.len())]);
        }
        let stuck = scene.callers.iter().any(|caller| *caller != Caller::Gone);
        assert!(!stuck, "waits for ever: {:?}", scene.callers);
        assert_eq!((scene.limiter.active(), scene.limiter.waiting()), (0, 0), "a place is lost");
        runs += 1;
        if !ways.next() {
            return runs;
        }
    }
}

#[test]
fn con_06_in_no_order_of_events_is_a_place_lost_or_a_waiter_forgotten() {
    let runs = [explore(2, 1, &[]), explore(3, 1, &[]), explore(3, 2, &[]), explore(2, 2, &[1, 2])];
    assert!(runs.iter().all(|runs| *runs > 10) && runs.iter().sum::<usize>() > 1_000, "{runs:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// P2: whoever is in leaves once; with nobody left, nothing is taken and nobody waits.
    #[test]
    fn p2_every_place_comes_back_once(
        (limit, max_waiting) in (1..5_u32, 0..6_u32),
        steps in prop::collection::vec((0..5_u8, any::<usize>(), 1..6_u32), 1..200),
    ) {
        let mut limiter: Limiter<usize> = Limiter::new(set(limit, max_waiting));
        let (mut inside, mut waiting) = (0_u32, Vec::<(usize, Ticket)>::new());
        for (number, (step, which, size)) in steps.into_iter().enumerate() {
            let served = match step {
                0 | 1 => {
                    if limiter.enter() {
                        inside += 1;
                    } else if let Ok(ticket) = limiter.enqueue(number, PATIENCE, NOW) {
                        waiting.push((number, ticket));
                    }
                    None
                }
                2 if inside > 0 => {
                    inside -= 1;
                    Some(limiter.leave(NOW))
                }
                3 if !waiting.is_empty() => {
                    let (_, ticket) = waiting.remove(which % waiting.len());
                    let left = if size % 2 == 0 { limiter.cancel(ticket, NOW) } else { limiter.give_up(ticket, NOW).is_some() };
                    prop_assert!(left, "who waits can leave");
                    None
                }
                4 => Some(limiter.resize(set(size, max_waiting), NOW)),
                _ => None,
            };
            for granted in served.into_iter().flat_map(|served| served.granted) {
                prop_assert!(waiting.iter().any(|(who, _)| *who == granted), "granted to nobody");
                waiting.retain(|(who, _)| *who != granted);
                inside += 1;
            }
            prop_assert_eq!((limiter.active(), limiter.waiting() as usize), (inside, waiting.len()));
        }
        while inside > 0 {
            inside -= 1;
            inside += u32::try_from(limiter.leave(NOW).granted.len()).unwrap();
        }
        prop_assert_eq!((limiter.active(), limiter.waiting()), (0, 0));
    }
}
