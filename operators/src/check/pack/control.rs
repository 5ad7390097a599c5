//! One control: what it checks, its query and its parameters.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tidegate_pipeline::spec::diagnostic::{Located, Place};
use tidegate_pipeline::spec::{SqlText, Tree};

use super::fields::{Fields, Problems, kind};
use super::rego::{self, RegoOptions};
use crate::check::finding::Severity;

/// One check of a pack.
#[derive(Debug, Clone)]
pub struct Control {
    /// Its id: `[a-z0-9_]+`, unique in its pack.
    pub id: Arc<str>,
    /// Ids that it had before.
    pub aliases: Vec<String>,
    /// What should be, in one sentence.
    pub title: Arc<str>,
    /// How bad an alarm is.
    pub severity: Severity,
    /// What it looks at.
    pub description: String,
    /// Why it matters.
    pub rationale: String,
    /// How to mend an alarm.
    pub remediation: Remediation,
    /// Further reading.
    pub references: Vec<String>,
    /// The service that it belongs to (`ec2`); the folder's name where it is not given.
    pub service: String,
    /// The type of its resources (`AWS::EC2::Volume`).
    pub resource_type: String,
    /// Free words to choose controls by.
    pub categories: Vec<String>,
    /// The tables that it says it reads; empty where that is left to its query.
    pub reads: Vec<Located<String>>,
    /// Its parameters.
    pub parameters: BTreeMap<String, Parameter>,
    /// Events that call for checking again.
    pub triggers: Vec<String>,
    /// Handlers that can mend it.
    pub handlers: Vec<String>,
    /// What a row of its query means.
    pub mode: Mode,
    /// Whether findings carry the values that decided: not where these are secrets.
    pub evidence: bool,
    /// Its query, or its policy where `rego` is there.
    pub sql: SqlText,
    /// The file that the query or policy stands in.
    pub sql_file: Arc<str>,
    /// How its policy is fed and read, where it has a policy in Rego in the place of a query.
    pub rego: Option<RegoOptions>,
    /// The file that the control stands in.
    pub file: Arc<str>,
    /// Where it stands there.
    pub place: Place,
}

/// What a row of a control's query means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Rows bring their `status`.
    #[default]
    Status,
    /// Every row is an alarm; `status` is not selected.
    Violations,
}

/// How to mend an alarm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remediation {
    /// In words.
    pub text: String,
    /// As a command.
    pub cli: String,
    /// As Terraform.
    pub terraform: String,
    /// Where to read on.
    pub url: String,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterType {
    /// `int`: 64 bits.
    Int,
    /// `float`: 64 bits.
    Float,
    /// `text`.
    Text,
    /// `bool`.
    Bool,
    /// `list of text`.
    Texts,
    /// `list of int`.
    Ints,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterValue {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of whole numbers.
    Ints(Vec<i64>),
}

impl fmt::Display for ParameterValue {
    /// As YAML would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Texts(texts) => write!(f, "[{}]", texts.join(", ")),
            Self::Ints(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", numbers.join(", "))
            }
        }
    }
}

/// A parameter: `$name` in the query.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its type.
    pub kind: ParameterType,
    /// Its value where the pipeline gives none; without it one must be given.
    pub default: Option<ParameterValue>,
    /// What it is for.
    pub description: String,
}

impl ParameterType {
    const NAMES: [(&'static str, Self); 6] = [
        ("int", Self::Int),
        ("float", Self::Float),
        ("text", Self::Text),
        ("bool", Self::Bool),
        ("list of text", Self::Texts),
        ("list of int", Self::Ints),
    ];

    /// The type as YAML writes it.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// `value` as a value of this type.
    ///
    /// # Errors
    /// What it should have been.
    pub fn read(self, value: &Tree) -> Result<ParameterValue, String> {
        let mismatch = || format!("expected {}, found {}", self.name(), kind(value));
        match (self, value) {
            (Self::Int, Tree::Integer(number)) => Ok(ParameterValue::Int(*number)),
            (Self::Float, Tree::Float(number)) => Ok(ParameterValue::Float(*number)),
            #[allow(clippy::cast_precision_loss)]
            (Self::Float, Tree::Integer(number)) => Ok(ParameterValue::Float(*number as f64)),
            (Self::Text, Tree::Text(text)) => Ok(ParameterValue::Text(text.to_string())),
            (Self::Bool, Tree::Bool(value)) => Ok(ParameterValue::Bool(*value)),
            (Self::Texts, Tree::List(items)) => items
                .iter()
                .map(|item| match &item.value {
                    Tree::Text(text) => Ok(text.to_string()),
                    other => Err(format!("expected a list of text, found {} in it", kind(other))),
                })
                .collect::<Result<_, _>>()
                .map(ParameterValue::Texts),
            (Self::Ints, Tree::List(items)) => items
                .iter()
                .map(|item| match &item.value {
                    Tree::Integer(number) => Ok(*number),
                    other => Err(format!("expected a list of int, found {} in it", kind(other))),
                })
                .collect::<Result<_, _>>()
                .map(ParameterValue::Ints),
            _ => Err(mismatch()),
        }
    }
}

const FIELDS: &[&str] = &[
    "id",
    "aliases",
    "title",
    "severity",
    "description",
    "rationale",
    "remediation",
    "references",
    "service",
    "resource_type",
    "categories",
    "query",
    "sql",
    "rego",
    "rule",
    "input",
    "output",
    "reads",
    "params",
    "triggers",
    "handlers",
    "mode",
    "evidence",
];

/// Where a control's query is to be found.
pub(super) enum Query {
    /// In this file, relative to the one that the control stands in.
    File(Located<String>),
    /// Right there.
    Inline(Located<String>),
    /// A policy in Rego: its files, or itself where it is more than one line. The policy comes first, then what it imports.
    Policy(Vec<Located<String>>),
}

/// Reads one item of `controls:`; `source` is the text of its file. `None` where it cannot be identified; a control that can be, but has
/// other problems, is returned, so that it can answer `error`.
pub(super) fn read(
    tree: &Located<Tree>,
    service: &str,
    source: &Arc<str>,
    problems: &mut Problems<'_>,
) -> Option<(Control, Option<Query>)> {
    let fields = Fields::of(tree, "a control", FIELDS, problems)?;
    let id = fields.required("id", "a control", problems)?;
    if !is_id(&id) {
        problems.add_with_help(
            id.place,
            format!("`{}` is not a control id", id.value),
            Some("use lower-case letters, digits and `_`".to_owned()),
        );
        return None;
    }
    let what = format!("control `{}`", id.value);
    let title = fields.required("title", &what, problems);
    let severity = severity(&fields, &what, problems);
    let query = query(&fields, &what, problems);
    let texts = |name: &str, problems: &mut Problems<'_>| {
        fields.texts(name, problems).into_iter().map(|text| text.value).collect::<Vec<_>>()
    };
    let text = |name: &str, problems: &mut Problems<'_>| fields.text(name, problems).map(|text| text.value);
    let control = Control {
        title: title.map_or_else(|| id.value.as_str().into(), |title| title.value.into()),
        severity,
        aliases: texts("aliases", problems),
        description: text("description", problems).unwrap_or_default(),
        rationale: text("rationale", problems).unwrap_or_default(),
        remediation: remediation(&fields, problems),
        references: texts("references", problems),
        service: text("service", problems).unwrap_or_else(|| service.to_owned()),
        resource_type: text("resource_type", problems).unwrap_or_default(),
        categories: texts("categories", problems),
        reads: fields.texts("reads", problems),
        parameters: parameters(&fields, "params", problems),
        triggers: texts("triggers", problems),
        handlers: texts("handlers", problems),
        mode: mode(&fields, problems),
        evidence: evidence(&fields, problems),
        sql: SqlText::new("", id.place),
        sql_file: Arc::clone(&problems.file),
        rego: matches!(query, Some(Query::Policy(_))).then(|| rego::read(&fields, source, problems)),
        file: Arc::clone(&problems.file),
        place: id.place,
        id: id.value.into(),
    };
    Some((control, query))
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn severity(fields: &Fields<'_>, what: &str, problems: &mut Problems<'_>) -> Severity {
    let Some(word) = fields.required("severity", what, problems) else { return Severity::Medium };
    word.parse().unwrap_or_else(|()| {
        let message = format!("`{}` is not a severity", word.value);
        problems.add_with_help(word.place, message, Some("use none, low, medium, high or critical".to_owned()));
        Severity::Medium
    })
}

fn mode(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Mode {
    match fields.text("mode", problems) {
        None => Mode::Status,
        Some(word) if word.value == "status" => Mode::Status,
        Some(word) if word.value == "violations" => Mode::Violations,
        Some(word) => {
            let message = format!("`{}` is not a mode", word.value);
            problems.add_with_help(word.place, message, Some("use status or violations".to_owned()));
            Mode::Status
        }
    }
}

fn evidence(fields: &Fields<'_>, problems: &mut Problems<'_>) -> bool {
    match fields.get("evidence").map(|tree| (tree.place, &tree.value)) {
        None | Some((_, Tree::Bool(true))) => true,
        Some((_, Tree::Bool(false))) => false,
        Some((place, other)) => {
            problems.add(place, format!("`evidence` is true or false, found {}", kind(other)));
            true
        }
    }
}

fn query(fields: &Fields<'_>, what: &str, problems: &mut Problems<'_>) -> Option<Query> {
    let mut given: Vec<(&str, Place, Query)> = Vec::new();
    if let Some(file) = fields.text("query", problems) {
        given.push(("query", file.place, Query::File(file)));
    }
    if let Some(sql) = fields.text("sql", problems) {
        given.push(("sql", sql.place, Query::Inline(sql)));
    }
    let policies = fields.texts("rego", problems);
    if let Some(first) = policies.first() {
        given.push(("rego", first.place, Query::Policy(policies)));
    } else if let Some(field) = rego::FIELDS.iter().find_map(|name| fields.get(name).map(|value| (name, value.place))) {
        problems.add(field.1, format!("`{}` belongs to `rego`", field.0));
    }
    if let [(first, place, _), (second, ..), ..] = given.as_slice() {
        problems.add(*place, format!("{what} has both `{first}` and `{second}`: keep one"));
        return None;
    }
    if given.is_empty() {
        let help = "write `query: FILE.sql`, `sql: |` and the query, or `rego: FILE.rego`".to_owned();
        problems.add_with_help(fields.place, format!("{what} has no query"), Some(help));
    }
    given.pop().map(|(.., query)| query)
}

fn remediation(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Remediation {
    let Some(tree) = fields.get("remediation") else { return Remediation::default() };
    if let Tree::Text(text) = &tree.value {
        return Remediation { text: text.to_string(), ..Remediation::default() };
    }
    let Some(inner) = Fields::of(tree, "`remediation`", &["text", "cli", "terraform", "url"], problems) else {
        return Remediation::default();
    };
    let mut text = |name: &str| inner.text(name, problems).map(|text| text.value).unwrap_or_default();
    Remediation { text: text("text"), cli: text("cli"), terraform: text("terraform"), url: text("url") }
}

/// Reads `params:` of a control or `variables:` of a pack.
pub(super) fn parameters(fields: &Fields<'_>, name: &str, problems: &mut Problems<'_>) -> BTreeMap<String, Parameter> {
    let mut parameters = BTreeMap::new();
    for (key, value) in fields.map(name, problems) {
        if !is_id(key) || key.starts_with(|c: char| c.is_ascii_digit()) {
            let help = "use lower-case letters, digits and `_`, not a digit first".to_owned();
            problems.add_with_help(key.place, format!("`{}` is not a parameter name", key.value), Some(help));
        } else if let Some(parameter) = parameter(key, value, problems) {
            parameters.insert(key.value.to_string(), parameter);
        }
    }
    parameters
}

fn parameter(name: &str, tree: &Located<Tree>, problems: &mut Problems<'_>) -> Option<Parameter> {
    let what = format!("parameter `{name}`");
    let fields = Fields::of(tree, &what, &["type", "default", "description"], problems)?;
    let word = fields.required("type", &what, problems)?;
    let Some((_, kind)) = ParameterType::NAMES.iter().find(|(known, _)| *known == word.value) else {
        let names = ParameterType::NAMES.map(|(known, _)| known).join(", ");
        problems.add_with_help(word.place, format!("`{}` is not a type", word.value), Some(format!("use {names}")));
        return None;
    };
    let default = match fields.get("default").map(|value| (value, kind.read(&value.value))) {
        None => None,
        Some((_, Ok(value))) => Some(value),
        Some((value, Err(message))) => {
            problems.add(value.place, format!("the default of {what}: {message}"));
            None
        }
    };
    let description = fields.text("description", problems).map(|text| text.value).unwrap_or_default();
    Some(Parameter { kind: *kind, default, description })
}
