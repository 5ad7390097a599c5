//! Everything this program offers: kinds of nodes and control packs.

use std::borrow::Cow;
use std::path::Path;

use rust_embed::RustEmbed;
use tidegate_operators::check::pack::{PackFiles, PackLibrary};
use tidegate_pipeline::catalog::Catalog;

use crate::exit::Failure;

/// The control packs built into the program.
#[derive(RustEmbed)]
#[folder = "queries/"]
struct BuiltIn;

/// The built-in packs, or those of a folder.
pub(crate) fn packs(queries: Option<&Path>) -> Result<PackLibrary, Failure> {
    let Some(folder) = queries else {
        return Ok(PackLibrary {
            embedded: names(BuiltIn::iter()).map(|name| built_in(&name)).collect(),
            directories: Vec::new(),
        });
    };
    if !folder.is_dir() {
        return Err(Failure::usage(format!("--queries {}: there is no such folder", folder.display())));
    }
    Ok(PackLibrary { embedded: Vec::new(), directories: vec![folder.to_owned()] })
}

/// The packs among some files: each has a `pack.yaml`.
fn names(files: impl Iterator<Item = Cow<'static, str>>) -> impl Iterator<Item = String> {
    files.filter_map(|path| path.strip_suffix("/pack.yaml").map(str::to_owned))
}

fn built_in(name: &str) -> (String, PackFiles) {
    let mut files = PackFiles::default();
    for path in BuiltIn::iter().filter(|path| path.starts_with(&format!("{name}/"))) {
        if let Some(file) = BuiltIn::get(&path) {
            files.insert(path.as_ref(), file.data.into_owned());
        }
    }
    (name.to_owned(), files)
}

/// Every kind of node.
pub(crate) fn catalog(packs: PackLibrary) -> Catalog {
    let mut operators = tidegate_operators::operators();
    operators.push(Box::new(tidegate_operators::check::CheckKind::new(packs)));
    let mut sources = tidegate_connectors::sources();
    sources.extend(tidegate_aws::sources());
    let mut sinks = tidegate_connectors::sinks();
    sinks.extend(tidegate_connectors::handlers());
    sinks.extend(tidegate_aws::handlers());
    Catalog { sources, operators, sinks }
}
