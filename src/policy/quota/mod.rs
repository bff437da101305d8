//! Limits of clients: how much each may ask, and how that is told. Keys of clients are numbers here; who they are, and
//! where their memory lies, is for others.

mod cells;
mod settings;
mod tell;

pub(crate) use cells::Cell;
pub(crate) use cells::Cells;
pub(crate) use cells::Short;
pub(crate) use cells::Standing;
pub(crate) use settings::Costs;
pub(crate) use settings::KeyPart;
pub(crate) use settings::LimitSettings;
pub(crate) use settings::Pattern;
pub(crate) use settings::Refusal;
pub(crate) use settings::Rule;
pub(crate) use settings::Show;
pub(crate) use settings::Style;
pub(crate) use settings::window_seconds;
pub(crate) use tell::Told;
pub(crate) use tell::tell;
