//! `tidegate explain`: what a control asks and when it is evaluated; why it says of a resource what it says.

mod about;
mod page;
mod sought;
mod why;

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::arguments::{ExplainArguments, Format};
use crate::catalog::packs;
use crate::exit::{ALARMS, DONE, Failure};
use crate::output;
use about::About;
use why::Why;

/// All that is told.
#[derive(Debug, Serialize)]
struct Explained {
    #[serde(flatten)]
    about: About,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    why: Option<Why>,
}

/// Explains a control. The exit code is 1 where a resource is asked about that the control says nothing of.
pub(crate) async fn explain(arguments: ExplainArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    let moment = arguments.at.as_deref();
    let moment =
        moment.map(|text| tidegate_pipeline::table::past::Moment::parse(text, Timestamp::now())).transpose()?;
    let library = packs(queries)?;
    let found = match &arguments.pipeline {
        Some(path) => sought::in_pipeline(&arguments.control, path, library)?,
        None => sought::in_packs(&arguments.control, &library)?,
    };
    let about = About::of(&found, arguments.plan);
    let why = match &arguments.resource {
        Some(resource) => Some(Why::of(&found, resource, moment, &arguments.dir).await?),
        None => None,
    };
    let code = if why.as_ref().is_some_and(Why::is_empty) { ALARMS } else { DONE };
    let explained = Explained { about, why };
    match arguments.format {
        Format::Text => output::print(&page::text(&explained))?,
        format => output::document(format, &explained)?,
    }
    Ok(code)
}
