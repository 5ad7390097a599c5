//! The engine of Tidegate: a pipeline is a pure function of its journal.
//!
//! Read the contracts first: [`source`], [`provider`], [`operator`], [`sink`], [`handler`]. They say what a node may
//! rely on and what it owes. Then [`step`], the unit that everything is counted in, and [`runtime`], which
//! drives steps through a graph. This crate knows no concrete source, operator or sink: a program hands
//! them over in a [`catalog::Catalog`].
//!
//! ```text
//!  spec ──► graph ──► runtime ──► journal, checkpoint, table
//!  YAML     plan      steps       what survives
//! ```

pub mod catalog;
pub mod checkpoint;
pub mod compaction;
pub mod diagnosis;
mod disk;
pub mod envelope;
pub mod error;
pub mod expression;
pub mod graph;
pub mod handler;
pub mod journal;
pub mod operator;
pub mod pause;
pub mod provider;
pub mod row_hash;
pub mod rows;
pub mod runtime;
pub mod sink;
pub mod source;
pub mod spec;
pub mod sql;
pub mod step;
pub mod table;
pub mod testing;
