//! SQL as people expect it, wherever SQL is written: in controls, in `query`, in the expressions of pipelines.
//!
//! ```text
//!  text ──parse──► syntax ──dialect──► what DataFusion plans, or what to write instead
//!                                          │
//!                     operators: -> ->> ?  ▼  functions: JSON, networks, AWS, time, text
//! ```
//!
//! Everything is registered here, once; a family of functions is a file or a folder.

mod aws;
pub mod dialect;
mod function;
mod json;
mod network;
mod operators;
mod text;
mod time;
mod wildcard;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::planner::ExprPlanner;

pub use function::{Argument, Definition, Kind};
pub use wildcard::glob_matches;

/// Functions that belong together.
#[derive(Debug)]
pub struct Family {
    /// What they are about, as a heading.
    pub title: &'static str,
    /// The functions, in the order to show them.
    pub functions: &'static [Definition],
}

/// The families, in the order to show them.
pub static FAMILIES: &[&Family] = &[&json::FAMILY, &network::FAMILY, &aws::FAMILY, &time::FAMILY, &text::FAMILY];

/// The functions that Tidegate adds to DataFusion's.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let definitions = FAMILIES.iter().flat_map(|family| family.functions);
    definitions.map(|definition| Arc::new(definition.function())).collect()
}

/// What gives meaning to operators that DataFusion only parses.
pub fn planner() -> Arc<dyn ExprPlanner> {
    Arc::new(operators::Operators)
}

/// Adds functions and operators to a session.
///
/// # Errors
/// When `registry` takes no functions.
pub fn register(registry: &mut dyn FunctionRegistry) -> Result<(), DataFusionError> {
    for function in functions() {
        registry.register_udf(function)?;
    }
    registry.register_expr_planner(planner())
}
