//! Finds the control that is asked about.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use tidegate_operators::check::pack::{Control, Pack, PackLibrary};
use tidegate_operators::check::plan::{Overrides, PlannedControl, PlannedPack, Selection};
use tidegate_operators::check::planned_again;
use tidegate_pipeline::graph::{Graph, Node, Planned};
use tidegate_pipeline::provider::ProviderKind;
use tidegate_pipeline::spec::ByteSize;
use tidegate_pipeline::table::TableDefinition;

use crate::catalog::catalog;
use crate::exit::Failure;
use crate::load;

/// The kind of node that evaluates controls.
const CHECK: &str = "check";
/// The most memory that planning a pack may promise to its queries.
const MEMORY: ByteSize = ByteSize::mebibytes(1024);

/// A control, planned.
pub(super) struct Found {
    pub(super) pack: Pack,
    pub(super) planned: PlannedPack,
    /// Which of the planned controls it is.
    pub(super) index: usize,
    /// The pipeline that evaluates it, and the node that does.
    pub(super) evaluated_in: Option<(Arc<Graph>, Arc<str>)>,
}

impl Found {
    /// The control.
    pub(super) fn control(&self) -> &PlannedControl {
        &self.planned.controls[self.index]
    }
}

/// `PACK.ID` or `ID`.
struct Name<'a> {
    pack: Option<&'a str>,
    id: &'a str,
}

impl<'a> Name<'a> {
    fn of(text: &'a str) -> Self {
        match text.split_once('.') {
            Some((pack, id)) => Self { pack: Some(pack), id },
            None => Self { pack: None, id: text },
        }
    }

    fn is(&self, pack: &str, control: &Control) -> bool {
        let same = *control.id == *self.id || control.aliases.iter().any(|alias| alias == self.id);
        self.pack.is_none_or(|wanted| wanted == pack) && same
    }
}

/// The control as a pack has it.
///
/// # Errors
/// When none or several have it.
pub(super) fn in_packs(name: &str, library: &PackLibrary) -> Result<Found, Failure> {
    let wanted = Name::of(name);
    let mut known = Vec::new();
    let mut having = Vec::new();
    for pack in library.names() {
        let pack = library.find(&pack, &load::working_directory())?.0;
        match pack.controls.iter().find(|control| wanted.is(&pack.name, control)).cloned() {
            Some(control) => having.push((pack, control)),
            None => known.extend(pack.controls.iter().map(|control| control.id.to_string())),
        }
    }
    if having.len() > 1 {
        let names: Vec<String> = having.iter().map(|(pack, control)| format!("{}.{}", pack.name, control.id)).collect();
        let message = format!("several packs have a control `{name}`\nhelp: name one of {}", names.join(", "));
        return Err(Failure::usage(message));
    }
    let Some((pack, control)) = having.pop() else { return Err(unknown(name, "", &known)) };
    let selection = Selection { controls: vec![control.id.to_string()], ..Selection::default() };
    let planned = PlannedPack::plan(&pack, &known_tables(), &selection, &Overrides::new(), MEMORY)?.0;
    found(pack, planned, &control.id, None).ok_or_else(|| unknown(name, "", &known))
}

/// The control as a pipeline evaluates it.
///
/// # Errors
/// When the pipeline is not valid, or none of its `check` nodes evaluates such a control.
pub(super) fn in_pipeline(name: &str, path: &Path, library: PackLibrary) -> Result<Found, Failure> {
    let graph = Arc::new(load::graph(path, &catalog(library))?);
    let wanted = Name::of(name);
    let mut known = Vec::new();
    for node in graph.nodes.iter().filter(|node| *node.kind == *CHECK) {
        let Some((pack, planned)) = planned_of(&graph, node)? else { continue };
        let same = |control: &&PlannedControl| wanted.is(&control.pack, &control.control);
        if let Some(id) = planned.controls.iter().find(same).map(|control| Arc::clone(&control.control.id)) {
            let evaluated_in = Some((Arc::clone(&graph), Arc::clone(&node.name)));
            return found(pack, planned, &id, evaluated_in).ok_or_else(|| unknown(name, "", &[]));
        }
        known.extend(planned.controls.iter().map(|control| control.control.id.to_string()));
    }
    Err(unknown(name, &format!(" that {} evaluates", graph.file), &known))
}

fn found(pack: Pack, planned: PlannedPack, id: &str, evaluated_in: Option<(Arc<Graph>, Arc<str>)>) -> Option<Found> {
    let index = planned.controls.iter().position(|control| *control.control.id == *id)?;
    Some(Found { pack, planned, index, evaluated_in })
}

fn unknown(name: &str, place: &str, known: &[String]) -> Failure {
    let near = tidegate_pipeline::spec::diagnostic::closest(name, known);
    let help = match near {
        Some(near) => format!("\nhelp: did you mean `{near}`?"),
        None => "\nhelp: `tidegate check PACK` lists what it evaluates".to_owned(),
    };
    Failure::usage(format!("there is no control `{name}`{place}{help}"))
}

/// The controls of a `check` node.
fn planned_of(graph: &Graph, node: &Node) -> Result<Option<(Pack, PlannedPack)>, Failure> {
    let Planned::Operator(operator) = &node.planned else { return Ok(None) };
    let Some(spec) = graph.spec.node(&node.name) else { return Ok(None) };
    let events: SchemaRef = node.inputs.first().map_or_else(|| Arc::new(Schema::empty()), |input| input.schema.clone());
    let planned = planned_again(&node.name, &spec.options, &operator.contents, &tables_of(graph), &events);
    planned.map(Some).map_err(|diagnostics| Failure::usage(load::invalid(&graph.file, &diagnostics)))
}

/// The tables of all sources of a pipeline.
pub(super) fn tables_of(graph: &Graph) -> Vec<TableDefinition> {
    let mut tables: Vec<TableDefinition> = Vec::new();
    for node in &graph.nodes {
        let Planned::Source(source) = &node.planned else { continue };
        for table in &source.tables {
            if !tables.iter().any(|known| known.name == table.name) {
                tables.push(table.clone());
            }
        }
    }
    tables
}

/// Every table of every provider that this program has.
fn known_tables() -> Vec<TableDefinition> {
    let sources = catalog(PackLibrary::default()).sources;
    sources.iter().filter_map(|kind| kind.provider()).flat_map(ProviderKind::tables).collect()
}
