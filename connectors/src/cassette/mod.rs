//! Cassettes: HTTP that is recorded once and replayed ever after, in the format of Ruby's VCR.
//!
//! A [`Tape`] is one cassette in use: [`Tape::play`] answers a request from it, [`Tape::record`] adds an interaction to
//! it. What is pure is in a file of its own: the format (`read`, `write`), which requests are the same (`question`,
//! `difference`), what is blacked out (`redaction`) and what must not be left (`guard`, `disguise`). Two adapters put a
//! tape between a client and the network: `client` for reqwest, and one for the SDK of AWS in its crate.

pub(crate) mod client;
mod difference;
mod disguise;
mod guard;
mod interaction;
mod options;
mod question;
mod read;
mod redaction;
mod shelf;
mod tape;
#[cfg(test)]
mod tests;
mod whole_body;
mod write;

pub use self::interaction::{Body, Headers, Request, Response, reason};
pub use self::options::{Cassette, CassetteOptions, Mode, Redact};
pub use self::tape::Tape;
pub use self::whole_body::{WholeBody, streamed};
