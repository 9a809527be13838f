//! JSON: one strict reader for everything from outside, and a small writer through a
//! [`Sink`](crate::Sink).

mod read;
mod write;

pub use read::{Elements, Kind, MAX_DEPTH, MAX_MEMBERS, Members, Value, parse};
pub use write::Object;
pub(crate) use write::string;
