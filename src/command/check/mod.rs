//! `tidegate check`: collect the tables that controls read, evaluate, report. Dispatches nothing, writes no sink.

mod layout;
mod report;
mod target;

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use tidegate_pipeline::runtime::{Pipeline, RunOptions};
use tidegate_pipeline::testing::collect::{CollectKind, Collected};

use crate::arguments::{CheckArguments, Format};
use crate::catalog::{catalog, packs};
use crate::exit::{ALARMS, DONE, FAILED, Failure};
use crate::{live, output};

/// Checks a pipeline's inventory, or this machine by a pack's name.
pub(crate) async fn check(arguments: CheckArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    let collected = Collected::default();
    let packs = packs(queries)?;
    let names = packs.names();
    let mut catalog = catalog(packs);
    catalog.sinks.push(Box::new(CollectKind(collected.clone())));
    let graph = Arc::new(target::graph(&arguments, &catalog, &names)?);
    let directory = tempfile::Builder::new().prefix("tidegate-check-").tempdir()?;
    let mut options = RunOptions::new(directory.path());
    options.once = true;
    let pipeline = Pipeline::open(graph, options).await?;
    let cancel = pipeline.cancellation();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
        }
    });
    let shown = std::io::stderr().is_terminal();
    let display = shown.then(|| tokio::spawn(live::show(pipeline.status())));
    let outcome = pipeline.run().await;
    if let Some(display) = display {
        display.abort();
        live::clear(&display.await);
    }
    outcome?;
    let findings = report::Findings::read(&collected.take(target::FINDINGS))?;
    match arguments.format {
        Format::Text => output::print(&findings.text(arguments.all))?,
        format => output::rows(format, &findings.rows(arguments.all)?)?,
    }
    Ok(match findings.worst() {
        report::Worst::Error => FAILED,
        report::Worst::Alarm => ALARMS,
        report::Worst::Clean => DONE,
    })
}
