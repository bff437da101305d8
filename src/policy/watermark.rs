//! Back-pressure of a background queue: from the high water mark on it takes nothing more until it has drained to the
//! low one.
//!
//! ```text
//! pending   0 ──────── low ──────────── high ──── max_pending
//! resting   takes      takes            ► active  (event `backpressure.high`)
//! active    ◄ resting  takes nothing    nothing   nothing, whatever is forced
//!           (event `backpressure.low`)
//! ```
//!
//! Between the marks it depends on where it comes from: a queue that took newcomers as soon as one place is free would
//! stay at its brim for as long as the overload lasts.

/// Where the marks are: low < high ≤ max.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) max_pending: u32,
    pub(crate) high_water_mark: u32,
    pub(crate) low_water_mark: u32,
}

/// `background:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BackgroundSettings {
    pub(crate) refresh: RefreshSettings,
    pub(crate) audit: Marks,
}

/// `background.refresh`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefreshSettings {
    pub(crate) marks: Marks,
    /// Refreshes under way at the same time. At least 1.
    pub(crate) workers: u32,
    pub(crate) overflow: Overflow,
}

/// Which of the jobs goes when there is no room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overflow {
    DropNewest,
    DropOldest,
}

/// Used where the file is silent.
pub(crate) const BACKGROUND: BackgroundSettings = BackgroundSettings {
    refresh: RefreshSettings {
        marks: Marks { max_pending: 1000, high_water_mark: 800, low_water_mark: 200 },
        workers: 16,
        overflow: Overflow::DropNewest,
    },
    audit: Marks { max_pending: 100_000, high_water_mark: 80_000, low_water_mark: 20_000 },
};

/// A mark was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tide {
    /// It takes nothing more for now.
    High,
    /// It takes again.
    Low,
}

impl Tide {
    /// The name of the event.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::High => "backpressure.high",
            Self::Low => "backpressure.low",
        }
    }
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It drains: who may wait may come again.
    Draining,
    /// It holds as many as it may.
    Full,
}

/// The memory of one queue.
#[derive(Debug, Default)]
pub(crate) struct WaterMark {
    pending: u32,
    active: bool,
}

impl WaterMark {
    /// One job more, unless the queue is full or drains.
    pub(crate) fn enter(&mut self, marks: Marks) -> Result<Option<Tide>, Refused> {
        if self.active && self.pending < marks.max_pending {
            return Err(Refused::Draining);
        }
        self.force(marks)
    }

    /// One job more, draining or not, unless the queue is full: for what is lost when it is not taken.
    pub(crate) fn force(&mut self, marks: Marks) -> Result<Option<Tide>, Refused> {
        if self.pending >= marks.max_pending {
            return Err(Refused::Full);
        }
        self.pending += 1;
        Ok(self.look(marks))
    }

    /// So many jobs are done, or gone.
    pub(crate) fn leave(&mut self, count: u32, marks: Marks) -> Option<Tide> {
        self.pending = self.pending.saturating_sub(count);
        self.look(marks)
    }

    /// The marks are where they are now.
    pub(crate) fn look(&mut self, marks: Marks) -> Option<Tide> {
        if !self.active && self.pending >= marks.high_water_mark {
            self.active = true;
            Some(Tide::High)
        } else if self.active && self.pending <= marks.low_water_mark {
            self.active = false;
            Some(Tide::Low)
        } else {
            None
        }
    }

    /// How many jobs are taken and not done.
    pub(crate) fn pending(&self) -> u32 {
        self.pending
    }

    /// Whether it drains.
    pub(crate) fn is_active(&self) -> bool {
        self.active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { max_pending: 10, high_water_mark: 8, low_water_mark: 2 };

    #[test]
    fn what_is_forced_comes_in_until_it_is_full() {
        let mut mark = WaterMark::default();
        let tides: Vec<_> = (0..10).map(|_| mark.force(MARKS).unwrap()).collect();
        assert_eq!(tides.iter().position(|tide| *tide == Some(Tide::High)), Some(7));
        assert_eq!((mark.force(MARKS), mark.enter(MARKS)), (Err(Refused::Full), Err(Refused::Full)));
        assert_eq!(mark.leave(7, MARKS), None);
        assert_eq!(mark.leave(1, MARKS), Some(Tide::Low));
    }

    #[test]
    fn marks_that_move_are_looked_at_anew() {
        let mut mark = WaterMark::default();
        (0..5).for_each(|_| assert_eq!(mark.enter(MARKS), Ok(None)));
        let lower = Marks { high_water_mark: 4, ..MARKS };
        assert_eq!((mark.look(lower), mark.enter(lower)), (Some(Tide::High), Err(Refused::Draining)));
        assert_eq!(mark.look(Marks { low_water_mark: 5, ..MARKS }), Some(Tide::Low));
        assert_eq!(mark.leave(9, MARKS), None, "never below nothing");
        assert_eq!(mark.pending(), 0);
    }
}
