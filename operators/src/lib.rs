//! The operators of Tidegate, each in the file or folder that has its name in YAML.
//!
//! None of them reads a clock, a file or the network, and what they emit does not depend on where steps are
//! cut. A row that cannot be handled goes to the node's `errors` port, with the reason and the row itself.

pub mod dedupe;
pub mod filter;
pub mod route;
pub mod select;

mod keys;
mod options;
mod rejection;

#[cfg(test)]
mod testing;

use tidegate_pipeline::operator::OperatorKind;

/// The operators of this crate, for a program's catalogue.
pub fn operators() -> Vec<Box<dyn OperatorKind>> {
    vec![Box::new(filter::Filter), Box::new(select::Select), Box::new(route::Route), Box::new(dedupe::Dedupe)]
}
