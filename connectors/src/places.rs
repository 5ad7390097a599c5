//! Where options stand in the pipeline's text.

use tidegate_pipeline::error::Error;
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Place};
use tidegate_pipeline::spec::{Options, Tree};

/// The places of a node's options.
pub(crate) struct Places<'a>(pub(crate) &'a Options);

impl Places<'_> {
    /// The value of `key`, or the whole of the options.
    pub(crate) fn of(&self, key: &str) -> Place {
        if let Tree::Map(entries) = &self.0.tree.value
            && let Some((_, value)) = entries.iter().find(|(name, _)| name.value.as_ref() == key)
        {
            return value.place;
        }
        self.0.tree.place
    }

    /// An error at the value of `key`.
    pub(crate) fn at(&self, key: &str, message: impl std::fmt::Display) -> Diagnostic {
        Diagnostic::error(self.of(key), message)
    }

    /// `error` at the value of `key`.
    pub(crate) fn error(&self, key: &str, error: &Error) -> Diagnostic {
        let found = self.at(key, &error.message);
        match &error.remedy {
            Some(remedy) => found.with_help(remedy),
            None => found,
        }
    }
}
