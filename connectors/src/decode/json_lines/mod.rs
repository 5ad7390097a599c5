//! JSON lines → rows.
//!
//! One pass: every line is parsed straight into Arrow buffers under the current schema, strictly (an
//! unknown name, another type, a fraction in an integer column all stop it). A line that does not fit is
//! taken back and looked at again with time: it widens the schema, or it is rejected with the reason. So
//! each line is judged on its own, and the result never depends on where the input was cut into chunks.

mod column;
mod explain;
mod rows;
mod scan;

pub(crate) use rows::JsonLines;
