//! What can go wrong, whose it is, and whether trying again can help.

use std::fmt;

/// Whose error it is: decides the tone of the message and the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// The user can mend it: configuration, SQL, a missing file.
    User,
    /// The outside world failed: a disk, a server, a permission.
    External,
    /// Tidegate itself is wrong.
    Internal,
}

/// Whether the same attempt may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again in the same way.
    Never,
    /// It may succeed after a while.
    WithBackoff,
}

/// An error of a running pipeline.
///
/// `message` says what happened, `remedy` what to do about it, `node` and `place` whose configuration led
/// there (`file:line:col`). Sources of the error are flattened into the message: it is meant to be read.
#[derive(Debug, Clone)]
pub struct Error {
    /// Whose error it is.
    pub domain: Domain,
    /// Whether to try again.
    pub retry: Retry,
    /// What happened, in one sentence.
    pub message: String,
    /// What the reader can do about it.
    pub remedy: Option<String>,
    /// The node that failed.
    pub node: Option<String>,
    /// Where that node is configured, as `file:line:col`.
    pub place: Option<String>,
}

/// The result of most calls in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(domain: Domain, retry: Retry, message: impl fmt::Display) -> Self {
        Self { domain, retry, message: message.to_string(), remedy: None, node: None, place: None }
    }

    /// The user can mend this.
    pub fn user(message: impl fmt::Display) -> Self {
        Self::new(Domain::User, Retry::Never, message)
    }

    /// The outside world failed and may recover.
    pub fn external(message: impl fmt::Display) -> Self {
        Self::new(Domain::External, Retry::WithBackoff, message)
    }

    /// Something that cannot happen has happened.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(Domain::Internal, Retry::Never, message)
    }

    /// Trying again cannot help.
    #[must_use]
    pub fn never_retry(mut self) -> Self {
        self.retry = Retry::Never;
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl fmt::Display) -> Self {
        self.remedy = Some(remedy.to_string());
        self
    }

    /// Names the node, unless one is named already.
    #[must_use]
    pub fn at_node(mut self, node: impl fmt::Display) -> Self {
        self.node.get_or_insert_with(|| node.to_string());
        self
    }

    /// Names the place in the configuration, unless one is named already.
    #[must_use]
    pub fn at_place(mut self, place: impl fmt::Display) -> Self {
        self.place.get_or_insert_with(|| place.to_string());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if let Some(node) = &self.node {
            write!(f, "node `{node}`: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(remedy) = &self.remedy {
            write!(f, " ({remedy})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::internal(error)
    }
}

impl From<datafusion::error::DataFusionError> for Error {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::user(error.strip_backtrace())
    }
}
