//! The sources, providers and sinks of Tidegate: everything that touches the outside.

pub mod decode;
pub mod providers;
pub mod sources;

use tidegate_pipeline::sink::SinkKind;
use tidegate_pipeline::source::SourceKind;

/// The kinds of sources that this crate offers.
pub fn sources() -> Vec<Box<dyn SourceKind>> {
    vec![Box::new(sources::file::FileKind), Box::new(providers::host::HostKind)]
}

/// The kinds of sinks that this crate offers.
pub fn sinks() -> Vec<Box<dyn SinkKind>> {
    Vec::new()
}
