//! `check`: evaluates controls over tables, or over events, and tells what changed.
//!
//! ```text
//! pack ──► plan ──────────► evaluate ─────────────► drift ─────────► rows
//! files    logical plans    findings of a control   new, changed,    what leaves,
//!                           over tables, at a time  resolved         what is kept
//! ```
//!
//! A control is a query (`plan/`) or a policy in Rego (`rego/`), which is given the rows of queries and gives rows.

pub mod drift;
pub mod evaluate;
pub mod explain;
pub mod finding;
mod kind;
mod moment;
mod operator;
mod options;
pub mod pack;
mod pending;
pub mod plan;
mod rego;
pub mod report;
mod rows;
pub mod testing;
pub mod waiver;

pub use kind::{CheckKind, FINDINGS, INPUT, planned_again};
pub use operator::WAIVERS;
pub use rows::{finding_rows, finding_schema};

#[cfg(test)]
pub(crate) mod tests;
