//! Plans every node, inputs first, and collects everything that is wrong in one go.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::order::{Circle, topological};
use super::{Definition, Graph, Input, Node, NodeIndex, Planned, StateMeaning, uses};
use crate::catalog::Catalog;
use crate::operator::{PlanContext, PlannedInput};
use crate::rows::{
    DEAD_LETTER, ERRORS, Port, PortIndex, dead_letter_schema, errors_schema, union_of_what_agrees, union_schema,
};
use crate::source::{SourceKind, SourcePlanContext};
use crate::spec::diagnostic::{Diagnostic, Located, Severity};
use crate::spec::pipeline::{NodeSpec, Section};
use crate::spec::{PipelineSpec, PortReference};
use crate::table::TableDefinition;

/// A circle of nodes that read each other.
const CIRCLE: Circle = Circle {
    what: "these nodes feed each other",
    help: "a pipeline is a graph without cycles: let one of them read from somewhere else",
};

/// Everything that is wrong with a pipeline, errors and warnings, in the order of the file.
pub type PlanError = Vec<Diagnostic>;

/// Plans a pipeline that was read from `file`. Relative paths are relative to `working_directory`. Returns the
/// graph and warnings.
///
/// # Errors
/// Every error found, each with its place; warnings too.
pub fn plan(
    spec: Arc<PipelineSpec>,
    file: &str,
    catalog: &Catalog,
    working_directory: &Path,
) -> Result<(Graph, Vec<Diagnostic>), PlanError> {
    plan_as_recorded(spec, file, catalog, working_directory, &Definition::default())
}

/// As [`plan`], but with what `recorded` holds in place of what lies outside now: texts of packs, columns that
/// were sampled.
///
/// # Errors
/// Every error found, each with its place; warnings too.
pub fn plan_as_recorded(
    spec: Arc<PipelineSpec>,
    file: &str,
    catalog: &Catalog,
    working_directory: &Path,
    recorded: &Definition,
) -> Result<(Graph, Vec<Diagnostic>), PlanError> {
    let (spec, found) = uses::settle(spec, catalog);
    let nodes: Vec<&NodeSpec> = spec.nodes().collect();
    let mut planner = Planner {
        spec: &spec,
        file,
        catalog,
        working_directory,
        recorded,
        nodes: Vec::new(),
        index: HashMap::new(),
        found,
    };
    planner.check_references(&nodes);
    match topological(&nodes, |node| node.from.iter().map(|from| &*from.value.node).collect(), &CIRCLE) {
        Ok(order) => order.into_iter().for_each(|index| planner.plan_node(nodes[index])),
        Err(cycles) => planner.found.extend(cycles),
    }
    planner.warn_of_unread();
    let Planner { nodes, mut found, .. } = planner;
    found.sort_by_key(|diagnostic| (diagnostic.file.clone(), diagnostic.place.offset));
    if found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(found);
    }
    let definition = Definition::of(&spec, &nodes).map_err(|error| {
        vec![Diagnostic::error(spec.name.place, format!("the definition cannot be stored: {error}"))]
    })?;
    Ok((Graph { file: file.to_owned(), nodes, definition, spec }, found))
}

/// What a node does with an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InputUse {
    /// It takes the rows.
    Rows,
    /// It looks at the tables, where there are any.
    Tables,
    /// It is looked at beside the others.
    Side,
}

impl InputUse {
    fn of(spec: &NodeSpec, catalog: &Catalog) -> Self {
        let operator = catalog.operator(&spec.kind).filter(|_| spec.section == Section::Operator);
        if operator.is_some_and(|kind| kind.reads_tables()) { Self::Tables } else { Self::Rows }
    }
}

struct Planner<'a> {
    spec: &'a PipelineSpec,
    file: &'a str,
    catalog: &'a Catalog,
    working_directory: &'a Path,
    recorded: &'a Definition,
    nodes: Vec<Node>,
    index: HashMap<Arc<str>, NodeIndex>,
    found: Vec<Diagnostic>,
}

impl Planner<'_> {
    /// Reports every reference to a node that does not exist or gives nothing.
    fn check_references(&mut self, nodes: &[&NodeSpec]) {
        let giving = || nodes.iter().filter(|node| node.section != Section::Sink);
        for reference in nodes.iter().flat_map(|node| &node.from) {
            let known = nodes.iter().find(|node| *node.name.value == *reference.node);
            match known {
                Some(node) if node.section == Section::Sink => {
                    let dispatches = self.catalog.sink(&node.kind).is_some_and(|kind| kind.dispatches());
                    let message = match (reference.port.as_deref(), dispatches) {
                        (Some(ERRORS), _) | (Some(DEAD_LETTER), true) => continue,
                        (_, true) => "nothing leaves it but its ports `dead_letter` and `errors`",
                        (_, false) => "nothing leaves it but its port `errors`",
                    };
                    let message = format!("`{}` is a sink: {message}", reference.node);
                    self.found.push(Diagnostic::error(reference.place, message));
                }
                Some(_) => {}
                None => {
                    let message = format!("there is no node `{}`", reference.node);
                    let names: Vec<String> = giving().map(|node| node.name.to_string()).collect();
                    self.found.push(Diagnostic::error(reference.place, message).with_expected(&reference.node, names));
                }
            }
        }
    }

    fn plan_node(&mut self, spec: &NodeSpec) {
        // A node whose inputs could not be planned is skipped in silence: its errors would only be echoes.
        let Some(inputs) = self.inputs(&spec.from, InputUse::of(spec, self.catalog)) else { return };
        match self.planned(spec, &inputs) {
            Ok((planned, ports)) => self.add(spec, planned, ports, inputs),
            Err(errors) => self.found.extend(errors),
        }
    }

    /// The planned inputs of a node; `None` where one of them failed.
    fn inputs(&mut self, from: &[Located<PortReference>], used: InputUse) -> Option<Vec<Input>> {
        let resolved: Vec<Option<Input>> = from.iter().map(|reference| self.input(reference, used)).collect();
        resolved.into_iter().collect()
    }

    fn input(&mut self, reference: &Located<PortReference>, used: InputUse) -> Option<Input> {
        let producer = *self.index.get(&reference.node)?;
        let node = &self.nodes[producer.0];
        let ports: Vec<PortIndex> = match &reference.port {
            None => (0..node.ports.len() - 1).map(PortIndex).collect(),
            Some(name) => match node.ports.iter().position(|port| port.name == *name) {
                Some(index) => vec![PortIndex(index)],
                None => {
                    let message = format!("node `{}` has no port `{name}`", reference.node);
                    let names = node.ports.iter().map(|port| port.name.to_string());
                    self.found.push(Diagnostic::error(reference.place, message).with_expected(name, names));
                    return None;
                }
            },
        };
        let schemas: Vec<SchemaRef> = ports.iter().map(|port| Arc::clone(&node.ports[port.0].schema)).collect();
        let side = used == InputUse::Side;
        let union = match used == InputUse::Tables && !tables_of(node).is_empty() {
            true => Ok(union_of_what_agrees(&schemas)),
            false => union_schema(&schemas),
        };
        match union {
            Ok(schema) => Some(Input { reference: reference.clone(), producer, ports, schema, side }),
            Err((column, a, b)) => {
                let message = format!("the ports of `{}` disagree on column `{column}`: {a} and {b}", reference.node);
                let help = format!("read one port at a time: `{}.PORT`", reference.node);
                self.found.push(Diagnostic::error(reference.place, message).with_help(help));
                None
            }
        }
    }

    fn planned(&mut self, spec: &NodeSpec, inputs: &[Input]) -> Result<(Planned, Vec<Port>), Vec<Diagnostic>> {
        let catalog = self.catalog;
        let unknown = || vec![Diagnostic::error(spec.kind.place, format!("there is no kind `{}`", *spec.kind))];
        if spec.section == Section::Source {
            let kind = catalog.source(&spec.kind).ok_or_else(unknown)?;
            self.warn_of_old_name(spec, kind);
            let working_directory = self.working_directory.to_path_buf();
            let recorded = self.recorded.schema_of(&spec.name);
            let context = SourcePlanContext { node: &spec.name, working_directory, recorded };
            let planned = kind.plan(&spec.options, &context)?;
            let ports = planned.ports.clone();
            return Ok((Planned::Source(planned), ports));
        }
        let planned_inputs: Vec<PlannedInput> = inputs.iter().map(|input| self.planned_input(input)).collect();
        let schemas: Vec<SchemaRef> = planned_inputs.iter().map(|input| Arc::clone(&input.schema)).collect();
        let over_tables = InputUse::of(spec, catalog) == InputUse::Tables
            && planned_inputs.iter().any(|input| !input.tables.is_empty());
        let union = if over_tables { Ok(union_of_what_agrees(&schemas)) } else { union_schema(&schemas) };
        let schema = union.map_err(|(column, a, b)| {
            let message = format!("the inputs of `{}` disagree on column `{column}`: {a} and {b}", *spec.name);
            vec![
                Diagnostic::error(spec.place, message).with_help("bring it to one type with `select` before they meet"),
            ]
        })?;
        let mut warnings = Vec::new();
        let mut context = PlanContext {
            node: &spec.name,
            inputs: &planned_inputs,
            schema,
            open: planned_inputs.iter().any(|input| input.open),
            match_all: spec.match_all,
            working_directory: self.working_directory.to_path_buf(),
            memory: self.memory_for_each(),
            recorded: self.recorded.contents_of(&spec.name),
            tables_of: &|name| {
                Some(tables_of(&self.nodes[self.index.get(name)?.0])).filter(|tables| !tables.is_empty())
            },
            warnings: &mut warnings,
        };
        let planned = if spec.section == Section::Operator {
            let planned = catalog.operator(&spec.kind).ok_or_else(unknown)?.plan(&spec.options, &mut context)?;
            let ports = planned.ports.clone();
            (Planned::Operator(planned), ports)
        } else {
            let kind = catalog.sink(&spec.kind).ok_or_else(unknown)?;
            let planned = kind.plan(&spec.options, &mut context)?;
            let dead_letter = kind.dispatches().then(|| Port::named(DEAD_LETTER, dead_letter_schema()));
            (Planned::Sink(planned), dead_letter.into_iter().collect())
        };
        self.found.extend(warnings);
        Ok(planned)
    }

    /// A name that will go one day is better replaced today.
    fn warn_of_old_name(&mut self, spec: &NodeSpec, kind: &dyn SourceKind) {
        if kind.old_names().contains(&&*spec.kind.value) {
            let message = format!("`{}` is the old name of the source `{}`", *spec.kind, kind.name());
            let help = format!("write `{}:`; its options are the same", kind.name());
            self.found.push(Diagnostic::warning(spec.kind.place, message).with_help(help));
        }
    }

    fn planned_input(&self, input: &Input) -> PlannedInput {
        let producer = &self.nodes[input.producer.0];
        let names: Vec<&str> = input.ports.iter().map(|port| &*producer.ports[port.0].name).collect();
        PlannedInput {
            from: input.reference.clone(),
            schema: Arc::clone(&input.schema),
            open: input.ports.iter().any(|port| producer.ports[port.0].open),
            tables: tables_of(producer).into_iter().filter(|table| names.contains(&&*table.name)).collect(),
        }
    }

    fn add(&mut self, spec: &NodeSpec, planned: Planned, mut ports: Vec<Port>, mut inputs: Vec<Input>) {
        if let Planned::Operator(operator) = &planned {
            let Some(side) = self.inputs(&operator.side_inputs, InputUse::Side) else {
                let missing = operator.side_inputs.iter().filter(|side| !self.index.contains_key(&side.node));
                let unplanned: Vec<Diagnostic> = missing.map(unknown_side_input).collect();
                self.found.extend(unplanned);
                return;
            };
            inputs.extend(side);
        }
        ports.push(Port::named(ERRORS, errors_schema()));
        let state = self.state_of(spec);
        let place = spec.name.place;
        self.index.insert(Arc::clone(&spec.name), NodeIndex(self.nodes.len()));
        self.nodes.push(Node {
            name: Arc::clone(&spec.name),
            kind: Arc::clone(&spec.kind),
            section: spec.section,
            place,
            shown_place: format!("{}:{}:{}", self.file, place.line, place.column),
            on_error: spec.on_error,
            on_end: spec.on_end,
            stall_after: spec.stall_after.map(|after| after.0),
            uses: spec.uses.iter().map(|used| Arc::clone(&used.value)).collect(),
            ports,
            inputs,
            planned,
            was: spec.was.as_ref().map(|was| Arc::clone(&was.value)),
            state,
        });
    }

    /// What each node that runs queries may use of `limits.memory`: equal shares, so that what one answers does not
    /// depend on what runs beside it.
    fn memory_for_each(&self) -> u64 {
        let runs_queries = |node: &&NodeSpec| self.catalog.operator(&node.kind).is_some_and(|kind| kind.runs_queries());
        let nodes = self.spec.operators.iter().filter(runs_queries).count() as u64;
        self.spec.limits.memory.0 / nodes.max(1)
    }

    /// What the state of a node means.
    fn state_of(&self, spec: &NodeSpec) -> StateMeaning {
        let said = match spec.section {
            Section::Source => self.catalog.source(&spec.kind).and_then(|kind| kind.state_of(&spec.options)),
            Section::Operator => self.catalog.operator(&spec.kind).and_then(|kind| kind.state_of(&spec.options)),
            Section::Sink => self.catalog.sink(&spec.kind).and_then(|kind| kind.state_of(&spec.options)),
        };
        // A kind that is written by another of its names is the same kind.
        let source = self.catalog.source(&spec.kind).filter(|_| spec.section == Section::Source);
        let kind = source.map_or(&*spec.kind.value, |kind| kind.name()).to_owned();
        StateMeaning { kind, of: said.unwrap_or_else(|| spec.options.canonical()) }
    }

    /// A node whose rows nobody reads is probably a mistake.
    fn warn_of_unread(&mut self) {
        // What the text says counts: the reader of a node may itself have errors and be missing from the plan.
        let written = self.spec.nodes().flat_map(|node| node.from.iter().map(|from| &*from.value.node));
        let planned = self.nodes.iter().flat_map(|node| node.inputs.iter().map(|input| &*input.reference.value.node));
        let read: HashSet<&str> = written.chain(planned).collect();
        for node in &self.nodes {
            if node.section != Section::Sink && !read.contains(&*node.name) {
                let message = format!("nobody reads node `{}`", node.name);
                self.found
                    .push(Diagnostic::warning(node.place, message).with_help("name it in some `from:`, or remove it"));
            }
        }
    }
}

fn unknown_side_input(side: &Located<PortReference>) -> Diagnostic {
    Diagnostic::error(side.place, format!("there is no node `{}` before this one", side.node))
}

fn tables_of(node: &Node) -> Vec<TableDefinition> {
    match &node.planned {
        Planned::Source(source) => source.tables.clone(),
        _ => Vec::new(),
    }
}
