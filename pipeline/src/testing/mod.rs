//! A pipeline in a test: scripted sources, a collecting sink, a dispatching one, crash points.

pub mod collect;
pub mod crash;
pub mod dispatch;
pub mod provider;
pub mod scripted;
