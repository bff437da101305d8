//! Which endpoint is the first choice of a call.

use crate::policy::strategy::settings::Order;

/// The endpoints of a source with their weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    weights: Box<[u32]>,
    /// Each endpoint as often as its weight says, spread evenly.
    cycle: Box<[usize]>,
}

/// What a choice depends on besides the calls under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odds {
    /// How many calls chose before.
    pub(crate) turn: usize,
    /// Chance, in [0, 1).
    pub(crate) draw: f64,
}

impl Ring {
    /// The ring of these weights, each at least 1.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let common = weights.iter().copied().reduce(gcd).unwrap_or(1).max(1);
        let weights: Box<[u32]> = weights.iter().map(|weight| (weight / common).max(1)).collect();
        let cycle = cycle(&weights);
        Self { weights, cycle }
    }

    /// How many endpoints there are.
    pub(crate) fn len(&self) -> usize {
        self.weights.len()
    }

    /// The place of the first choice; `pending` tells how many calls are under way at a place.
    pub(crate) fn first(&self, order: Order, odds: Odds, pending: impl Fn(usize) -> u32) -> usize {
        match order {
            _ if self.len() < 2 => 0,
            Order::Declared => 0,
            Order::RoundRobin => self.at(odds.turn),
            Order::Random => self.at(scaled(odds.draw, self.cycle.len())),
            Order::LeastPending => {
                // From another place each time: of equals none is always the first.
                let places = (0..self.len()).map(|place| (odds.turn + place) % self.len());
                let load = |place: &usize| Load { calls: pending(*place), weight: self.weight(*place) };
                places.min_by(|a, b| load(a).compare(load(b))).unwrap_or(0)
            }
        }
    }

    fn at(&self, turn: usize) -> usize {
        self.cycle.get(turn % self.cycle.len().max(1)).copied().unwrap_or(0)
    }

    fn weight(&self, place: usize) -> u32 {
        self.weights.get(place).copied().unwrap_or(1)
    }
}

/// Calls under way at an endpoint of this weight.
#[derive(Clone, Copy)]
struct Load {
    calls: u32,
    weight: u32,
}

impl Load {
    /// By what the weight would make of one more call, without rounding.
    fn compare(self, other: Self) -> std::cmp::Ordering {
        let of = |load: Self, weight: u32| (u64::from(load.calls) + 1) * u64::from(weight);
        of(self, other.weight).cmp(&of(other, self.weight))
    }
}

/// A cycle in which each place stands as often as its weight, as evenly as it goes: at every step all gain their weight,
/// and who has most pays for all.
fn cycle(weights: &[u32]) -> Box<[usize]> {
    let total: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
    let mut gained = vec![0_i64; weights.len()];
    let mut step = || {
        for (gain, weight) in gained.iter_mut().zip(weights) {
            *gain += i64::from(*weight);
        }
        let most = gained.iter().copied().max().unwrap_or(0);
        let place = gained.iter().position(|gain| *gain == most).unwrap_or(0);
        if let Some(gain) = gained.get_mut(place) {
            *gain -= total;
        }
        place
    };
    (0..total).map(|_| step()).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a draw below 1 of a short list"
)]
fn scaled(draw: f64, count: usize) -> usize {
    (draw * count as f64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(ring: &Ring, order: Order, count: usize) -> Vec<usize> {
        (0..count).map(|turn| ring.first(order, Odds { turn, draw: 0.0 }, |_| 0)).collect()
    }

    #[test]
    fn the_declared_order_begins_with_the_first_and_others_share_by_weight() {
        let ring = Ring::new(&[5, 1, 1]);
        assert_eq!(turns(&ring, Order::Declared, 3), [0, 0, 0]);
        assert_eq!(turns(&ring, Order::RoundRobin, 8), [0, 0, 1, 0, 2, 0, 0, 0], "spread, not in a row");
        assert_eq!(turns(&Ring::new(&[50, 50]), Order::RoundRobin, 4), [0, 1, 0, 1], "the shortest cycle");
        assert_eq!(turns(&Ring::new(&[7]), Order::Random, 2), [0, 0]);
    }

    #[test]
    fn chance_follows_the_weights() {
        let ring = Ring::new(&[3, 1]);
        let drawn = |draw| ring.first(Order::Random, Odds { turn: 0, draw }, |_| 0);
        let seconds = (0..100).filter(|percent| drawn(f64::from(*percent) / 100.0) == 1).count();
        assert_eq!(seconds, 25);
        assert!(drawn(0.999_999) < 2);
    }

    #[test]
    fn the_fewest_calls_for_its_weight_is_chosen_and_equals_take_turns() {
        let ring = Ring::new(&[1, 1, 2]);
        let chosen =
            |turn, pending: [u32; 3]| ring.first(Order::LeastPending, Odds { turn, draw: 0.0 }, |place| pending[place]);
        assert_eq!(chosen(0, [0, 0, 0]), 2, "one more weighs least there");
        assert_eq!(chosen(0, [2, 1, 5]), 1);
        assert_eq!([chosen(0, [0, 0, 9]), chosen(1, [0, 0, 9])], [0, 1]);
    }
}
