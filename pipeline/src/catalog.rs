//! The kinds of nodes that a program offers. A value, not a registry: each program makes its own.

use crate::operator::OperatorKind;
use crate::sink::SinkKind;
use crate::source::SourceKind;

/// Every kind of source, operator and sink that a pipeline may use.
#[derive(Default)]
pub struct Catalog {
    /// The sources.
    pub sources: Vec<Box<dyn SourceKind>>,
    /// The operators.
    pub operators: Vec<Box<dyn OperatorKind>>,
    /// The sinks.
    pub sinks: Vec<Box<dyn SinkKind>>,
}

impl Catalog {
    /// An empty catalogue.
    pub fn new() -> Self {
        Self::default()
    }

    /// The source kind of that name or alias.
    pub fn source(&self, name: &str) -> Option<&dyn SourceKind> {
        let answers = |kind: &&dyn SourceKind| kind.name() == name || kind.aliases().contains(&name);
        self.sources.iter().map(Box::as_ref).find(answers)
    }

    /// The operator kind of that name.
    pub fn operator(&self, name: &str) -> Option<&dyn OperatorKind> {
        self.operators.iter().find(|kind| kind.name() == name).map(Box::as_ref)
    }

    /// The sink kind of that name.
    pub fn sink(&self, name: &str) -> Option<&dyn SinkKind> {
        self.sinks.iter().find(|kind| kind.name() == name).map(Box::as_ref)
    }
}
