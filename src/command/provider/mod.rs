//! `tidegate provider`: what collects inventory.

mod form;
mod refresh;
mod verify;

use std::path::Path;

use serde_json::Value;
use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::provider::ProviderKind;
use tidegate_pipeline::source::SourceKind;

use crate::arguments::{ParamsShape, ProviderCommand};
use crate::catalog::{catalog, packs};
use crate::exit::{DONE, Failure};
use crate::output;

/// What can be done with kinds of providers, and with those that run.
pub(crate) async fn provider(command: ProviderCommand, queries: Option<&Path>) -> Result<u8, Failure> {
    match command {
        ProviderCommand::Refresh(arguments) => refresh::refresh(&arguments, queries),
        ProviderCommand::Verify { kind, arguments, format } => {
            let catalog = catalog(packs(queries)?);
            verify::verify(provider_kind(&catalog, &kind)?.1, &arguments, format).await
        }
        ProviderCommand::Policy { kind, tables, hydrate } => {
            let catalog = catalog(packs(queries)?);
            let (named, provider) = provider_kind(&catalog, &kind)?;
            known_tables(named, provider, &tables)?;
            known_hydrations(named, provider, &hydrate)?;
            let policy = provider.policy((!tables.is_empty()).then_some(tables.as_slice()), &hydrate);
            let message = format!("`{kind}` needs no policy: it reads what this user may read");
            print(&policy.ok_or_else(|| Failure::usage(message))?)
        }
        ProviderCommand::Params { kind, shape } => {
            let catalog = catalog(packs(queries)?);
            let schema = provider_kind(&catalog, &kind)?.0.schema().to_value();
            print(&match shape {
                ParamsShape::Form => form::form(&kind, &schema),
                ParamsShape::Schema => schema,
            })
        }
    }
}

/// The kind of that name, which has to be one of a provider.
fn provider_kind<'c>(catalog: &'c Catalog, name: &str) -> Result<(&'c dyn SourceKind, &'c dyn ProviderKind), Failure> {
    let kind = catalog.source(name);
    if let Some((kind, provider)) = kind.and_then(|kind| Some((kind, kind.provider()?))) {
        return Ok((kind, provider));
    }
    let providers = catalog.sources.iter().filter(|kind| kind.provider().is_some());
    Err(Failure::unknown("provider", name, &providers.map(|kind| kind.name().to_owned()).collect::<Vec<_>>()))
}

/// Whether the provider has these tables.
fn known_tables(kind: &dyn SourceKind, provider: &dyn ProviderKind, tables: &[String]) -> Result<(), Failure> {
    let known: Vec<String> = provider.tables().iter().map(|table| table.name.to_string()).collect();
    match tables.iter().find(|table| !known.contains(table)) {
        Some(unknown) => Err(Failure::unknown(&format!("table of {}", kind.name()), unknown, &known)),
        None => Ok(()),
    }
}

/// Whether the provider has what is read only where it is named.
fn known_hydrations(kind: &dyn SourceKind, provider: &dyn ProviderKind, hydrate: &[String]) -> Result<(), Failure> {
    let known = provider.hydrations();
    match hydrate.iter().find(|name| !known.contains(name)) {
        Some(unknown) => Err(Failure::unknown(&format!("hydration of {}", kind.name()), unknown, &known)),
        None => Ok(()),
    }
}

fn print(document: &Value) -> Result<u8, Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::failed(error.to_string()))?;
    output::print(&format!("{text}\n"))?;
    Ok(DONE)
}
