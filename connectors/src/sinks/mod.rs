//! Sinks: a file or folder each, named as in YAML.

pub mod console;
pub mod drop;
pub mod file;
pub mod kafka;
pub mod shutdown;
pub mod webhook;

use serde::de::DeserializeOwned;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Tree};

/// Options of a kind that needs none: `console:` alone is enough.
pub(crate) fn optional<T: DeserializeOwned + Default>(options: &Options) -> Result<T, Vec<Diagnostic>> {
    if options.tree.value == Tree::Null { Ok(T::default()) } else { options.read() }
}

#[cfg(test)]
pub(crate) mod testing {
    use tidegate_pipeline::step::{SchemaVersion, StepHeader, StepNumber, StepTime, Unit};

    /// The header of a step.
    pub(crate) fn step(number: u64) -> StepHeader {
        StepHeader {
            number: StepNumber(number),
            time: StepTime(0),
            source: "in".into(),
            unit: Unit::Rows,
            schema_version: SchemaVersion::default(),
            watermark: None,
        }
    }
}
