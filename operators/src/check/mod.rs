//! `check`: evaluates controls over tables and tells what changed.

pub mod finding;
pub mod pack;
pub mod plan;
