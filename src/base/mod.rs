//! What both lives are made of: names, sizes, moments, the clock, tasks, ropes of bytes, secrets. Imports nothing of ours.

mod clock;
mod duration;
mod hex;
mod moment;
mod name;
mod rope;
mod secret;
mod size;
mod tasks;

pub(crate) use clock::Clock;
pub(crate) use duration::Pretty;
pub(crate) use duration::parse_duration;
pub(crate) use hex::hex;
pub(crate) use hex::text as hex_text;
pub(crate) use moment::Moment;
pub(crate) use name::Name;
pub(crate) use rope::Rope;
pub(crate) use secret::Secret;
pub(crate) use size::ByteSize;
pub(crate) use tasks::Tasks;
