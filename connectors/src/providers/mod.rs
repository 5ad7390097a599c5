//! The providers: what collects inventory into keyed tables.

pub mod columns;
pub mod host;
