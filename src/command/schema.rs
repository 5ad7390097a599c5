//! `tidegate schema`: the JSON Schema of pipeline files, from the types that read them.

use std::path::Path;

use tidegate_pipeline::spec::schema::json_schema;

use crate::catalog::{catalog, packs};
use crate::exit::{DONE, Failure};
use crate::output;

/// Prints the schema.
pub(crate) fn schema(queries: Option<&Path>) -> Result<u8, Failure> {
    let catalog = catalog(packs(queries)?);
    output::print(&format!("{:#}\n", json_schema(&catalog.schemas())))?;
    Ok(DONE)
}
