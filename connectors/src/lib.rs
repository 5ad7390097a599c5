//! The sources, providers and sinks of Tidegate.

pub mod providers;
