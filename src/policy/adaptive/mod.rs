//! A limit on concurrency that finds itself: it grows while calls go well, and shrinks when the upstream shows strain.

mod gradient;
mod machine;
mod settings;
#[cfg(test)]
mod tests;
mod vegas;

pub(crate) use machine::Adaptive;
pub(crate) use machine::AdaptiveView;
pub(crate) use machine::Completion;
pub(crate) use machine::Direction;
pub(crate) use machine::Epoch;
pub(crate) use machine::Sample;
pub(crate) use machine::Told;
pub(crate) use settings::ADAPTIVE_DEFAULTS;
pub(crate) use settings::AIMD_DEFAULTS;
pub(crate) use settings::AdaptiveSettings;
pub(crate) use settings::AimdSettings;
pub(crate) use settings::Algorithm;
pub(crate) use settings::GRADIENT_DEFAULTS;
pub(crate) use settings::GradientSettings;
