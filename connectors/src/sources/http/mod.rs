//! Listening for HTTP: what `webhook` and `alertmanager` share.
//!
//! ```text
//! listener ──► reception ──► intake ──► submissions ──► sequencer
//! TLS, slots   who, body,    a bounded   once per id,    the step is durable:
//!              JSON          queue       decoded         the caller is answered
//! ```
//!
//! Everything is bounded: connections, headers, bodies (each, and all together), the time that a client may take for
//! each part, the queue, and the ids that are remembered. What is beyond a bound is refused with a status that says
//! whether to come again.

mod admission;
mod body;
mod diagnosis;
mod intake;
pub(crate) mod json;
mod listener;
mod open;
mod reception;
mod refusal;
mod seen;
mod settings;
pub(crate) mod signature;
mod submissions;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use self::admission::Admission;
pub(crate) use self::diagnosis::diagnose;
pub(crate) use self::open::{Opening, open};
pub(crate) use self::reception::{Received, Translation};
pub(crate) use self::refusal::Refusal;
pub(crate) use self::seen::{SeenId, SeenIds};
pub(crate) use self::settings::{ListenOptions, ListenSettings};
pub(crate) use self::signature::{Algorithm, Encoding};
