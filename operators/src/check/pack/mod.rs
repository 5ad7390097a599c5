//! Packs: versioned bundles of controls, benchmarks and their tests.
//!
//! ```text
//! NAME/pack.yaml               name, version, least engine version, tables, variables
//! NAME/SERVICE/controls.yaml   a list of controls
//! NAME/SERVICE/*.sql           their queries
//! NAME/SERVICE/*.rego          their policies
//! NAME/benchmarks/*.yaml       trees of controls
//! NAME/tests/*.yaml            given rows, expected findings
//! ```
//!
//! [`Pack::load`] reads all of it and reports every problem in one go; a control with a problem is left
//! out or marked, and never takes the others with it.

mod benchmark;
mod control;
mod fields;
pub mod glob;
mod load;
mod rego;
mod test_case;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Place};

pub use benchmark::{Benchmark, BenchmarkNode};
pub use control::{Control, Mode, Parameter, ParameterType, ParameterValue, Remediation};
pub(crate) use fields::{Fields, Problems};
pub use rego::{FindingColumn, RegoInput, RegoOptions};
pub use test_case::{ExpectedFinding, GivenTest};

/// What is wrong with a file of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackProblem {
    /// The file, relative to the pack's parent: `aws/ec2/controls.yaml`.
    pub file: Arc<str>,
    /// Where in the file; line 0 where the file as a whole is meant.
    pub place: Place,
    /// What is wrong, in one sentence without a final period.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl PackProblem {
    /// A problem at a place.
    pub fn new(file: &str, place: Place, message: impl fmt::Display) -> Self {
        Self { file: file.into(), place, message: message.to_string(), help: None }
    }

    /// Adds a remedy.
    #[must_use]
    pub fn with_help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}

impl fmt::Display for PackProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.line {
            0 => write!(f, "{}: {}", self.file, self.message)?,
            _ => write!(f, "{}:{}: {}", self.file, self.place, self.message)?,
        }
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

impl From<&PackProblem> for Diagnostic {
    fn from(problem: &PackProblem) -> Self {
        let mut diagnostic = Diagnostic::error(problem.place, &problem.message);
        diagnostic.file = Some(Arc::clone(&problem.file));
        diagnostic.help.clone_from(&problem.help);
        diagnostic
    }
}

/// The files of one or more packs: path with `/` → content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackFiles {
    files: BTreeMap<String, Arc<[u8]>>,
}

impl PackFiles {
    /// Adds a file. `path` is relative and uses `/`.
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<Arc<[u8]>>) {
        self.files.insert(path.into(), content.into());
    }

    /// Reads every `.yaml`, `.yml`, `.sql` and `.rego` file below `directory`. Paths start with `root`, so that
    /// messages name `root/ec2/controls.yaml`.
    ///
    /// # Errors
    /// When the directory or one of its files cannot be read.
    pub fn from_directory(directory: &Path, root: &str) -> Result<Self> {
        let mut files = Self::default();
        files.read_directory(directory, root, 0)?;
        Ok(files)
    }

    fn read_directory(&mut self, directory: &Path, prefix: &str, depth: usize) -> Result<()> {
        const DEEPEST: usize = 16;
        if depth > DEEPEST {
            return Err(Error::user(format!("{} is nested too deeply", directory.display()))
                .with_remedy("look for a symbolic link that points back into the pack"));
        }
        let unreadable =
            |path: &Path, error: std::io::Error| Error::user(format!("cannot read {}: {error}", path.display()));
        for entry in std::fs::read_dir(directory).map_err(|error| unreadable(directory, error))? {
            let entry = entry.map_err(|error| unreadable(directory, error))?;
            let path = entry.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with('.') {
                continue;
            }
            let inner = format!("{prefix}/{name}");
            if path.is_dir() {
                self.read_directory(&path, &inner, depth + 1)?;
            } else if [".yaml", ".yml", ".sql", ".rego"].iter().any(|ending| name.ends_with(ending)) {
                let content = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
                self.insert(inner, content);
            }
        }
        Ok(())
    }

    /// The content of a file.
    pub fn get(&self, path: &str) -> Option<&Arc<[u8]>> {
        self.files.get(path)
    }

    /// Every file, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<[u8]>)> {
        self.files.iter().map(|(path, content)| (path.as_str(), content))
    }

    /// The files below a folder, by path.
    pub fn below(&self, folder: &str) -> impl Iterator<Item = (&str, &Arc<[u8]>)> + use<'_> {
        let folder = folder.to_owned();
        self.iter().filter(move |(path, _)| {
            path.strip_prefix(&folder).is_some_and(|rest| folder.is_empty() || rest.starts_with('/'))
        })
    }
}

/// A pack as loaded.
#[derive(Debug, Clone)]
pub struct Pack {
    /// Its name, as `pack:` writes it.
    pub name: Arc<str>,
    /// Its version.
    pub version: String,
    /// One line about it.
    pub title: String,
    /// The folder that its files are in.
    pub root: String,
    /// The providers whose tables it reads.
    pub providers: Vec<String>,
    /// The tables that it reads, as far as it declares them.
    pub tables: Vec<String>,
    /// Parameters that every control may use.
    pub variables: BTreeMap<String, Parameter>,
    /// Its controls, by id.
    pub controls: Vec<Arc<Control>>,
    /// Its benchmarks, by id.
    pub benchmarks: Vec<Benchmark>,
    /// Its tests, by file and position.
    pub tests: Vec<GivenTest>,
    /// The texts that it was read from.
    pub files: PackFiles,
}

impl Pack {
    /// The control with this id, or with this id as an alias.
    pub fn control(&self, id: &str) -> Option<&Arc<Control>> {
        let by_alias = || self.controls.iter().find(|control| control.aliases.iter().any(|alias| alias == id));
        self.controls.iter().find(|control| &*control.id == id).or_else(by_alias)
    }

    /// The benchmark with this id.
    pub fn benchmark(&self, id: &str) -> Option<&Benchmark> {
        self.benchmarks.iter().find(|benchmark| benchmark.node.id == id)
    }
}

/// The packs that a program brings, and where others are found. A value: each program makes its own.
#[derive(Debug, Clone, Default)]
pub struct PackLibrary {
    /// Packs by name; paths in their files begin with that name.
    pub embedded: Vec<(String, PackFiles)>,
    /// Directories that hold a folder per pack. They win over the embedded ones.
    pub directories: Vec<std::path::PathBuf>,
}

impl PackLibrary {
    /// The pack of that name, or the one in the directory that `name` is a path to (relative to
    /// `working_directory`; a name with `/`, or `.`).
    ///
    /// # Errors
    /// When there is no such pack, with the names that there are; when its files cannot be read.
    pub fn find(&self, name: &str, working_directory: &Path) -> Result<(Pack, Vec<PackProblem>)> {
        if name.contains('/') || name.starts_with('.') {
            return Self::in_directory(&working_directory.join(name));
        }
        for directory in self.directories.iter().map(|directory| directory.join(name)) {
            if directory.join("pack.yaml").is_file() {
                return Self::in_directory(&directory);
            }
        }
        if let Some((_, files)) = self.embedded.iter().find(|(known, _)| known == name) {
            return Ok(Pack::load(files, name));
        }
        let names = self.names();
        let near = tidegate_pipeline::spec::diagnostic::closest(name, &names);
        Err(Error::user(format!("there is no pack `{name}`")).with_remedy(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "give a path to a pack's folder, like `./my-pack`".to_owned(),
            None => format!("known packs: {}; or give a path, like `./my-pack`", names.join(", ")),
        }))
    }

    fn in_directory(directory: &Path) -> Result<(Pack, Vec<PackProblem>)> {
        let root = directory.file_name().and_then(|name| name.to_str()).unwrap_or("pack").to_owned();
        let files = PackFiles::from_directory(directory, &root)?;
        Ok(Pack::load(&files, &root))
    }

    /// The names of the packs, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.embedded.iter().map(|(name, _)| name.clone()).collect();
        for directory in &self.directories {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            let packs = entries.filter(|entry| entry.path().join("pack.yaml").is_file());
            names.extend(packs.filter_map(|entry| entry.file_name().into_string().ok()));
        }
        names.sort();
        names.dedup();
        names
    }
}
