//! A pipeline in a test: scripted sources, a collecting sink, a dispatching one, crash points,
//! faults of the disk.

pub mod collect;
pub mod compaction;
pub mod crash;
pub mod dispatch;
pub mod fault;
pub mod golden;
pub mod provider;
pub mod scripted;
pub mod world;
