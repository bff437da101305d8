//! What the bus has counted, for the metrics page.

/// How the bus fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventCounts {
    /// What happened, by type, told or not; types that never happened are not in it.
    pub(crate) happened: Vec<(&'static str, u64)>,
    /// Left out by thinning, while somebody listened.
    pub(crate) sampled: u64,
    /// Lost by listeners who read too slowly.
    pub(crate) lagged: u64,
    /// State changes kept for those who come back.
    pub(crate) kept: u64,
    /// Listeners now.
    pub(crate) subscribers: u64,
    /// Listeners turned away, there being too many.
    pub(crate) refused: u64,
    /// Listeners cut off to make room, having read nothing for long.
    pub(crate) cut_off: u64,
}
