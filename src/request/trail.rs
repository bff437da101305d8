//! What a request decided on its way, for `aggd get --explain`. Off, it costs one branch a note.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::base::Clock;
use crate::base::Moment;
use crate::base::Name;

/// Collects notes, or nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    notes: Option<Arc<Mutex<Vec<Note>>>>,
}

/// One decision.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) at: Moment,
    pub(crate) source: Name,
    pub(crate) text: String,
}

impl Trail {
    /// A trail that collects.
    pub(crate) fn on() -> Self {
        Self { notes: Some(Arc::default()) }
    }

    /// Notes a decision; the text is made only when somebody reads it.
    pub(crate) fn note(&self, clock: &Clock, source: &Name, text: impl FnOnce() -> String) {
        if let Some(notes) = &self.notes {
            let note = Note { at: clock.now(), source: source.clone(), text: text() };
            notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        }
    }

    /// Whether anybody reads it.
    pub(crate) fn is_on(&self) -> bool {
        self.notes.is_some()
    }

    /// What was noted so far.
    pub(crate) fn take(&self) -> Vec<Note> {
        let notes =
            self.notes.as_ref().map(|notes| std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner)));
        notes.unwrap_or_default()
    }
}
