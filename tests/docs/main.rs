//! The documentation is true: its pipelines are valid, its links lead somewhere, and the reference says what the
//! program says. `TIDEGATE_UPDATE_DOCS=1` writes the generated pages anew.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "what surprises a test shall fail it")]

mod aws_events;
mod components;
mod controls;
mod examples;
mod generated;
mod inventory;
mod links;
mod markdown;
mod matrix;
mod packs;
#[allow(dead_code, unused_imports, reason = "each suite takes what it needs of it")]
#[path = "../program/mod.rs"]
mod program;
mod promises;
mod sql;

use std::path::{Path, PathBuf};

use program::{Done, command};

/// The root of the repository.
pub(crate) use program::repository as root;

/// What the program prints; it must end well.
pub(crate) fn printed(arguments: &[&str]) -> String {
    Done::of(command(root(), arguments).env("COLUMNS", "100")).code(0).stdout
}

/// Every page that people read, generated ones included.
pub(crate) fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = below(&root().join("docs"));
    let top = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"];
    pages.extend(top.iter().map(|name| root().join(name)));
    pages.sort();
    pages
}

pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    let pages = |path: PathBuf| match path.is_dir() {
        true => below(&path),
        false => vec![path],
    };
    entries.flat_map(pages).filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// A page's text.
pub(crate) fn read(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}
