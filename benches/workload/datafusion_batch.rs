//! The floor: the same work as one batch query in bare DataFusion. No state, no journal, one output file.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::{CsvReadOptions, JsonReadOptions, SessionConfig, SessionContext};

use super::Outcome;

const QUERY: &str = "
SELECT d.event_id, d.ts, d.source, d.account, d.region, d.resource_id, d.kind, d.state, d.severity, d.cpu, d.size_gib,
       d.labels, d.message, o.owner, o.cost_center, (d.state = 'available' AND d.size_gib > 100) AS alarm
FROM (SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY resource_id, kind, severity, ts / 3600000 ORDER BY ts) AS n
                     FROM events WHERE severity <> 'info') WHERE n = 1) d
LEFT JOIN owners o ON d.resource_id = o.resource_id";

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("event_id"),
        Field::new("ts", DataType::Int64, true),
        text("source"),
        text("account"),
        text("region"),
        text("resource_id"),
        text("kind"),
        text("state"),
        text("severity"),
        Field::new("cpu", DataType::Float64, true),
        Field::new("size_gib", DataType::Int64, true),
        Field::new("labels", DataType::Struct(vec![text("team"), text("env")].into()), true),
        text("message"),
    ]))
}

/// Runs the query; seconds and rows written.
pub(crate) async fn run(folder: &Path) -> Outcome<(f64, u64)> {
    let path = |name: &str| folder.join(name).display().to_string();
    let started = Instant::now();
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let schema = schema();
    let json = JsonReadOptions::default().schema(&schema).file_extension(".jsonl");
    session.register_json("events", path("events.jsonl"), json).await?;
    session.register_csv("owners", path("owners.csv"), CsvReadOptions::new()).await?;
    let frame = session.sql(QUERY).await?;
    let written = frame.write_json("out", DataFrameWriteOptions::new(), None).await?;
    let rows =
        arrow::array::AsArray::as_primitive::<arrow::datatypes::UInt64Type>(written[0].column(0).as_ref()).value(0);
    Ok((started.elapsed().as_secs_f64(), rows))
}
