//! Sources: a file or folder each, named as in YAML.

pub mod alertmanager;
pub mod amqp;
pub mod exec;
pub mod file;
pub mod file_watch;
pub mod generic;
pub(crate) mod http;
pub(crate) mod http_client;
pub mod http_poll;
pub mod journald;
pub mod kafka;
pub mod mqtt;
pub mod nats;
pub mod pg_listener;
pub mod range;
#[cfg(test)]
pub(crate) mod testing;
pub mod tick;
pub mod url_check;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::de::DeserializeOwned;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Tree};

/// The columns of `range` and `tick`.
fn index_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("i", DataType::Int64, false)]))
}

/// A number of seconds as a duration; `None` for what is not one.
fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok()
}

/// Options of a kind that needs none: `tick:` alone is enough.
fn optional<T: DeserializeOwned>(options: &Options, otherwise: T) -> Result<T, Vec<Diagnostic>> {
    if options.tree.value == Tree::Null { Ok(otherwise) } else { options.read() }
}
