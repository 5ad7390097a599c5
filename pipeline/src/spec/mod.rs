//! YAML → validated spec, with the place of everything in it.
//!
//! [`load`] reads the text into a [`Tree`] that knows the place of each value, then into a
//! [`PipelineSpec`]. The options of a node stay a tree until its kind reads them with [`Options::read`], so
//! that every kind finds its own errors and all of them are reported in one go.

pub mod diagnostic;

use std::fmt;
use std::sync::Arc;

use diagnostic::{Located, Place};

/// A piece of YAML, with places.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A list.
    List(Vec<Located<Tree>>),
    /// A map, in the order of the file.
    Map(Vec<(Located<Arc<str>>, Located<Tree>)>),
}

/// The options of a node: the value of its kind's key.
#[derive(Debug, Clone)]
pub struct Options {
    /// The options, as written.
    pub tree: Located<Tree>,
}

impl Options {
    /// The options as a value of `T`.
    ///
    /// # Errors
    /// What is wrong with them, with its place.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Vec<diagnostic::Diagnostic>> {
        serde_json::from_value(self.tree.value.to_json())
            .map_err(|error| vec![diagnostic::Diagnostic::error(self.tree.place, error)])
    }
}

impl Tree {
    /// The tree as JSON, without places.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Integer(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(text) => text.as_ref().into(),
            Self::List(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| (key.value.to_string(), value.value.to_json())).collect()
            }
        }
    }
}

/// `NODE` or `NODE.PORT`, as `from:` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortReference {
    /// The node.
    pub node: Arc<str>,
    /// The port; all data ports where it is absent.
    pub port: Option<Arc<str>>,
}

impl fmt::Display for PortReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.port {
            Some(port) => write!(f, "{}.{port}", self.node),
            None => f.write_str(&self.node),
        }
    }
}

/// SQL text and where it stands. An option of this type is planned against the schema of its node's input.
pub type Sql = Located<String>;

/// Where nothing has a place (text made by a program).
pub const NOWHERE: Place = Place { line: 0, column: 0, offset: 0, length: 0 };
