//! Opening a listening source.

use arrow::datatypes::SchemaRef;
use hyper::StatusCode;
use hyper::header::HeaderName;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::source::{Source, SourceContext};

use super::admission::Admission;
use super::body::Bodies;
use super::intake::Intake;
use super::listener::Listener;
use super::reception::{Reception, Translation};
use super::settings::ListenSettings;
use super::submissions::Submissions;
use super::tls;

/// Everything that a listening source is opened with.
pub(crate) struct Opening<'a> {
    pub(crate) settings: &'a ListenSettings,
    pub(crate) schema: &'a SchemaRef,
    pub(crate) admission: Admission,
    pub(crate) translation: Box<dyn Translation>,
    /// The headers in which senders name their messages.
    pub(crate) id_headers: Vec<HeaderName>,
    /// How many of these names are remembered.
    pub(crate) remembered: usize,
    /// The headers that events show; `None`: all that do not prove who sent them.
    pub(crate) shown_headers: Option<Vec<HeaderName>>,
    /// What success is called.
    pub(crate) status: StatusCode,
}

/// Listens, and goes on where the context says.
///
/// # Errors
/// When that is not possible: a port in use, files of TLS that cannot be read.
pub(crate) async fn open(opening: Opening<'_>, context: &SourceContext) -> Result<Box<dyn Source>> {
    let settings = opening.settings;
    let acceptor = settings.tls.as_ref().map(tls::acceptor).transpose()?;
    let (intake, queue) = Intake::new(settings.limits.answer);
    let reception = Reception {
        admission: opening.admission,
        bodies: Bodies::new(&settings.limits),
        intake,
        translation: opening.translation,
        id_headers: opening.id_headers,
        shown_headers: opening.shown_headers,
        status: opening.status,
    };
    let listener = Listener::open(settings, acceptor, reception, &context.cancel).await?;
    Ok(Box::new(Submissions::new(context, opening.schema, opening.remembered, queue, listener)?))
}
