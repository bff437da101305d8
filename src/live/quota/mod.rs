//! Limits of clients at work: which key a request counts for, where its memory lies, and taking from several limits at
//! once. What a limit decides is `policy::quota`.

mod admit;
mod key;
mod state;

pub(crate) use admit::Charge;
pub(crate) use admit::Receipt;
pub(crate) use admit::admit;
pub(crate) use key::Asker;
pub(crate) use state::QuotaCounts;

use std::sync::Arc;

use crate::base::Moment;
use crate::live::quota::state::QuotaState;
use crate::policy::quota::LimitSettings;

/// A limit with its memory.
#[derive(Debug)]
pub(crate) struct LiveQuota {
    pub(crate) set: Arc<LimitSettings>,
    state: Arc<QuotaState>,
}

impl LiveQuota {
    /// A limit, with the memory of the one of this name before it: as much is left to each key as was, up to the new
    /// burst. Who counts together may not have changed, or what is remembered would be of others.
    pub(crate) fn carried(set: &Arc<LimitSettings>, before: Option<&Self>, now: Moment) -> Self {
        let state = match before.filter(|before| before.set.key == set.key) {
            Some(before) => {
                if before.set.rule != set.rule {
                    before.state.retune(&before.set.rule, &set.rule, now);
                }
                Arc::clone(&before.state)
            }
            None => Arc::default(),
        };
        Self { set: Arc::clone(set), state }
    }

    /// The key that a request counts for.
    pub(crate) fn key_of(&self, asker: &Asker<'_>) -> u128 {
        self.state.key_of(&self.set.key, asker)
    }

    /// How many keys are remembered.
    pub(crate) fn keys(&self) -> u32 {
        self.state.keys()
    }

    /// What happened so far.
    pub(crate) fn counts(&self) -> QuotaCounts {
        self.state.counts()
    }
}
