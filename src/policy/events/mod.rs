//! What events there are, which of them a listener wants, and which of the many are told.
//!
//! | type | kept | told |
//! |---|---|---|
//! | state changes | for those who come back | always |
//! | of high volume: each call may cause one | no | once a second for each source, or the share that `events.sample` says |

mod settings;
mod thinning;
mod types;

pub(crate) use settings::EVENT_DEFAULTS;
pub(crate) use settings::EventSettings;
pub(crate) use thinning::Thinning;
pub(crate) use types::EventType;
pub(crate) use types::TypeSet;
