//! Policies in Rego, evaluated by regorus.
//!
//! ```text
//! rows of queries ──► rows.rs ──► input ──► regorus ──► value of a rule ──► answer.rs ──► rows, as a query gives them
//!                     values      text.rs   time.rs                        columns       evaluate/rows.rs
//! ```
//!
//! A policy knows no clock, network, file or chance: its time is the step's, and it is stopped by what it does (`work.rs`),
//! never by how long that takes, so that a replay answers the same.

mod answer;
mod functions;
mod net;
mod rows;
mod text;
mod time;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use jiff::Timestamp;
use regorus::value::Object;
use regorus::{Engine, Value};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::spec::SqlText;
use tidegate_pipeline::spec::diagnostic::{Place, closest};
use tidegate_pipeline::step::StepTime;

use super::pack::{Control, Mode, PackProblem, RegoOptions};
use super::plan::{OutputColumns, PolicyInput};
use answer::Reader;

/// The rules that answer where a control does not name one: of findings, and of alarms as other tools name them.
const FINDINGS: &[&str] = &["findings"];
const ALARMS: &[&str] = &["deny", "violation", "violations", "findings"];
/// What regorus says of a path that no rule has.
const NO_RULE: &str = "not a valid rule path";

/// A policy ready to be evaluated.
pub(crate) struct Policy {
    engine: Engine,
    modules: Vec<Module>,
    rules: Vec<Rule>,
    inputs: Vec<PolicyInput>,
    /// What `input` holds besides rows and the time.
    fields: Value,
    reader: Reader,
    reads_time: bool,
}

/// A file of a policy.
#[derive(Debug)]
struct Module {
    file: Arc<str>,
    text: SqlText,
}

/// A rule that answers.
#[derive(Debug)]
struct Rule {
    /// Its path: `data.PACKAGE.RULE`.
    path: String,
    /// The fields of its value that lead to the answer.
    fields: Vec<String>,
    /// As the control names it.
    name: String,
}

/// What a policy is given, by name.
pub(crate) struct Given {
    /// The names in `input.tables`.
    pub(crate) tables: Vec<String>,
    /// The names of rows in `input`.
    pub(crate) names: Vec<String>,
    /// The other fields of `input`, with `params`.
    pub(crate) fields: serde_json::Value,
}

/// Rows as a policy sees them.
#[derive(Default)]
pub(crate) struct Rows(Vec<Value>);

impl Rows {
    /// How much memory the rows of a batch take as values, roughly.
    pub(crate) fn bytes_of(batch: &RecordBatch) -> usize {
        rows::bytes_as_values(batch)
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// When a column has a type that cannot be given to a policy.
    pub(crate) fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        rows::append(batch, &mut self.0)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("rules", &self.rules).field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

impl Policy {
    /// Reads the policy of a control.
    ///
    /// # Errors
    /// Everything that is wrong with it, as far as that can be seen without rows.
    pub(crate) fn new(control: &Control, options: &RegoOptions, given: &Given) -> Result<Self, Vec<PackProblem>> {
        let main = Module { file: Arc::clone(&control.sql_file), text: control.sql.clone() };
        let more = options.modules.iter().map(|(file, text)| Module { file: Arc::clone(file), text: text.clone() });
        let modules: Vec<Module> = std::iter::once(main).chain(more).collect();
        let mut engine = engine();
        let mut packages = Vec::with_capacity(modules.len());
        for (number, module) in modules.iter().enumerate() {
            match engine.add_policy(number.to_string(), text::with_full_calls(module.text.as_str())) {
                Ok(package) => packages.push(package),
                Err(error) => return Err(vec![problem_of(&modules, &error.to_string())]),
            }
        }
        let mut problems: Vec<PackProblem> = Vec::new();
        let mut reads_time = false;
        for module in &modules {
            reads_time |= module.look(given, &packages, &modules, &mut problems);
        }
        let package = packages.first().map_or("", String::as_str);
        let rules = rules(control, options, &modules, package).map_err(|problem| vec![problem])?;
        if !problems.is_empty() {
            return Err(problems);
        }
        let output = options.output.iter();
        let reader = Reader {
            mode: control.mode,
            output: output.map(|(column, path)| (*column, path.split('.').map(str::to_owned).collect())).collect(),
            title: Arc::clone(&control.title),
            resource: format!("policy:{}", package.trim_start_matches("data.")),
        };
        let fields =
            value_of(&given.fields).map_err(|message| vec![PackProblem::new(&control.file, control.place, message)])?;
        // No rule has this path, but to see that the engine must have read all of them.
        if let Err(error) = engine.eval_rule("data".to_owned()) {
            let message = error.to_string();
            if message != NO_RULE {
                return Err(vec![problem_of(&modules, &message)]);
            }
        }
        let policy = Self { engine, modules, rules, inputs: Vec::new(), fields, reader, reads_time };
        policy.try_out(given).map_err(|problem| vec![problem])?;
        Ok(policy)
    }

    /// The same with the queries that give it its rows.
    #[must_use]
    pub(crate) fn with_inputs(self, inputs: Vec<PolicyInput>) -> Self {
        Self { inputs, ..self }
    }

    /// The queries that give it its rows, in the order in which [`Policy::answer`] takes them.
    pub(crate) fn inputs(&self) -> &[PolicyInput] {
        &self.inputs
    }

    /// The columns of what it answers.
    pub(crate) fn columns(&self) -> OutputColumns {
        Reader::columns(self.reader.mode)
    }

    /// Whether its answer changes with time alone.
    pub(crate) fn reads_time(&self) -> bool {
        self.reads_time
    }

    /// Its rules and the plans of its inputs as text.
    pub(crate) fn describe(&self) -> String {
        let rules: Vec<&str> = self.rules.iter().map(|rule| rule.path.as_str()).collect();
        let mut text = format!("Policy: {}", rules.join(", "));
        for input in &self.inputs {
            let names = input.tables.iter().map(|name| format!("input.tables.{name}"));
            let names: Vec<String> = names.chain(input.names.iter().map(|name| format!("input.{name}"))).collect();
            text.push_str(&format!("\n  {}:", names.join(", ")));
            for line in input.plan.display_indent().to_string().lines() {
                text.push_str(&format!("\n    {line}"));
            }
        }
        text
    }

    /// What the policy says of these rows, one list for each of [`Policy::inputs`], as of `time`. Takes as long as it takes:
    /// not for a thread that others wait for.
    ///
    /// # Errors
    /// Why it has no answer, in one sentence without a final period, with file and line where they are known.
    pub(crate) fn answer(&self, rows: Vec<Rows>, time: StepTime) -> Result<RecordBatch, String> {
        let limit = work::limit(rows.iter().map(|Rows(rows)| rows.len()).sum());
        let mut input = self.fields.as_object().cloned().unwrap_or_default();
        let mut tables = BTreeMap::new();
        for (Rows(rows), named) in rows.into_iter().zip(&self.inputs) {
            let rows = Value::from(rows);
            tables.extend(named.tables.iter().map(|name| (Value::from(name.as_str()), rows.clone())));
            input.extend(named.names.iter().map(|name| (Value::from(name.as_str()), rows.clone())));
        }
        input.insert("tables".into(), tables.into());
        let values = self.evaluate(input, time, limit).map_err(|problem| problem.to_string())?;
        self.reader.rows(&values).map_err(|message| self.problem(message).to_string())
    }

    /// The values of the rules, each with its name.
    fn evaluate(&self, mut input: Object, time: StepTime, limit: u64) -> Result<Vec<(String, Value)>, PackProblem> {
        let mut engine = self.engine.clone();
        let (Some(now), Ok(shown)) = (time::now(time), Timestamp::from_millisecond(time.0)) else {
            return Err(self.problem("the step's time is beyond what a policy can count"));
        };
        input.insert("now".into(), shown.to_string().into());
        engine.set_input(Value::from(input));
        let clock = Box::new(move |_: Vec<Value>| Ok(now.clone()));
        engine.add_extension(time::NOW.to_owned(), 0, clock).map_err(|error| self.problem(error))?;
        let mut values = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            let value = work::bounded(&mut engine, limit, |engine| {
                engine.eval_rule(rule.path.clone()).map_err(|error| error.to_string())
            });
            let value = match value {
                Ok(value) => value.map_err(|message| problem_of(&self.modules, &message))?,
                Err(stopped) => return Err(self.problem(stopped.reason())),
            };
            values.push((rule.name.clone(), answer::at(&value, &rule.fields).clone()));
        }
        Ok(values)
    }

    /// A problem of the policy as a whole.
    fn problem(&self, message: impl fmt::Display) -> PackProblem {
        PackProblem::new(&self.modules[0].file, Place::default(), message)
    }

    /// Evaluates the policy without rows: what it cannot do then, it can never do.
    fn try_out(&self, given: &Given) -> Result<(), PackProblem> {
        // Any time will do.
        const SOME_TIME: StepTime = StepTime(946_684_800_000);
        let none = |names: &[String]| -> BTreeMap<Value, Value> {
            names.iter().map(|name| (Value::from(name.as_str()), Value::new_array())).collect()
        };
        let mut input = self.fields.as_object().cloned().unwrap_or_default();
        input.extend(none(&given.names));
        input.insert("tables".into(), none(&given.tables).into());
        self.evaluate(input, SOME_TIME, work::limit(0)).map(|_| ())
    }
}

/// An engine without a policy: what fails is undefined as in OPA, what is printed goes nowhere, and the functions are there
/// that are not regorus's own.
fn engine() -> Engine {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(false);
    engine.set_gather_prints(true);
    for (name, arguments, function) in added() {
        let extension = move |values: Vec<Value>| Ok(function(&values).unwrap_or(Value::Undefined));
        // Refused only where one is there already, and these names differ.
        let _ = engine.add_extension((*name).to_owned(), *arguments, Box::new(extension));
    }
    engine
}

/// The functions that regorus has not, or has without a bound; all but the clock.
fn added() -> impl Iterator<Item = &'static (&'static str, u8, time::Function)> {
    time::FUNCTIONS.iter().chain(&functions::FUNCTIONS).chain(&net::FUNCTIONS)
}

/// What regorus says, with the place that it knows: `--> FILE:LINE:COLUMN`, a picture of it, and `error: …`.
fn problem_of(modules: &[Module], text: &str) -> PackProblem {
    let (picture, message) = match text.rsplit_once("\nerror: ") {
        Some((picture, message)) => (picture, message),
        None => (text, text.lines().find(|line| !line.trim().is_empty()).unwrap_or(text)),
    };
    let message = message.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    let place = picture.lines().find_map(|line| {
        let mut parts = line.trim().strip_prefix("--> ")?.split(':');
        let module = modules.get(parts.next()?.parse::<usize>().ok()?)?;
        let (line, column) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(PackProblem::new(&module.file, module.text.place_at(line, column, 1), message))
    });
    place.unwrap_or_else(|| {
        PackProblem::new(modules.first().map_or("", |module| &module.file), Place::default(), message)
    })
}

fn value_of(json: &serde_json::Value) -> Result<Value, String> {
    Value::from_json_str(&json.to_string()).map_err(|error| error.to_string())
}

/// The rules that answer.
fn rules(
    control: &Control,
    options: &RegoOptions,
    modules: &[Module],
    package: &str,
) -> Result<Vec<Rule>, PackProblem> {
    let defined = modules.first().map(|module| text::rules(module.text.as_str())).unwrap_or_default();
    let rule = |name: &str| {
        let mut parts = name.split('.').map(str::to_owned);
        let path = format!("{package}.{}", parts.next().unwrap_or_default());
        Rule { path, fields: parts.collect(), name: name.to_owned() }
    };
    let file = modules.first().map_or(&control.file, |module| &module.file);
    let there: Vec<String> = defined.iter().map(ToString::to_string).collect();
    let known = match there.is_empty() {
        true => "it defines none".to_owned(),
        false => format!("rules that it has: {}", there.join(", ")),
    };
    if let Some(name) = &options.rule {
        let first = name.split('.').next().unwrap_or_default().to_owned();
        if !defined.contains(first.as_str()) {
            let help = closest(&first, &there).map_or(known, |near| format!("did you mean `{near}`?"));
            let message = format!("the policy {file} has no rule `{first}`");
            return Err(PackProblem::new(&control.file, name.place, message).with_help(help));
        }
        return Ok(vec![rule(name)]);
    }
    let names = if control.mode == Mode::Violations { ALARMS } else { FINDINGS };
    let rules: Vec<Rule> = names.iter().filter(|name| defined.contains(**name)).map(|name| rule(name)).collect();
    if rules.is_empty() {
        let wanted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let message = format!("the policy {file} has no rule {}", wanted.join(" or "));
        let help = format!("name the one that answers: `rule: …`; {known}");
        return Err(PackProblem::new(&control.file, control.place, message).with_help(help));
    }
    Ok(rules)
}

impl Module {
    /// Looks for names that nothing gives. Whether the clock is asked.
    fn look(&self, given: &Given, packages: &[String], modules: &[Self], problems: &mut Vec<PackProblem>) -> bool {
        let mut reads_time = false;
        let mut known: BTreeSet<&str> = text::imports(self.text.as_str()).into_keys().collect();
        // Files of one package share their rules; which files these are does not matter for what is not there at all.
        known.extend(modules.iter().flat_map(|module| text::rules(module.text.as_str())));
        for mention in text::mentions(self.text.as_str()) {
            let path: Vec<&str> = mention.path.iter().take(2).copied().collect();
            reads_time |= matches!((mention.root, path.as_slice()), ("time", ["now_ns", ..]) | ("input", ["now", ..]));
            let unknown = match (mention.root, path.as_slice()) {
                ("input", ["tables", table]) if !given.tables.iter().any(|known| known == table) => Some((
                    format!("`reads` does not list the table `{table}`, so that the policy never sees it"),
                    near(table, &given.tables).unwrap_or_else(|| format!("add it: `reads: [{table}]`")),
                )),
                ("input", ["params", name]) if given.fields["params"].get(name).is_none() => {
                    let names = keys(&given.fields["params"]);
                    let declare = || format!("declare it: `params: {{{name}: {{type: …, default: …}}}}`");
                    Some((format!("there is no parameter `{name}`"), near(name, &names).unwrap_or_else(declare)))
                }
                ("input", [name, ..]) if !given.has(name) => Some((
                    format!("nothing gives `input.{name}`"),
                    near(name, &given.all_names())
                        .unwrap_or_else(|| format!("say what it is: `input: {{{name}: TABLE}}`")),
                )),
                ("data", [first, ..]) if !packages.iter().any(|package| package.split('.').nth(1) == Some(first)) => {
                    Some((
                        format!("nothing gives `data.{first}`"),
                        "list the file of that package: `rego: [POLICY.rego, OTHER.rego]`".to_owned(),
                    ))
                }
                _ if mention.called && !known.contains(mention.root) && !is_function(mention.root, &mention.path) => {
                    let name =
                        std::iter::once(mention.root).chain(mention.path.iter().copied()).collect::<Vec<_>>().join(".");
                    let help = "a policy has what computes, and nothing that asks the world around it".to_owned();
                    Some((format!("there is no function `{name}`"), help))
                }
                _ => None,
            };
            if let Some((message, help)) = unknown {
                let (line, column) = text::line_and_column(self.text.as_str(), mention.offset);
                let place = self.text.place_at(line, column, mention.length);
                problems.push(PackProblem::new(&self.file, place, message).with_help(help));
            }
        }
        reads_time
    }
}

impl Given {
    /// The names that `input` has.
    fn all_names(&self) -> Vec<String> {
        let own = ["tables", "now"].map(str::to_owned);
        self.names.iter().cloned().chain(keys(&self.fields)).chain(own).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.all_names().iter().any(|known| known == name)
    }
}

/// Whether a policy can call this without defining it.
fn is_function(root: &str, path: &[&str]) -> bool {
    let name = std::iter::once(root).chain(path.iter().copied()).collect::<Vec<_>>().join(".");
    // What may stand before a parenthesis that opens a term.
    const WORDS: [&str; 9] = ["if", "in", "not", "else", "contains", "some", "every", "with", "as"];
    added().any(|(known, ..)| *known == name)
        || name == time::NOW
        || name == "print"
        || root == "data"
        || WORDS.contains(&name.as_str())
        || regorus::unstable::BUILTINS.contains_key(name.as_str())
}

fn keys(object: &serde_json::Value) -> Vec<String> {
    object.as_object().into_iter().flat_map(serde_json::Map::keys).cloned().collect()
}

fn near(name: &str, names: &[String]) -> Option<String> {
    closest(name, names).map(|near| format!("did you mean `{near}`?"))
}
