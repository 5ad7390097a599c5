//! Templates over rows (Jinja2, by minijinja): compiled and checked when a pipeline is planned, rendered per row.
//!
//! A template sees the columns of the row by their names, all of them as `row`, the time of the step as `time` and, with
//! a preset, its parameters as `parameters`. With `batch` it sees `rows` in place of columns and `row`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use minijinja::{Environment, UndefinedBehavior, Value};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};

/// How much one rendering may do: about as many instructions. A loop over a long list ends in bounded time.
const FUEL: u64 = 2_000_000;
/// The longest template, in bytes.
const LONGEST: usize = 256 * 1024;
/// The name of the only template of an environment.
const NAME: &str = "template";

/// What a template may name beside columns.
pub(super) const ROW: &str = "row";
/// With batches: all rows.
pub(super) const ROWS: &str = "rows";
/// The time of the step, as RFC 3339.
pub(super) const TIME: &str = "time";
/// The parameters of a preset.
pub(super) const PARAMETERS: &str = "parameters";

/// What stands behind a template when it is planned.
pub(super) struct Known<'a> {
    /// The columns of the rows.
    pub(super) schema: &'a Schema,
    /// Whether rows may bring others.
    pub(super) open: bool,
    /// Whether it is rendered once for several rows.
    pub(super) batch: bool,
}

/// A compiled template.
#[derive(Clone)]
pub(super) struct Template(Kind);

#[derive(Clone)]
enum Kind {
    /// The same for every row.
    Text(Arc<str>),
    Compiled(Compiled),
}

#[derive(Clone)]
struct Compiled {
    environment: Arc<Environment<'static>>,
    /// What it names, with the fields of each name.
    names: Arc<[String]>,
    /// Names that no column has as planned: NULL where a row does not bring them.
    missing: Arc<[String]>,
}

impl Template {
    /// A text that is no template.
    pub(super) fn of_text(text: String) -> Self {
        Self(Kind::Text(text.into()))
    }

    /// What it names: columns, `row`, `parameters.NAME`.
    pub(super) fn names(&self) -> &[String] {
        match &self.0 {
            Kind::Text(_) => &[],
            Kind::Compiled(compiled) => &compiled.names,
        }
    }

    /// Compiles `text` and looks for what it names.
    ///
    /// # Errors
    /// When it does not compile, or names what no row has.
    pub(super) fn plan(
        text: &Located<String>,
        known: &Known<'_>,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Self, Diagnostic> {
        let wrong = |message: String| Diagnostic::error(text.place, message);
        if text.value.len() > LONGEST {
            return Err(wrong(format!("a template has at most {LONGEST} bytes")));
        }
        let environment = environment(&text.value).map_err(|error| wrong(compile_error(&error)))?;
        let template = environment.get_template(NAME).map_err(|error| wrong(compile_error(&error)))?;
        let given: BTreeSet<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
        let own: &[&str] = if known.batch { &[ROWS, TIME, PARAMETERS] } else { &[ROW, TIME, PARAMETERS] };
        let names: BTreeSet<String> =
            template.undeclared_variables(true).into_iter().filter(|name| !given.contains(first(name))).collect();
        let named: BTreeSet<String> = names.iter().filter(|name| !own.contains(&first(name))).cloned().collect();
        let columns: Vec<&str> = match known.batch {
            true => own.to_vec(),
            false => {
                known.schema.fields().iter().map(|field| field.name().as_str()).chain(own.iter().copied()).collect()
            }
        };
        let mut missing = BTreeSet::new();
        for name in &named {
            if !known.batch && is_there(known.schema, name) {
                continue;
            }
            let message = format!("the template names `{name}`, which no row has");
            if known.batch || !known.open {
                let help = "`{{ row.NAME | default('…') }}` names a column that may be missing";
                return Err(wrong(message).with_expected(first(name), columns).with_help(help));
            }
            warnings.push(Diagnostic::warning(
                text.place,
                format!("{message} as far as is known; it is NULL where it is missing"),
            ));
            missing.insert(first(name).to_owned());
        }
        let (names, missing) = (names.into_iter().collect(), missing.into_iter().collect());
        Ok(Self(Kind::Compiled(Compiled { environment: Arc::new(environment), names, missing })))
    }

    /// Renders it over what it may name.
    ///
    /// # Errors
    /// Why it cannot, in one sentence.
    pub(super) fn render(&self, context: BTreeMap<String, Value>) -> Result<String, String> {
        match &self.0 {
            Kind::Text(text) => Ok(text.to_string()),
            Kind::Compiled(compiled) => compiled.render(context),
        }
    }
}

impl Compiled {
    fn render(&self, mut context: BTreeMap<String, Value>) -> Result<String, String> {
        for name in self.missing.iter() {
            context.entry(name.clone()).or_insert_with(|| Value::from(()));
        }
        let template = self.environment.get_template(NAME).map_err(|error| compile_error(&error))?;
        template.render(Value::from(context)).map_err(|error| {
            let place = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
            format!("the template cannot be rendered{place}: {}", said(&error))
        })
    }
}

/// An environment with one template and nothing of the outside: no files, no other templates, no clock.
fn environment(text: &str) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_template_owned(NAME, text.to_owned())?;
    Ok(environment)
}

/// The name before the first dot.
fn first(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Whether a column, or a field of one, has this name.
fn is_there(schema: &Schema, name: &str) -> bool {
    let mut parts = name.split('.');
    let Some(column) = parts.next().and_then(|column| schema.field_with_name(column).ok()) else { return false };
    let mut data_type = column.data_type();
    for part in parts {
        let DataType::Struct(fields) = data_type else { return true };
        match fields.iter().find(|field| field.name() == part) {
            Some(field) => data_type = field.data_type(),
            None => return false,
        }
    }
    true
}

fn compile_error(error: &minijinja::Error) -> String {
    let place = error.line().map(|line| format!(" (its line {line})")).unwrap_or_default();
    format!("the template does not compile{place}: {}", said(error))
}

fn said(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Fields};
    use tidegate_pipeline::spec::NOWHERE;

    use super::*;

    fn planned(text: &str, open: bool, batch: bool) -> Result<(Template, usize), Diagnostic> {
        let payload = DataType::Struct(Fields::from(vec![Field::new("kind", DataType::Utf8, true)]));
        let schema =
            Schema::new(vec![Field::new("severity", DataType::Utf8, true), Field::new("payload", payload, true)]);
        let mut warnings = Vec::new();
        let known = Known { schema: &schema, open, batch };
        let template = Template::plan(&Located::new(text.to_owned(), NOWHERE), &known, &mut warnings)?;
        Ok((template, warnings.len()))
    }

    fn rendered(text: &str, row: serde_json::Value) -> Result<String, String> {
        let (template, _) = planned(text, true, false).unwrap();
        let serde_json::Value::Object(columns) = row else { panic!("a row") };
        template.render(
            columns.into_iter().map(|(name, value)| (name, Value::from(minijinja::value::Serde(value)))).collect(),
        )
    }

    #[test]
    fn what_no_row_has_is_found_when_the_pipeline_is_planned() {
        assert!(planned("{{ severity }} {{ payload.kind }} {{ row.other | default('') }}", false, false).is_ok());
        assert!(planned("{% for row in rows %}{{ row.severity }}{% endfor %}", false, true).is_ok());
        for wrong in ["{{ sevrity }}", "{{ payload.knd }}", "{{ rows }}"] {
            let found = planned(wrong, false, false).err().unwrap();
            assert!(found.message.contains("no row has"), "{}", found.message);
        }
        assert_eq!(planned("{{ sevrity }}", true, false).map(|(_, warnings)| warnings).ok(), Some(1));
        assert!(planned("{{ severity }}", true, true).is_err(), "a batch has rows, not columns");
    }

    #[test]
    fn what_does_not_compile_is_found_with_its_line() {
        let found = planned("line one\n{% if severity %}", false, false).err().unwrap();
        assert!(found.message.contains("does not compile") && found.message.contains("line"), "{}", found.message);
    }

    #[test]
    fn what_a_row_of_an_open_schema_lacks_is_null_and_a_wrong_use_is_told() {
        assert_eq!(rendered("{{ unknown | tojson }}", serde_json::json!({})).unwrap(), "null");
        let wrong = rendered("a\n{{ severity + 1 }}", serde_json::json!({"severity": "high"})).unwrap_err();
        assert!(wrong.contains("line 2"), "{wrong}");
    }

    #[test]
    fn a_rendering_without_end_is_cut_off() {
        let endless = "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}";
        assert!(rendered(endless, serde_json::json!({})).is_err());
    }
}
