//! Events: JSON objects in their envelope, as the message buses, webhooks and pollers give them.
//!
//! A source makes each message an [`Event`] (the fields that its kind is known for, and `meta`), and [`EventDecoder`]
//! makes arrivals of them, under a schema that widens as events bring more.

pub mod body;
mod decoder;
pub mod identity;
pub(crate) mod inbox;
mod line;
pub(crate) mod whole;

pub use decoder::{EventDecoder, event_port};
pub use line::{Envelope, EventMeta, Field};
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::source::Reply;
use tidegate_pipeline::step::Position;

/// One message from outside.
#[derive(Debug)]
pub struct Event {
    /// The event as a JSON object on one line, or why it is none.
    pub content: Result<Vec<u8>, Rejected>,
    /// How messages name it: `topic:0:512`, `webhook/17`.
    pub at: String,
    /// Where its source stands behind it.
    pub position: Position,
    /// Told when it is durable.
    pub reply: Option<Reply>,
}
