//! From files that changed to a new snapshot in force: watch → read → load → compile → carry → swap.
//!
//! Nothing is in force before all of it is built; what is refused leaves everything as it was, and says so.

mod apply;
mod changes;
mod watch;

pub(crate) use apply::Reloader;
pub(crate) use apply::first;
pub(crate) use apply::first_status;
pub(crate) use watch::run;
