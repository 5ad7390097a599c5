//! Bodies as they can be recorded: whole.

use tidegate_pipeline::error::{Error, Result};

use super::interaction::Body;
use super::tape::MOST_BODY;

/// An answer's body that is read piece by piece.
#[derive(Debug, Default)]
pub struct WholeBody(Vec<u8>);

impl WholeBody {
    /// Adds a piece.
    ///
    /// # Errors
    /// When the body is longer than can be recorded.
    pub fn add(&mut self, piece: &[u8]) -> Result<()> {
        if self.0.len() + piece.len() > MOST_BODY {
            let most = MOST_BODY >> 20;
            return Err(Error::user(format!("an answer longer than {most} MiB cannot be recorded")));
        }
        self.0.extend_from_slice(piece);
        Ok(())
    }

    /// What has come.
    pub fn end(self) -> Body {
        Body::new(self.0)
    }
}

/// A request's body is nowhere whole.
pub fn streamed() -> Error {
    Error::user("a body that is streamed cannot be recorded")
}
