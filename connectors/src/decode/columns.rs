//! The types that `columns:` may name.

use super::shape::Shape;

/// The names that `columns:` knows.
pub(crate) const TYPES: [&str; 6] = ["int", "float", "bool", "text", "timestamp", "list<TYPE>"];

/// The shape that `name` stands for: `int`, `float`, `bool`, `text`, `timestamp`, `list<TYPE>`.
pub(crate) fn shape_of(name: &str) -> Option<Shape> {
    let name = name.trim();
    Some(match name {
        "int" => Shape::Int,
        "float" => Shape::Float,
        "bool" => Shape::Bool,
        "text" => Shape::Text,
        "timestamp" => Shape::Timestamp,
        _ => {
            let item = name.strip_prefix("list<")?.strip_suffix('>')?;
            Shape::List(Box::new(shape_of(item)?))
        }
    })
}
