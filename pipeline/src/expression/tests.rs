use arrow::array::{Int64Array, StringArray, StructArray};
use arrow::datatypes::{Field, Fields, Schema, TimeUnit};
use arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::spec::diagnostic::Place;

/// SQL at line 7, column 20 of a file, at byte 100.
fn sql(text: &str) -> SqlText {
    let source = format!("{}\n\n\n\n\n\n{}{text}", "-".repeat(75), " ".repeat(19));
    SqlText::in_yaml(text, Place { line: 7, column: 20, offset: 100, length: text.len() }, source.into())
}

fn payload() -> Fields {
    Fields::from(vec![
        Field::new("severity", DataType::Utf8, true),
        Field::new("a-b", DataType::Int64, true),
        Field::new("inner", DataType::Struct(vec![Field::new("deepKey", DataType::Utf8, true)].into()), true),
    ])
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("cpu", DataType::Int64, true),
        Field::new("host", DataType::Utf8, true),
        Field::new("user", DataType::Utf8, true),
        Field::new("resourceId", DataType::Utf8, true),
        Field::new("payload", DataType::Struct(payload()), true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]))
}

fn rows() -> RecordBatch {
    let text = |values: [&str; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let inner =
        StructArray::new(vec![Field::new("deepKey", DataType::Utf8, true)].into(), vec![text(["x", "y", "z"])], None);
    let payload = StructArray::new(
        payload(),
        vec![text(["info", "high", "low"]), Arc::new(Int64Array::from(vec![1, 2, 3])), Arc::new(inner)],
        None,
    );
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Int64Array::from(vec![Some(10), None, Some(0)])),
            text(["a", "b", "c"]),
            text(["root", "daemon", "me"]),
            text(["r-1", "r-2", "r-3"]),
            Arc::new(payload),
            Arc::new(arrow::array::TimestampMillisecondArray::from(vec![0, 1_000, 2_000])),
        ],
    )
    .unwrap()
}

fn planned(text: &str) -> Result<Expression, Diagnostic> {
    let mut warnings = Vec::new();
    let planned = Expression::plan(&sql(text), &schema(), false, &mut warnings);
    assert!(warnings.is_empty(), "{warnings:?}");
    planned
}

fn refused(text: &str) -> Diagnostic {
    planned(text).expect_err("must be refused")
}

fn truths(text: &str) -> Vec<bool> {
    let values = planned(text).unwrap().evaluate_predicate(&rows(), StepTime(1_500)).unwrap();
    values.iter().map(|value| value.unwrap()).collect()
}

#[test]
fn a_condition_that_is_null_is_false() {
    assert_eq!(truths("cpu > 5"), [true, false, false]);
    assert_eq!(truths("NOT (cpu > 5)"), [false, false, true]);
}

#[test]
fn fields_of_a_struct_are_reached_with_dots_and_brackets() {
    assert_eq!(truths("payload.severity <> 'info'"), [false, true, true]);
    assert_eq!(truths("payload['a-b'] = 2"), [false, true, false]);
    assert_eq!(truths("payload.\"a-b\" = 2"), [false, true, false]);
    assert_eq!(truths("payload.inner.deepkey = 'z'"), [false, false, true]);
    assert_eq!(truths("payload.inner['deepKey'] = 'z'"), [false, false, true]);
}

#[test]
fn names_match_exactly_or_without_regard_to_case() {
    assert_eq!(truths("resourceId = 'r-1'"), [true, false, false]);
    assert_eq!(truths("RESOURCEID = 'r-1' AND \"resourceId\" <> ''"), [true, false, false]);
    assert_eq!(truths("user = 'root'"), [true, false, false]);
}

#[test]
fn the_time_functions_are_the_time_of_the_step() {
    assert_eq!(truths("at < now()"), [true, true, false]);
    assert_eq!(truths("at <= current_timestamp - INTERVAL '1 second'"), [true, false, false]);
    assert_eq!(truths("current_date = DATE '1970-01-01'"), [true; 3]);
    assert_eq!(truths("current_time = TIME '00:00:01.5'"), [true; 3]);
    let mut later = planned("at < now()").unwrap();
    for (time, count) in [(0, 0), (1_500, 2), (1_500, 2), (9_000, 3), (500, 1)] {
        let values = later.evaluate_predicate(&rows(), StepTime(time)).unwrap();
        assert_eq!(values.true_count(), count, "at {time}");
    }
}

#[test]
fn an_unknown_column_is_an_error_where_it_stands() {
    let error = refused("cpu > 5 AND hots = 'a'");
    assert_eq!(error.message, "there is no column `hots` here");
    assert_eq!(error.place, Place { line: 7, column: 32, offset: 112, length: 4 });
    assert_eq!(error.help.as_deref(), Some("did you mean `host`?"));
    assert_eq!(error.expected, ["cpu", "host", "user", "resourceId", "payload", "at"]);
}

#[test]
fn an_unknown_field_is_an_error_where_it_stands() {
    let error = refused("payload.severty = 'a'");
    assert_eq!(error.message, "there is no field `severty` in `payload`");
    assert_eq!(error.place, Place { line: 7, column: 28, offset: 108, length: 7 });
    assert_eq!(error.help.as_deref(), Some("did you mean `severity`?"));
    assert_eq!(refused("host.name = 'a'").message, "`host` has no field `name`: it is Utf8");
    assert_eq!(refused("payload['x'] = 'a'").place.column, 28);
}

#[test]
fn an_unknown_column_of_an_open_schema_is_null_and_one_warning() {
    let mut warnings = Vec::new();
    let text = sql("payload.kind = 'a' OR mode = 'b' OR mode = 'c'");
    let mut expression = Expression::plan_predicate(&text, &schema(), true, &mut warnings).unwrap();
    let messages: Vec<&str> = warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "no column `payload.kind` is known yet: it is NULL until rows bring it",
            "no column `mode` is known yet: it is NULL until rows bring it",
        ]
    );
    assert_eq!(warnings[1].place.column, 42);
    assert_eq!(expression.evaluate_predicate(&rows(), StepTime(0)).unwrap().true_count(), 0);

    let widened = RecordBatch::try_from_iter([
        ("mode", Arc::new(StringArray::from(vec!["b", "x"])) as ArrayRef),
        ("other", Arc::new(Int64Array::from(vec![1, 2]))),
    ])
    .unwrap();
    let values = expression.evaluate_predicate(&widened, StepTime(0)).unwrap();
    assert_eq!(values, BooleanArray::from(vec![true, false]));
}

#[test]
fn text_that_is_not_sql_is_an_error_where_it_stops_being_so() {
    let error = refused("cpu > > 5");
    assert_eq!((error.place.line, error.place.column), (7, 26), "{error:?}");
    assert!(error.message.starts_with("this is not SQL: expected"), "{error:?}");
    assert_eq!(refused("cpu > 5 5").message, "expected the end of the expression, found `5`");
    assert_eq!(refused("cpu > 5 5").place.column, 28);
    assert_eq!(refused("host = 'a").place.column, 27);
    assert_eq!(refused("").message, "the expression is empty");
    assert_eq!(refused("cpu >").message, "this is not SQL: expected an expression, found the end of the text");
}

#[test]
fn what_needs_more_than_the_row_is_refused() {
    for text in ["count(*) > 1", "sum(cpu) > 1", "row_number() OVER () = 1", "first_value(cpu) OVER (ORDER BY cpu) = 1"]
    {
        let error = refused(text);
        assert!(error.message.contains("looks at more than one row"), "{error:?}");
        assert!(error.help.as_deref().unwrap().contains("control of `check`"), "{error:?}");
        assert_eq!(error.place.column, 20);
    }
    assert_eq!(refused("cpu IN (SELECT 1)").message, "a subquery looks at more than one row");
}

#[test]
fn what_a_replay_could_not_repeat_is_refused() {
    for text in ["random() > 0.5", "uuid() = 'x'", "RANDOM() > 1"] {
        let error = refused(text);
        assert!(error.message.ends_with("is different at every evaluation, so a replay could not prove itself"));
    }
}

#[test]
fn an_unknown_function_is_an_error_where_it_stands() {
    let error = refused("cpu > 1 AND uper(host) = 'A'");
    assert_eq!(error.message, "there is no function `uper`");
    assert_eq!(error.place.column, 32);
    assert_eq!(error.help.as_deref(), Some("did you mean `upper`?"));
}

#[test]
fn types_that_do_not_fit_are_errors() {
    for text in
        ["cpu > 'abc'", "host + 1 > 2", "at > 5.5", "upper(cpu, 1) = 'A'", "cpu AND true", "CAST('x' AS INT) = 1"]
    {
        let error = refused(text);
        assert_eq!((error.place.line, error.place.column), (7, 20), "{text}");
        assert!(!error.message.is_empty() && !error.message.contains('\n'), "{text}: {error:?}");
    }
    let error = Expression::plan_predicate(&sql("cpu + 1"), &schema(), false, &mut Vec::new()).unwrap_err();
    assert_eq!(error.message, "a condition is true or false, but this is Int64");
}

#[test]
fn rows_that_cannot_be_evaluated_are_set_aside() {
    let numbers = Int64Array::from(vec![1, 0, 5, i64::MAX, 0, 2]);
    let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).unwrap();
    let plan = |text: &str| Expression::plan(&sql(text), batch.schema_ref(), false, &mut Vec::new()).unwrap();
    let bad = |text: &str| -> Vec<usize> {
        let evaluated = plan(text).evaluate_rows(&batch, StepTime(0)).unwrap();
        assert_eq!(evaluated.values.len(), 6);
        evaluated.bad.iter().map(|bad| bad.row).collect()
    };
    assert_eq!(bad("10 / n"), [1, 4]);
    assert_eq!(bad("n + 1"), [3]);
    assert_eq!(bad("n <> 0 AND 10 / n > 3"), [0usize; 0]);
    assert!(plan("10 / n").evaluate(&batch, StepTime(0)).is_err());
    let evaluated = plan("10 / n").evaluate_rows(&batch, StepTime(0)).unwrap();
    assert_eq!(evaluated.bad[0].reason, "Divide by zero error");
}

#[test]
fn a_batch_that_makes_the_expression_meaningless_is_all_bad_rows() {
    let mut expression = planned("cpu + 1 > 5").unwrap();
    let text = RecordBatch::try_from_iter([("cpu", Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef)]).unwrap();
    let evaluated = expression.evaluate_rows(&text, StepTime(0)).unwrap();
    assert_eq!(evaluated.bad.len(), 2, "{evaluated:?}");
    assert!(!evaluated.bad[0].reason.is_empty());
}

fn projected(text: &str) -> String {
    let mut projection = Projection::plan(&sql(text), &schema(), false, &mut Vec::new()).unwrap();
    let output = projection.project(&rows(), StepTime(1_500)).unwrap();
    assert!(output.bad.is_empty());
    assert_eq!(output.values.schema_ref(), projection.schema());
    pretty_format_batches(&[output.values.slice(0, 1)]).unwrap().to_string()
}

#[test]
fn a_projection_names_columns_by_their_last_part() {
    let table = projected(
        "payload.severity, payload.inner.deepKey, resourceid, cpu::text, cpu > 5 AS busy, payload['a-b'] as n",
    );
    assert_eq!(table.lines().nth(1).unwrap(), "| severity | deepKey | resourceId | cpu | busy | n |");
}

#[test]
fn a_star_is_every_column_but_the_excluded_ones() {
    let header = |text: &str| projected(text).lines().nth(1).unwrap().replace(' ', "");
    assert_eq!(header("* EXCLUDE (payload, at)"), "|cpu|host|user|resourceId|");
    assert_eq!(header("upper(host) AS loud, * EXCEPT (payload, at, host, user)"), "|loud|cpu|resourceId|");
    assert_eq!(header("* EXCLUDE payload"), "|cpu|host|user|resourceId|at|");
}

#[test]
fn mistakes_in_a_projection_have_their_place() {
    let refused = |text: &str| Projection::plan(&sql(text), &schema(), false, &mut Vec::new()).unwrap_err();
    let twice = refused("cpu, *");
    assert_eq!(twice.message, "two columns are named `cpu`");
    assert_eq!(refused("*, upper(host) AS host").place.column, 20 + 18);
    let nameless = refused("host, cpu + 1");
    assert_eq!(nameless.message, "`cpu + 1` has no name");
    assert_eq!((nameless.place.column, nameless.help.as_deref()), (26, Some("give it one: `cpu + 1 AS name`")));
    assert_eq!(refused("* EXCLUDE (hst)").help.as_deref(), Some("did you mean `host`?"));
    assert_eq!(refused("cpu,, host").place.column, 24);
    assert_eq!(refused("").message, "the projection is empty");
}

#[test]
fn columns_that_appear_later_pass_a_star() {
    let narrow = Arc::new(Schema::new(vec![Field::new("cpu", DataType::Int64, true)]));
    let mut projection = Projection::plan(&sql("*, cpu > 5 AS busy"), &narrow, true, &mut Vec::new()).unwrap();
    assert!(projection.open());
    let wide = RecordBatch::try_from_iter([
        ("cpu", Arc::new(Int64Array::from(vec![9])) as ArrayRef),
        ("busy", Arc::new(StringArray::from(vec!["gives way"]))),
        ("new", Arc::new(StringArray::from(vec!["x"]))),
    ])
    .unwrap();
    let output = projection.project(&wide, StepTime(0)).unwrap().values;
    let names: Vec<&str> = output.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["cpu", "new", "busy"]);
}

#[test]
fn bad_rows_leave_a_projection_with_their_reason() {
    let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 0, 5])) as ArrayRef)]).unwrap();
    let mut projection =
        Projection::plan(&sql("n, 10 / n AS q, 20 / n AS r"), batch.schema_ref(), false, &mut Vec::new()).unwrap();
    let output = projection.project(&batch, StepTime(0)).unwrap();
    assert_eq!(output.values.num_rows(), 2);
    assert_eq!(output.bad, [BadRow { row: 1, reason: "Divide by zero error".to_owned() }]);
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let error = refused(&format!("{}cpu{} > 1", "(".repeat(5_000), ")".repeat(5_000)));
    assert!(error.message.contains("nests deeper"), "{error:?}");
}

#[test]
fn mistakes_in_text_of_several_lines_have_their_line_and_column() {
    let place = |yaml: &str| {
        let options = crate::spec::Options::parse(yaml).unwrap();
        let crate::spec::Tree::Map(entries) = &options.tree.value else { panic!("a map") };
        let crate::spec::Tree::Text(text) = &entries[0].1.value else { panic!("text") };
        let sql = options.sql(&crate::spec::diagnostic::Located::new(Arc::clone(text), entries[0].1.place));
        let found = Expression::plan(&sql, &schema(), false, &mut Vec::new()).unwrap_err().place;
        (found.line, found.column, yaml[found.offset..found.offset + found.length].to_owned())
    };
    let says = |line, column| (line, column, "hots".to_owned());
    assert_eq!(place("a: |\n  cpu > 5\n    AND hots = 'x'\n"), says(3, 9));
    assert_eq!(place("a: >\n  cpu > 5\n  AND hots = 'x'\n"), says(3, 7));
    assert_eq!(place("a: >\n  cpu > 5\n    AND cpu < 7\n  AND\n  hots = 'x'\n"), says(5, 3));
    assert_eq!(place("a: \"cpu > 5\n     AND hots = 'x'\""), says(2, 10));
    assert_eq!(place("a: 'host = ''x'' AND hots = ''x'''"), says(1, 22));
}

#[test]
fn rows_that_are_none_have_no_bad_rows() {
    let empty = RecordBatch::new_empty(schema());
    let mut expression = planned("1 / 0 > cpu").unwrap();
    assert!(expression.evaluate_rows(&empty, StepTime(0)).unwrap().bad.is_empty());
    let mut projection = Projection::plan(&sql("1 / 0 AS x"), &schema(), false, &mut Vec::new()).unwrap();
    assert_eq!(projection.project(&empty, StepTime(0)).unwrap().values.num_rows(), 0);
}

#[test]
fn ten_thousand_columns_are_projected() {
    let fields: Vec<Field> = (0..10_000).map(|n| Field::new(format!("column_{n}"), DataType::Int64, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut projection =
        Projection::plan(&sql("* EXCLUDE column_3, column_1 + 1 AS more"), &schema, false, &mut Vec::new()).unwrap();
    let projected = projection.project(&RecordBatch::new_empty(schema), StepTime(0)).unwrap();
    assert_eq!(projected.values.num_columns(), 10_000);
}

#[test]
fn operators_and_functions_of_sql_are_those_of_controls() {
    for (text, expected) in [
        ("payload->>'severity'", "info"),
        ("payload->'inner'->>'deepKey'", "x"),
        ("'{\"a\": [7]}'->'a'->>0", "7"),
        ("to_char(at, 'YYYY') = to_char(at, '%Y')", "true"),
        ("cidr_contains('10.0.0.0/8', '10.1.1.1')", "true"),
        ("payload.severity like any (array['x%', 'in%'])", "true"),
    ] {
        let mut expression = Expression::plan(&sql(text), &schema(), false, &mut Vec::new()).unwrap();
        let values = expression.evaluate(&rows(), StepTime(0)).unwrap();
        let options = arrow::util::display::FormatOptions::default();
        let shown = arrow::util::display::ArrayFormatter::try_new(&values, &options).unwrap().value(0).to_string();
        assert_eq!(shown, expected, "{text}");
    }
    let refused = Expression::plan(&sql("host::inet = '10.0.0.1'"), &schema(), false, &mut Vec::new()).unwrap_err();
    assert_eq!((refused.place.line, refused.place.column), (7, 20));
    assert!(refused.help.is_some_and(|help| help.contains("cidr_contains")));
}
