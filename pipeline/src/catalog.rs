//! The kinds of nodes that a program offers. A value, not a registry: each program makes its own.

use crate::operator::OperatorKind;
use crate::sink::SinkKind;
use crate::source::SourceKind;
use crate::spec::KnownKinds;
use crate::spec::schema::{KindSchema, KindSchemas};

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

    /// The names of the kinds, aliases too, as reading a pipeline wants them.
    pub fn known_kinds(&self) -> KnownKinds {
        let sources = self.sources.iter();
        let with_aliases = sources.flat_map(|kind| std::iter::once(kind.name()).chain(kind.aliases().iter().copied()));
        KnownKinds {
            sources: with_aliases.map(str::to_owned).collect(),
            operators: self.operators.iter().map(|kind| kind.name().to_owned()).collect(),
            sinks: self.sinks.iter().map(|kind| kind.name().to_owned()).collect(),
        }
    }

    /// The JSON Schemas of all options.
    pub fn schemas(&self) -> KindSchemas {
        let schema = |name: &str, options: schemars::Schema, summary: &str| KindSchema {
            name: name.to_owned(),
            options,
            summary: summary.to_owned(),
        };
        KindSchemas {
            sources: self.sources.iter().map(|kind| schema(kind.name(), kind.schema(), kind.summary())).collect(),
            operators: self.operators.iter().map(|kind| schema(kind.name(), kind.schema(), kind.summary())).collect(),
            sinks: self.sinks.iter().map(|kind| schema(kind.name(), kind.schema(), kind.summary())).collect(),
        }
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
