//! YAML → validated spec, with the place of everything in it.
//!
//! [`load()`] reads the text into a [`Tree`] that knows the place of each value, then into a
//! [`PipelineSpec`]. The options of a node stay a tree until its kind reads them with [`Options::read`], so
//! that every kind finds its own errors and all of them are reported in one go.

mod canonical;
mod containers;
pub mod diagnostic;
mod filters;
mod json;
mod load;
mod node;
mod options;
mod parse;
pub mod pipeline;
mod place;
mod read;
mod refresh;
pub mod render;
mod scalar;
pub mod schema;
mod secret;
mod secrets;
mod settings;
mod sql;
mod syntax;
mod together;
mod values;
mod variables;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use diagnostic::{Located, Place};

pub use containers::{Named, OneOrMany};
pub use load::{KnownKinds, Loaded, load};
pub use options::Options;
pub use parse::{DEPTH_LIMIT, TEXT_LIMIT, VALUE_LIMIT, decode, parse};
pub use pipeline::PipelineSpec;
pub use refresh::{CronSchedule, Refresh};
pub use secret::Secret;
pub use secrets::Secrets;
pub use sql::SqlText;
pub use together::Together;
pub use values::{ByteSize, Duration};
pub use variables::Variables;

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

/// SQL text and where it stands. An option of this type is planned against the schema of its node's input;
/// [`Options::sql`] makes the text of it whose parts have places.
pub type Sql = Located<String>;

/// Where nothing has a place (text made by a program).
pub const NOWHERE: Place = Place { line: 0, column: 0, offset: 0, length: 0 };
