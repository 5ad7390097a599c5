//! `tidegate source run`: what a source gives, without a pipeline.

use std::path::Path;

use tidegate_pipeline::source::{SourceContext, SourcePlanContext};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::table::SharedTables;
use tokio_util::sync::CancellationToken;

use crate::arguments::{Format, SourceCommand};
use crate::catalog::{catalog, packs};
use crate::exit::{DONE, Failure};
use crate::{load, output};

/// Opens the source and prints its rows as JSON lines, rejected input on stderr.
pub(crate) async fn source(command: SourceCommand, queries: Option<&Path>) -> Result<u8, Failure> {
    let SourceCommand::Run { kind, arguments, limit } = command;
    let catalog = catalog(packs(queries)?);
    let Some(source) = catalog.source(&kind) else {
        let names: Vec<String> = catalog.sources.iter().map(|kind| kind.name().to_owned()).collect();
        return Err(Failure::unknown("source", &kind, &names));
    };
    let text = yaml(&arguments)?;
    let shown = |diagnostics: Vec<tidegate_pipeline::spec::diagnostic::Diagnostic>| {
        let file = load::PipelineFile { name: "--arg".to_owned(), text: text.clone() };
        file.show(&diagnostics);
        Failure::usage(format!("the options of source `{kind}` are not valid"))
    };
    let options = Options::parse(&text).map_err(shown)?;
    let context = SourcePlanContext { node: "source", working_directory: load::working_directory(), recorded: None };
    let planned = source.plan(&options, &context).map_err(shown)?;
    let cancel = CancellationToken::new();
    let tables = match planned.tables.is_empty() {
        true => SharedTables::default(),
        false => tidegate_pipeline::table::Tables::new(planned.tables.clone())?.shared(),
    };
    let context = SourceContext {
        node: "source".into(),
        position: None,
        schemas: Vec::new(),
        once: limit.is_none() && !planned.tables.is_empty(),
        tables,
        cancel: cancel.clone(),
    };
    let mut open = planned.open.open(context).await?;
    let mut printed = 0;
    loop {
        let arrival = tokio::select! {
            arrival = open.next() => arrival?,
            _ = tokio::signal::ctrl_c() => break,
        };
        let Some(arrival) = arrival else { break };
        for rejected in &arrival.rejected {
            eprintln!("rejected: {}: {}", rejected.position, rejected.reason);
        }
        for (_, batch) in &arrival.rows {
            let left = limit.map_or(usize::MAX, |limit| limit - printed);
            let batch = batch.slice(0, batch.num_rows().min(left));
            printed += batch.num_rows();
            output::rows(Format::Jsonl, &[batch])?;
        }
        // Printed is all that becomes of them: callers hear that they were taken.
        for reply in arrival.replies {
            let _ = reply.send(());
        }
        if limit.is_some_and(|limit| printed >= limit) {
            break;
        }
    }
    cancel.cancel();
    Ok(DONE)
}

/// `--arg key=value` pairs as the YAML that a pipeline would hold.
fn yaml(arguments: &[String]) -> Result<String, Failure> {
    let line = |argument: &String| {
        let (key, value) = argument.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--arg {argument}: wanted KEY=VALUE, as in `--arg path=events.jsonl`"))
        })?;
        Ok(format!("{key}: {value}\n"))
    };
    let text = arguments.iter().map(line).collect::<Result<String, Failure>>()?;
    Ok(if text.is_empty() { "{}\n".to_owned() } else { text })
}
