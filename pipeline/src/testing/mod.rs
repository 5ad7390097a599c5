//! What tests of pipelines are made of.

pub mod crash;
