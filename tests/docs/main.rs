//! The documentation is true: its pipelines are valid, its links lead somewhere, and the reference says what the
//! program says. `TIDEGATE_UPDATE_DOCS=1` writes the generated pages anew.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "what surprises a test shall fail it")]

mod aws_events;
mod components;
mod examples;
mod generated;
mod inventory;
mod links;
mod markdown;
mod matrix;
mod packs;
mod promises;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program, to be run in a directory.
pub(crate) fn tidegate(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(directory).args(arguments).env("NO_COLOR", "1").env("COLUMNS", "100");
    command.env_remove("TIDEGATE_DIR").env_remove("TIDEGATE_LOG").env_remove("TIDEGATE_QUERIES");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program in a directory.
pub(crate) fn tidegate_in(directory: &Path, arguments: &[&str]) -> Output {
    tidegate(directory, arguments).output().expect("the program starts")
}

/// What the program prints; it must end well.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = tidegate_in(root(), arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tidegate {} ended with {}: {said}", arguments.join(" "), output.status);
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

/// Every page that people read, generated ones included.
pub(crate) fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = below(&root().join("docs"));
    let top = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"];
    pages.extend(top.iter().map(|name| root().join(name)));
    pages.sort();
    pages
}

fn below(folder: &Path) -> Vec<PathBuf> {
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
