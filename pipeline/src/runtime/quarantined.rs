//! A quarantined step: what a node would have taken in it goes to the node's port `errors`.

use arrow::array::RecordBatch;

use super::chain::StepInput;
use crate::error::Result;
use crate::rows::Rejected;
use crate::step::StepHeader;

/// The rows of all inputs as rejected ones, with their index in the step.
///
/// # Errors
/// When Arrow cannot write rows that it holds.
pub(super) fn rejected(header: &StepHeader, inputs: &[StepInput]) -> Result<Vec<(u64, Rejected)>> {
    let reason = format!("step {} is quarantined for this node (`tidegate journal quarantine`)", header.number);
    let mut rejected = Vec::new();
    for rows in inputs.iter().flat_map(|input| &input.rows) {
        let lines = json_lines(rows)?;
        let mut lines = lines.split(|byte| *byte == b'\n');
        for _ in 0..rows.num_rows() {
            let raw = lines.next().unwrap_or_default();
            rejected.push((rejected.len() as u64, Rejected::new("", reason.as_str(), raw)));
        }
    }
    Ok(rejected)
}

fn json_lines(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    let mut writer = arrow::json::LineDelimitedWriter::new(&mut lines);
    writer.write(rows)?;
    writer.finish()?;
    drop(writer);
    Ok(lines)
}
