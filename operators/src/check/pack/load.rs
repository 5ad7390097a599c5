//! Files → pack.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located, Place};
use tidegate_pipeline::spec::{SqlText, Tree, Variables, parse};

use super::control::{self, Control, Query};
use super::fields::{Fields, Problems};
use super::{Pack, PackFiles, PackProblem, benchmark, test_case};

impl Pack {
    /// Reads the pack below the folder `root` of `files`. What is wrong becomes problems; the rest of the
    /// pack is loaded nevertheless. Queries are planned later, against tables.
    pub fn load(files: &PackFiles, root: &str) -> (Self, Vec<PackProblem>) {
        let mut loader = Loader { files, root, problems: Vec::new() };
        let mut pack = loader.head();
        pack.controls = loader.controls();
        pack.benchmarks = loader.benchmarks(&pack.controls);
        pack.tests = loader.tests(&pack.controls);
        for (path, content) in files.below(root) {
            pack.files.insert(path, Arc::clone(content));
        }
        (pack, loader.problems)
    }
}

struct Loader<'a> {
    files: &'a PackFiles,
    root: &'a str,
    problems: Vec<PackProblem>,
}

impl<'a> Loader<'a> {
    /// The text of a file; a problem where it is not UTF-8.
    fn text(&mut self, path: &str, content: &'a [u8]) -> Option<&'a str> {
        match std::str::from_utf8(content) {
            Ok(text) => Some(text),
            Err(error) => {
                let message = format!("not UTF-8 from byte {} on", error.valid_up_to());
                self.problems.push(PackProblem::new(path, Place::default(), message));
                None
            }
        }
    }

    fn yaml(&mut self, path: &str, content: &'a [u8]) -> Option<Located<Tree>> {
        let text = self.text(path, content)?;
        let found = match parse(text, &Variables::literal()) {
            Ok(tree) => return Some(tree),
            Err(found) => found,
        };
        let problem = |found: Diagnostic| PackProblem {
            help: found.help,
            ..PackProblem::new(path, found.place, format!("not valid YAML: {}", found.message))
        };
        self.problems.extend(found.into_iter().map(problem));
        None
    }

    fn problems_of(&mut self, path: &str) -> Problems<'_> {
        Problems { file: path.into(), list: &mut self.problems }
    }

    fn head(&mut self) -> Pack {
        let mut pack = Pack {
            name: self.root.rsplit('/').next().unwrap_or(self.root).into(),
            version: String::new(),
            title: String::new(),
            root: self.root.to_owned(),
            providers: Vec::new(),
            tables: Vec::new(),
            variables: BTreeMap::new(),
            controls: Vec::new(),
            benchmarks: Vec::new(),
            tests: Vec::new(),
            files: PackFiles::default(),
        };
        let path = format!("{}/pack.yaml", self.root);
        let Some(content) = self.files.get(&path) else {
            let problem = PackProblem::new(&path, Place::default(), "the pack has no pack.yaml");
            self.problems.push(problem.with_help("write `name: …` and `version: …` into it"));
            return pack;
        };
        let Some(tree) = self.yaml(&path, content) else { return pack };
        let mut problems = self.problems_of(&path);
        let known = &["name", "version", "title", "description", "engine", "providers", "tables", "variables"];
        let Some(fields) = Fields::of(&tree, "pack.yaml", known, &mut problems) else { return pack };
        if let Some(name) = fields.required("name", "the pack", &mut problems) {
            pack.name = name.value.into();
        }
        let text = |name: &str, problems: &mut Problems<'_>| fields.text(name, problems).map(|text| text.value);
        pack.version = text("version", &mut problems).unwrap_or_default();
        pack.title = text("title", &mut problems).unwrap_or_default();
        let texts = |name: &str, problems: &mut Problems<'_>| -> Vec<String> {
            fields.texts(name, problems).into_iter().map(|text| text.value).collect()
        };
        pack.providers = texts("providers", &mut problems);
        pack.tables = texts("tables", &mut problems);
        pack.variables = control::parameters(&fields, "variables", &mut problems);
        if let Some(engine) = fields.text("engine", &mut problems) {
            engine_is_new_enough(&engine, &mut problems);
        }
        pack
    }

    fn controls(&mut self) -> Vec<Arc<Control>> {
        let mut controls: Vec<Arc<Control>> = Vec::new();
        let ends = [format!("{}/controls.yaml", self.root), format!("{}/controls.yml", self.root)];
        let files = self.files;
        for (path, content) in files.below(self.root) {
            if !(path.ends_with("/controls.yaml") || path.ends_with("/controls.yml")) {
                continue;
            }
            let Some(tree) = self.yaml(path, content) else { continue };
            let source: Arc<str> = String::from_utf8_lossy(content).into();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let service = match ends.iter().any(|end| end == path) {
                true => "",
                false => folder.rsplit('/').next().unwrap_or_default(),
            };
            for (mut control, query) in self.controls_of(path, &tree, service, &source) {
                if let Some(other) = clash(&controls, &control) {
                    let problem =
                        PackProblem::new(path, control.place, format!("control `{}` is there twice", control.id));
                    let first = format!("the other is in {}:{}", other.file, other.place.line);
                    self.problems.push(problem.with_help(first));
                    continue;
                }
                self.attach(&mut control, query, folder, &source);
                controls.push(Arc::new(control));
            }
        }
        controls.sort_by(|a, b| a.id.cmp(&b.id));
        controls
    }

    fn controls_of(
        &mut self,
        path: &str,
        tree: &Located<Tree>,
        service: &str,
        source: &Arc<str>,
    ) -> Vec<(Control, Option<Query>)> {
        let mut problems = self.problems_of(path);
        let items = match &tree.value {
            Tree::List(items) => items.as_slice(),
            _ => match Fields::of(tree, "controls.yaml", &["controls"], &mut problems) {
                Some(fields) => fields.list("controls", &mut problems),
                None => &[],
            },
        };
        items.iter().filter_map(|item| control::read(item, service, source, &mut problems)).collect()
    }

    /// Gives a control its query; `source` is the text of the file that the control stands in.
    fn attach(&mut self, control: &mut Control, query: Option<Query>, folder: &str, source: &Arc<str>) {
        match query {
            None => {}
            Some(Query::Inline(sql)) => {
                control.sql = SqlText::in_yaml(sql.value, sql.place, Arc::clone(source));
            }
            Some(Query::File(name)) => {
                if let Some((path, text)) = self.beside(control, "query", &name, folder) {
                    (control.sql_file, control.sql) = (path, text);
                }
            }
            Some(Query::Policy(names)) => self.attach_policy(control, names, folder, source),
        }
    }

    /// Gives a control its policy and what that imports.
    fn attach_policy(&mut self, control: &mut Control, names: Vec<Located<String>>, folder: &str, source: &Arc<str>) {
        let mut texts = Vec::with_capacity(names.len());
        for name in names {
            match name.trim_end().contains('\n') {
                true => {
                    let text = SqlText::in_yaml(name.value, name.place, Arc::clone(source));
                    texts.push((Arc::clone(&control.file), text));
                }
                // Without one of its files a policy may answer another thing than it means to: then it has no text at all.
                false => match self.beside(control, "policy", &name, folder) {
                    Some(found) => texts.push(found),
                    None => return,
                },
            }
        }
        let mut texts = texts.into_iter();
        if let Some(first) = texts.next() {
            (control.sql_file, control.sql) = first;
        }
        if let Some(rego) = &mut control.rego {
            rego.modules = texts.collect();
        }
    }

    /// The text of a file that a control names, with its path; a problem where there is none.
    fn beside(
        &mut self,
        control: &Control,
        what: &str,
        name: &Located<String>,
        folder: &str,
    ) -> Option<(Arc<str>, SqlText)> {
        let path = joined(folder, name);
        match self.files.get(&path) {
            Some(content) => {
                let text = SqlText::in_file(self.text(&path, content).unwrap_or_default());
                Some((path.into(), text))
            }
            None => {
                let message = format!("the {what} `{}` of control `{}` does not exist", name.value, control.id);
                let problem = PackProblem::new(&control.file, name.place, message);
                self.problems.push(problem.with_help(format!("expected at {path}")));
                None
            }
        }
    }

    fn benchmarks(&mut self, controls: &[Arc<Control>]) -> Vec<super::Benchmark> {
        let mut benchmarks: Vec<super::Benchmark> = Vec::new();
        let folder = format!("{}/benchmarks", self.root);
        let files = self.files;
        for (path, content) in files.below(&folder).filter(|(path, _)| is_yaml(path)) {
            let Some(tree) = self.yaml(path, content) else { continue };
            let mut problems = self.problems_of(path);
            let Some(benchmark) = benchmark::read(&tree, controls, &mut problems) else { continue };
            if benchmarks.iter().any(|known| known.node.id == benchmark.node.id) {
                problems.add(tree.place, format!("benchmark `{}` is there twice", benchmark.node.id));
                continue;
            }
            benchmarks.push(benchmark);
        }
        benchmarks.sort_by(|a, b| a.node.id.cmp(&b.node.id));
        benchmarks
    }

    fn tests(&mut self, controls: &[Arc<Control>]) -> Vec<super::GivenTest> {
        let mut tests = Vec::new();
        let folder = format!("{}/tests", self.root);
        let files = self.files;
        for (path, content) in files.below(&folder).filter(|(path, _)| is_yaml(path)) {
            let Some(tree) = self.yaml(path, content) else { continue };
            let name = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(name, _)| name);
            let mut problems = self.problems_of(path);
            let cases = test_case::read(&tree, name, &mut problems);
            for case in &cases {
                if !controls.iter().any(|control| control.id == case.control) {
                    problems.add(
                        case.place,
                        format!("the test `{}` is for an unknown control `{}`", case.name, case.control),
                    );
                }
            }
            tests.extend(cases);
        }
        tests
    }
}

/// The control that already has the id or an alias of `control`.
fn clash<'c>(controls: &'c [Arc<Control>], control: &Control) -> Option<&'c Arc<Control>> {
    let names = |control: &Control| -> Vec<String> {
        std::iter::once(control.id.to_string()).chain(control.aliases.iter().cloned()).collect()
    };
    let mine = names(control);
    controls.iter().find(|other| names(other).iter().any(|name| mine.contains(name)))
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

/// `name` relative to `folder`, with `.` and `..` of `name` resolved. The folder stays as it is written: it may
/// begin with `/` or `./`.
fn joined(folder: &str, name: &str) -> String {
    let mut path = folder.trim_end_matches('/').to_owned();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => path.truncate(path.rfind('/').unwrap_or_default()),
            part if path.is_empty() => path.push_str(part),
            part => path.push_str(&format!("/{part}")),
        }
    }
    path
}

/// Complains where the pack wants a newer program.
fn engine_is_new_enough(wanted: &Located<String>, problems: &mut Problems<'_>) {
    let numbers = |text: &str| -> Option<Vec<u64>> {
        text.trim_start_matches(['>', '=', ' ']).split('.').map(|part| part.trim().parse().ok()).collect()
    };
    let have = env!("CARGO_PKG_VERSION");
    match (numbers(&wanted.value), numbers(have)) {
        (Some(least), Some(current)) if least > current => {
            let message = format!("the pack needs Tidegate {} or newer, this is {have}", wanted.value);
            problems.add_with_help(wanted.place, message, Some("use a newer program or an older pack".to_owned()));
        }
        (None, _) => problems.add(wanted.place, format!("`{}` is not a version", wanted.value)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn a_query_is_found_beside_its_controls_wherever_the_pack_lies() {
        assert_eq!(joined("host/users", "uid.sql"), "host/users/uid.sql");
        assert_eq!(joined("/srv/packs/host/users", "./uid.sql"), "/srv/packs/host/users/uid.sql");
        assert_eq!(joined("./packs//host/users", "../shared/uid.sql"), "./packs//host/shared/uid.sql");
        assert_eq!(joined("host", "../../uid.sql"), "uid.sql");
    }
}
