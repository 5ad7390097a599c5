//! What a message holds: the one answer of all message buses.

use arrow::datatypes::{DataType, Field as Column};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Field;

/// The column of messages that are JSON objects.
pub const BODY: &str = "body";
/// The column of all other messages.
pub const TEXT: &str = "text";

/// What a message holds. A column keeps its type, and a queue may hold anything, so there are two: `body` for JSON
/// objects, and `text` for everything else, word for word: plain text, the empty message, and JSON that is no object
/// (numbers, texts, lists). The other one is NULL. So nothing that is text is ever refused for its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'a> {
    /// A JSON object, as it came.
    Object(&'a [u8]),
    /// Anything else.
    Text(Value),
}

impl<'a> Body<'a> {
    /// What these bytes are.
    ///
    /// # Errors
    /// The reason, where they are no text: nothing of them can become a column.
    pub fn of(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "the message is neither JSON nor UTF-8 text")?;
        // Most texts are known by their first letter; only what looks like an object is read to its end.
        let is_object = text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok();
        Ok(if is_object { Self::Object(bytes) } else { Self::Text(text.into()) })
    }

    /// The field of the event that holds it, with its name.
    pub fn field(&self) -> (&'static str, Field<'_>) {
        match self {
            Self::Object(bytes) => (BODY, Field::Raw(bytes)),
            Self::Text(text) => (TEXT, Field::Value(text)),
        }
    }
}

/// The column that is known before the first message: `text`. The members of `body` are known when it comes.
pub fn text_column() -> Column {
    Column::new(TEXT, DataType::Utf8, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_bodies_and_everything_else_is_text() {
        for object in ["{}", " {\"a\": [1]}\n"] {
            assert_eq!(Body::of(object.as_bytes()), Ok(Body::Object(object.as_bytes())));
        }
        for text in ["", "0", "[{}]", "null", "\"x\"", "up", "{\"a\":", "{} {}", "{a}"] {
            assert_eq!(Body::of(text.as_bytes()), Ok(Body::Text(text.into())));
        }
        assert!(Body::of(b"\xff{}").is_err());
    }
}
