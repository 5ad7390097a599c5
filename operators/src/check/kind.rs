//! `check` as it is planned.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use tidegate_pipeline::error::Error;
use tidegate_pipeline::operator::{LookupFile, Operator, OperatorKind, PlanContext, PlannedOperator, StateTable};
use tidegate_pipeline::rows::Port;
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located, Place};
use tidegate_pipeline::spec::{ByteSize, Options, SqlText, Tree};
use tidegate_pipeline::table::TableDefinition;

use super::drift::DriftState;
use super::evaluate::{Evaluator, WorkLimit};
use super::finding::Severity;
use super::operator::{CheckOperator, Reading, WAIVERS};
use super::options::CheckOptions;
use super::pack::{Control, Mode, Pack, PackFiles, PackLibrary, Parameter, ParameterType, Remediation};
use super::plan::{Overrides, PlanProblems, PlannedPack, Selection};
use super::rows::{finding_schema, held_findings};
use super::waiver::Waivers;
use crate::options;

/// The table that the findings of a pipeline are, for `tidegate query`: all that are not ok.
pub const FINDINGS: &str = "findings";
/// The table that queries over events read.
pub const INPUT: &str = "input";

/// The most memory that the queries of a node take that was planned to be looked at.
const MEMORY: ByteSize = ByteSize::mebibytes(1024);

/// `check`: evaluates controls over tables of inventory, or over events, and emits what changed.
///
/// Over tables, a control is evaluated after a step in which a table that it reads has changed; what it
/// emits does not depend on where other steps are cut. Over events, controls see the rows of one step at a
/// time as the table `input`, so an aggregate over several rows depends on the cut. A finding over events
/// that is not ok is held until a later row about the same resource is ok.
#[derive(Debug)]
pub struct CheckKind {
    library: PackLibrary,
}

impl CheckKind {
    /// The kind, with these packs.
    pub fn new(library: PackLibrary) -> Self {
        Self { library }
    }
}

impl OperatorKind for CheckKind {
    fn name(&self) -> &'static str {
        "check"
    }

    fn summary(&self) -> &'static str {
        "Evaluates the controls of a pack, or one query, and emits findings that are new, changed or resolved."
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(CheckOptions)
    }

    fn runs_queries(&self) -> bool {
        true
    }

    fn reads_tables(&self) -> bool {
        true
    }

    /// Findings are held by control and resource: whatever else changes, they are the same findings.
    fn state_of(&self, _options: &Options) -> Option<String> {
        Some("findings".to_owned())
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let read: CheckOptions = options.read()?;
        let place = |name: &str| options::place(options, name);
        let (pack, overrides) = match (&read.pack, &read.sql) {
            (Some(name), None) => (self.named(name, &read, place, context)?, overrides(options)?),
            (None, Some(_)) => (inline(options, &read, context.node)?, Overrides::new()),
            (Some(_), Some(_)) => {
                let diagnostic = Diagnostic::error(place("sql"), "`check` has both `pack` and `sql`");
                return Err(vec![diagnostic.with_help("keep one of them")]);
            }
            (None, None) => {
                let diagnostic = Diagnostic::error(options.tree.place, "`check` has neither `pack` nor `sql`");
                return Err(vec![diagnostic.with_help("name a pack: `check: {pack: aws}`")]);
            }
        };
        let (definitions, reading) = tables(context);
        let selection = Selection {
            controls: read.controls.clone(),
            except: read.except.clone(),
            benchmark: read.benchmark.clone(),
        };
        let memory = ByteSize(context.memory);
        let (mut planned, problems) = PlannedPack::plan(&pack, &definitions, &selection, &overrides, memory)
            .map_err(|error| vec![of_error(options.tree.place, &error)])?;
        planned.work_limit = read.work_limit.map_or_else(WorkLimit::default, |limit| WorkLimit(limit.get()));
        report(&planned, &problems, read.sql.is_some(), &place, context)?;
        let evaluator = Evaluator::new(planned);
        let emit = read.emit;
        let waivers = read.waivers.as_deref().map(|file| self.waivers(file, &place, context)).transpose()?;
        let about = Arc::<str>::from(read.waivers.unwrap_or_default());
        let when = read.evaluate;
        let build = move || -> tidegate_pipeline::error::Result<Box<dyn Operator>> {
            Ok(Box::new(CheckOperator::new(evaluator.clone(), reading.clone(), (emit, when), Arc::clone(&about))))
        };
        let mut operator = PlannedOperator::new(vec![Port::out(finding_schema())], build);
        operator.lookups.extend(waivers);
        operator.state = Some(DriftState::layout());
        operator.shown = Some(StateTable { name: FINDINGS, schema: finding_schema(), rows: held_findings });
        operator.contents = contents(&pack);
        operator.evaluates_tables = true;
        Ok(operator)
    }
}

impl CheckKind {
    /// The file of waivers. What is wrong in it becomes warnings: it can be mended while the pipeline runs, and until then
    /// is an error among the findings.
    fn waivers(
        &self,
        file: &str,
        place: &impl Fn(&str) -> Place,
        context: &mut PlanContext<'_>,
    ) -> Result<LookupFile, Vec<Diagnostic>> {
        let path = context.working_directory.join(file);
        let unreadable =
            |error| vec![Diagnostic::error(place("waivers"), format!("cannot read the waivers `{file}`: {error}"))];
        let contents = std::fs::read(&path).map_err(unreadable)?;
        for problem in &Waivers::read(file, &contents).1 {
            let severity = tidegate_pipeline::spec::diagnostic::Severity::Warning;
            context.warnings.push(Diagnostic { severity, ..Diagnostic::from(problem) });
        }
        Ok(LookupFile { name: WAIVERS.to_owned(), path })
    }

    /// The pack that `pack:` names. What is wrong with its files becomes warnings.
    fn named(
        &self,
        name: &str,
        options: &CheckOptions,
        place: impl Fn(&str) -> Place,
        context: &mut PlanContext<'_>,
    ) -> Result<Pack, Vec<Diagnostic>> {
        let only_for_sql = [("title", options.title.is_some()), ("severity", options.severity.is_some())];
        let misplaced: Vec<Diagnostic> = only_for_sql
            .into_iter()
            .filter(|(_, given)| *given)
            .map(|(option, _)| {
                Diagnostic::error(place(option), format!("`{option}` belongs to `sql`, a pack brings its own"))
            })
            .collect();
        if !misplaced.is_empty() {
            return Err(misplaced);
        }
        let found = match context.recorded.is_empty() {
            true => self.library.find(name, &context.working_directory),
            false => Ok(as_recorded(&context.recorded)),
        };
        let (pack, problems) = found.map_err(|error| vec![of_error(place("pack"), &error)])?;
        context.warnings.extend(problems.iter().map(|problem| Diagnostic {
            severity: tidegate_pipeline::spec::diagnostic::Severity::Warning,
            ..Diagnostic::from(problem)
        }));
        Ok(pack)
    }
}

/// The controls of a `check` node as it was planned, planned again: over `inputs`, or over events with the columns
/// `events`. `contents` are the texts that planning it gave.
///
/// # Errors
/// When the options are not those of a `check` node, or DataFusion cannot be set up.
pub fn planned_again(
    node: &str,
    options: &Options,
    contents: &[(String, Arc<[u8]>)],
    inputs: &[TableDefinition],
    events: &SchemaRef,
) -> Result<(Pack, PlannedPack), Vec<Diagnostic>> {
    let read: CheckOptions = options.read()?;
    let (pack, overrides) = match read.sql {
        Some(_) => (inline(options, &read, node)?, Overrides::new()),
        None => (as_recorded(contents).0, overrides(options)?),
    };
    let selection = Selection { controls: read.controls, except: read.except, benchmark: read.benchmark };
    let input = [TableDefinition::new(INPUT, "The rows of the step.", Arc::clone(events), [])];
    let definitions = if inputs.is_empty() { &input } else { inputs };
    let planned = PlannedPack::plan(&pack, definitions, &selection, &overrides, MEMORY)
        .map_err(|error| vec![of_error(options.tree.place, &error)])?;
    Ok((pack, planned.0))
}

/// A pack from the texts that [`contents`] gave when its pipeline was recorded.
fn as_recorded(recorded: &[(String, Arc<[u8]>)]) -> (Pack, Vec<super::pack::PackProblem>) {
    let mut files = PackFiles::default();
    recorded.iter().for_each(|(path, content)| files.insert(path.as_str(), Arc::clone(content)));
    let root = recorded.first().and_then(|(path, _)| path.split('/').next()).unwrap_or_default().to_owned();
    Pack::load(&files, &root)
}

/// The tables that controls may read, and where they come from.
fn tables(context: &PlanContext<'_>) -> (Vec<TableDefinition>, Reading) {
    let mut definitions: Vec<TableDefinition> = Vec::new();
    for definition in context.inputs.iter().flat_map(|input| &input.tables) {
        if !definitions.iter().any(|known| known.name == definition.name) {
            definitions.push(definition.clone());
        }
    }
    if !definitions.is_empty() {
        return (definitions, Reading::Tables);
    }
    let input = TableDefinition::new(INPUT, "The rows of the step.", Arc::clone(&context.schema), []);
    (vec![input.clone()], Reading::Events(Arc::new(input)))
}

/// Turns what planning found into errors and warnings. A broken control of a pack is a warning: it answers
/// `error` when it is evaluated, and the others go on.
fn report(
    planned: &PlannedPack,
    problems: &PlanProblems,
    is_inline: bool,
    place: &impl Fn(&str) -> Place,
    context: &mut PlanContext<'_>,
) -> Result<(), Vec<Diagnostic>> {
    let mut errors = Vec::new();
    for problem in &problems.options {
        let mut diagnostic = Diagnostic::error(place(problem.option), &problem.message);
        diagnostic.help.clone_from(&problem.help);
        errors.push(diagnostic);
    }
    for problem in &problems.queries {
        let mut diagnostic = Diagnostic::from(problem);
        if is_inline {
            // The query stands in the pipeline itself.
            diagnostic.file = None;
            errors.push(diagnostic);
        } else {
            diagnostic.severity = tidegate_pipeline::spec::diagnostic::Severity::Warning;
            context.warnings.push(diagnostic);
        }
    }
    if let Some((control, table)) = planned.without_tables.first() {
        let count = planned.without_tables.len();
        let message = match count {
            1 => format!("control `{control}` is left out: there is no table `{table}` among the inputs"),
            _ => format!(
                "{count} controls are left out, such as `{control}`: there is no table `{table}` among the inputs"
            ),
        };
        context.warnings.push(Diagnostic::warning(place("pack"), message));
    }
    if errors.is_empty() && planned.controls.is_empty() {
        let diagnostic = Diagnostic::error(place("pack"), "there is no control to evaluate");
        errors.push(diagnostic.with_help("check `controls`, `except` and the tables of the inputs"));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn of_error(place: Place, error: &Error) -> Diagnostic {
    let diagnostic = Diagnostic::error(place, &error.message);
    match &error.remedy {
        Some(remedy) => diagnostic.with_help(remedy),
        None => diagnostic,
    }
}

/// `params:` of a pack: control → name → value.
fn overrides(options: &Options) -> Result<Overrides, Vec<Diagnostic>> {
    let mut overrides = Overrides::new();
    for (control, values) in params(options) {
        let Tree::Map(values) = &values.value else {
            let message = format!("`params` of `{}` must be a map of parameters", control.value);
            let help = format!("write `params: {{CONTROL: {{{}: …}}}}`, or `*` for every control", control.value);
            return Err(vec![Diagnostic::error(values.place, message).with_help(help)]);
        };
        let values = values.iter().map(|(name, value)| (name.to_string(), value.value.clone())).collect();
        overrides.insert(control.to_string(), values);
    }
    Ok(overrides)
}

/// The entries of `params:`.
fn params(options: &Options) -> &[(Located<Arc<str>>, Located<Tree>)] {
    options::field(options, "params").map(options::entries).unwrap_or_default()
}

/// A pack of the single control that `sql:` gives.
fn inline(options: &Options, read: &CheckOptions, node: &str) -> Result<Pack, Vec<Diagnostic>> {
    let mut parameters = BTreeMap::new();
    for (name, value) in params(options) {
        let Some(kind) = type_of(&value.value) else {
            let message = format!(
                "the parameter `{}` must be text, a number, true or false, or a list of texts or whole numbers",
                name.value
            );
            return Err(vec![Diagnostic::error(value.place, message)]);
        };
        let default = kind.read(&value.value).map_err(|message| {
            vec![Diagnostic::error(value.place, format!("the parameter `{}`: {message}", name.value))]
        })?;
        parameters.insert(name.to_string(), Parameter { kind, default: Some(default), description: String::new() });
    }
    let sql = options::sqls(options, "sql").into_iter().next();
    let sql = sql.unwrap_or_else(|| SqlText::new("", options.tree.place));
    let control = Control {
        id: node.into(),
        aliases: Vec::new(),
        title: read.title.as_deref().unwrap_or(node).into(),
        severity: read.severity.unwrap_or(Severity::Medium),
        description: String::new(),
        rationale: String::new(),
        remediation: Remediation::default(),
        references: Vec::new(),
        service: String::new(),
        resource_type: String::new(),
        categories: Vec::new(),
        reads: Vec::new(),
        parameters,
        triggers: Vec::new(),
        handlers: Vec::new(),
        mode: Mode::Status,
        evidence: true,
        place: sql.place(),
        sql,
        sql_file: node.into(),
        rego: None,
        file: node.into(),
    };
    Ok(Pack {
        name: node.into(),
        version: String::new(),
        title: String::new(),
        root: node.to_owned(),
        providers: Vec::new(),
        tables: Vec::new(),
        variables: BTreeMap::new(),
        controls: vec![Arc::new(control)],
        benchmarks: Vec::new(),
        tests: Vec::new(),
        files: PackFiles::default(),
    })
}

/// The type of parameter that a value is of.
fn type_of(value: &Tree) -> Option<ParameterType> {
    match value {
        Tree::Integer(_) => Some(ParameterType::Int),
        Tree::Float(_) => Some(ParameterType::Float),
        Tree::Text(_) => Some(ParameterType::Text),
        Tree::Bool(_) => Some(ParameterType::Bool),
        Tree::List(items) => match items.first().map(|item| &item.value) {
            Some(Tree::Integer(_)) => Some(ParameterType::Ints),
            Some(Tree::Text(_)) | None => Some(ParameterType::Texts),
            Some(_) => None,
        },
        Tree::Null | Tree::Map(_) => None,
    }
}

/// The texts of a pack that decide what it answers: all but its tests.
fn contents(pack: &Pack) -> Vec<(String, Arc<[u8]>)> {
    let tests = format!("{}/tests/", pack.root);
    let texts = pack.files.iter().filter(|(path, _)| !path.starts_with(&tests));
    texts.map(|(path, content)| (path.to_owned(), Arc::clone(content))).collect()
}
