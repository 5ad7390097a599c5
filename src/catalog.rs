//! Everything this program offers: kinds of nodes and control packs.

use std::path::Path;

use rust_embed::RustEmbed;
use tidegate_operators::check::pack::{PackFiles, PackLibrary};
use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::spec::KnownKinds;

use crate::exit::Failure;

/// The control packs built into the program.
#[derive(RustEmbed)]
#[folder = "queries/"]
struct BuiltIn;

/// The built-in packs, or those of a folder.
pub(crate) fn packs(queries: Option<&Path>) -> Result<PackLibrary, Failure> {
    let Some(folder) = queries else {
        let mut library = PackLibrary::default();
        for name in built_in_names() {
            library.add(&name, built_in(&name));
        }
        return Ok(library);
    };
    PackLibrary::from_directory(folder)
        .map_err(|error| Failure::usage(format!("--queries {}: {error}", folder.display())))
}

fn built_in_names() -> Vec<String> {
    let pack = |path: &str| path.strip_suffix("/pack.yaml").map(str::to_owned);
    BuiltIn::iter().filter_map(|path| pack(&path)).collect()
}

fn built_in(name: &str) -> PackFiles {
    let prefix = format!("{name}/");
    let of_pack = BuiltIn::iter().filter_map(|path| {
        let inside = path.strip_prefix(&prefix)?.to_owned();
        BuiltIn::get(&path).map(|file| (inside, file.data.into_owned()))
    });
    PackFiles::from_files(of_pack)
}

/// Every kind of node.
pub(crate) fn catalog(packs: PackLibrary) -> Catalog {
    let mut operators = tidegate_operators::operators();
    operators.push(Box::new(tidegate_operators::check::CheckKind::new(packs)));
    Catalog { sources: tidegate_connectors::sources(), operators, sinks: tidegate_connectors::sinks() }
}

/// The names of the kinds, for reading pipelines.
pub(crate) fn known_kinds(catalog: &Catalog) -> KnownKinds {
    let sources = catalog.sources.iter();
    let with_aliases = sources.flat_map(|kind| std::iter::once(kind.name()).chain(kind.aliases().iter().copied()));
    KnownKinds {
        sources: with_aliases.map(str::to_owned).collect(),
        operators: catalog.operators.iter().map(|kind| kind.name().to_owned()).collect(),
        sinks: catalog.sinks.iter().map(|kind| kind.name().to_owned()).collect(),
    }
}
