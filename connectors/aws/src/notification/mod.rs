//! Notifications of AWS: what has happened, and which objects are to be read again because of it.
//!
//! ```text
//! body of a message ── parse ──► Notification ── objects ──► {vms i-1, cloud_volumes vol-2}
//!                                     └───────── targets ──► aws_ec2_instance i-1, aws_ebs_volume vol-2, …
//! ```
//! Everything here is a pure function of the body. [`objects`] says what a notification names, by general rules, in the
//! words of ManageIQ, which has the same task; [`targets`] says which rows of our tables are to be read again: those
//! of the objects, and those that [`catalogue`] adds. What is not known is named and has no objects; it is no error.

mod catalogue;
mod envelope;
mod event;
mod objects;
mod targets;
mod walk;

pub use catalogue::{Catalogued, catalogue};
pub use envelope::{Unreadable, parse};
pub use event::{ApiCall, Configuration, Event, Notification, ServiceEvent};
pub use objects::{Object, objects};
pub use targets::{Reading, Target, targets};

#[cfg(test)]
mod tests;
