//! Expected and real rows.

use serde_json::{Map, Value};
use tidegate_pipeline::graph::Graph;
use tidegate_pipeline::spec::diagnostic::Located;

use super::Complaint;
use super::document::Row;

/// How many of the rows that are there a complaint lists.
const LISTED: usize = 8;

/// Columns that an expected row names and that never reach the sink which keeps the real rows.
pub(super) fn unknown_columns(
    graph: &Graph,
    sink: &str,
    reference: &Located<String>,
    expected: &[Row],
) -> Vec<Complaint> {
    let Some((_, node)) = graph.node(sink) else { return Vec::new() };
    let open = |input: &tidegate_pipeline::graph::Input| {
        let ports = &graph.nodes[input.producer.0].ports;
        input.ports.iter().any(|port| ports[port.0].open)
    };
    if node.inputs.iter().any(open) {
        return Vec::new();
    }
    let fields = node.inputs.iter().flat_map(|input| input.schema.fields().iter());
    let names: Vec<String> = fields.map(|field| field.name().clone()).collect();
    let mut found = Vec::new();
    for row in expected {
        for column in row.value.keys().filter(|column| !names.contains(column)) {
            let message = format!("the rows of `{}` have no column `{column}`", reference.value);
            found.push(Complaint::error(row.place, message).with_expected(column, names.clone()));
        }
    }
    found
}

/// Pairs each expected row with a real one of its own; `real` is JSON lines.
pub(super) fn compare(reference: &Located<String>, expected: &[Row], real: &str, partial: bool) -> Vec<Complaint> {
    let real: Vec<Map<String, Value>> = real.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let pairs = paired(expected, &real);
    let alone = expected.iter().zip(&pairs).filter(|(_, partner)| partner.is_none()).map(|(row, _)| row);
    let mut found: Vec<Complaint> = alone
        .map(|row| {
            let wanted = Value::Object(row.value.clone());
            Complaint::error(row.place, format!("`{}` has no row {wanted}", reference.value))
        })
        .collect();
    if !partial && real.len() != expected.len() {
        let message = format!("`{}` has {}, expected {}", reference.value, count(real.len()), count(expected.len()));
        found.push(Complaint::error(reference.place, message));
    }
    if let Some(last) = found.last_mut() {
        last.help = Some(listing(expected, &real));
    }
    found
}

fn count(rows: usize) -> String {
    format!("{rows} {}", if rows == 1 { "row" } else { "rows" })
}

/// What is there, in the columns that are expected.
fn listing(expected: &[Row], real: &[Map<String, Value>]) -> String {
    let wanted = |column: &str| expected.is_empty() || expected.iter().any(|row| row.value.contains_key(column));
    let shown = |row: &Map<String, Value>| {
        let cells =
            row.iter().filter(|(column, _)| wanted(column)).map(|(column, value)| (column.clone(), value.clone()));
        Value::Object(cells.collect()).to_string()
    };
    let mut lines: Vec<String> = real.iter().take(LISTED).map(shown).collect();
    if real.len() > LISTED {
        lines.push(format!("and {} more", real.len() - LISTED));
    }
    if lines.is_empty() { "there are no rows".to_owned() } else { format!("there: {}", lines.join(", ")) }
}

/// For each expected row the real row it is paired with: a largest matching, so that an expected row with few
/// columns does not take the only row that fits one with many.
fn paired(expected: &[Row], real: &[Map<String, Value>]) -> Vec<Option<usize>> {
    let mut owner: Vec<Option<usize>> = vec![None; real.len()];
    for wanted in 0..expected.len() {
        let mut tried = vec![false; real.len()];
        find_partner(wanted, expected, real, &mut owner, &mut tried);
    }
    let mut pairs = vec![None; expected.len()];
    for (real, wanted) in owner.iter().enumerate().filter_map(|(real, wanted)| wanted.map(|wanted| (real, wanted))) {
        pairs[wanted] = Some(real);
    }
    pairs
}

/// Looks for a real row for `wanted`, moving those that were paired before where that helps.
fn find_partner(
    wanted: usize,
    expected: &[Row],
    real: &[Map<String, Value>],
    owner: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for candidate in 0..real.len() {
        if tried[candidate] || !fits(&expected[wanted].value, &real[candidate]) {
            continue;
        }
        tried[candidate] = true;
        let free = match owner[candidate] {
            None => true,
            Some(other) => find_partner(other, expected, real, owner, tried),
        };
        if free {
            owner[candidate] = Some(wanted);
            return true;
        }
    }
    false
}

/// Whether every column that is wanted has its value; NULL and an absent value are the same.
fn fits(wanted: &Map<String, Value>, real: &Map<String, Value>) -> bool {
    wanted.iter().all(|(column, value)| same(value, real.get(column).unwrap_or(&Value::Null)))
}

fn same(wanted: &Value, real: &Value) -> bool {
    match (wanted, real) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
        (Value::Object(a), Value::Object(b)) => fits(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => wanted == real,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::spec::NOWHERE;

    use super::*;

    fn row(json: &str) -> Row {
        Located::new(serde_json::from_str(json).unwrap(), NOWHERE)
    }

    fn complaints(expected: &[&str], real: &str, partial: bool) -> Vec<String> {
        let expected: Vec<Row> = expected.iter().map(|json| row(json)).collect();
        let reference = Located::new("out".to_owned(), NOWHERE);
        compare(&reference, &expected, real, partial).into_iter().map(|complaint| complaint.message).collect()
    }

    #[test]
    fn only_the_named_columns_count_in_any_order_and_null_is_absent() {
        let real = "{\"a\":1,\"b\":\"x\"}\n{\"a\":2.0}\n";
        assert!(complaints(&["{\"a\":2,\"b\":null}", "{\"a\":1}"], real, false).is_empty());
    }

    #[test]
    fn a_row_with_few_columns_leaves_the_only_fit_to_one_with_many() {
        let real = "{\"a\":1,\"b\":1}\n{\"a\":1,\"b\":2}\n";
        assert!(complaints(&["{\"a\":1}", "{\"a\":1,\"b\":1}"], real, false).is_empty());
    }

    #[test]
    fn missing_rows_and_rows_too_many_are_told() {
        assert_eq!(complaints(&["{\"a\":2}"], "{\"a\":1}\n", false), ["`out` has no row {\"a\":2}"]);
        assert_eq!(complaints(&[], "{\"a\":1}\n", false), ["`out` has 1 row, expected 0 rows"]);
        assert!(complaints(&[], "{\"a\":1}\n", true).is_empty());
    }
}
