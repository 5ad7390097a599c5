//! Pipelines in the documentation are valid, and the README names what there is to run.

use std::path::Path;

use super::program::Folder;
use super::{markdown, pages, read, root};

/// A copy of `examples/` in a folder of its own, with the files that pages speak of.
pub(crate) fn workplace() -> Folder {
    let folder = Folder::new();
    copy(&root().join("examples"), &folder.path().join("examples"));
    let files = [
        ("orders.jsonl", "{\"id\": 1, \"amount\": \"10\"}\n{\"id\": 2, \"amount\": \"ten\"}\n"),
        ("logins.jsonl", "{\"user\": \"root\", \"at\": 1795253000000}\n"),
        ("waivers.yaml", "- {id: W-1, control: c, resource: r, reason: why, owner: who, expires: 2999-01-01}\n"),
    ];
    for (name, text) in files {
        folder.write(name, text);
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("the file can be copied");
        }
    }
}

#[test]
fn every_pipeline_in_the_documentation_is_valid() {
    let folder = workplace();
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages() {
        for block in markdown::code_blocks(&read(&page)) {
            if block.language != "yaml" || !block.text.starts_with("version:") {
                continue;
            }
            count += 1;
            folder.write("pipeline.yaml", &block.text);
            let done = folder.run(&["validate", "pipeline.yaml"]);
            if done.code != Some(0) || !done.stderr.is_empty() {
                wrong.push(format!("{}:{}\n{}", page.display(), block.line, done.stderr));
            }
        }
    }
    assert!(wrong.is_empty(), "these are not valid, or warn:\n{}", wrong.join("\n"));
    assert!(count >= 5, "only {count} pipelines were found: does the search still work?");
}

#[test]
fn the_readme_names_every_example() {
    let readme = read(&root().join("README.md"));
    for entry in std::fs::read_dir(root().join("examples")).expect("examples are there") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") {
            assert!(readme.contains(&format!("examples/{name}")), "README.md does not name examples/{name}");
        }
    }
}

#[test]
fn the_readme_has_the_test_command_where_the_build_looks_for_it() {
    let blocks = markdown::code_blocks(&read(&root().join("README.md")));
    let command = blocks.iter().find(|block| block.before == "<!-- test-command -->");
    assert_eq!(command.map(|block| block.text.as_str()), Some("cargo test --workspace\n"));
}

#[test]
fn the_pipeline_to_copy_from_the_readme_runs() {
    let folder = workplace();
    let blocks = markdown::code_blocks(&read(&root().join("README.md")));
    let pipeline = blocks.iter().find(|block| block.text.starts_with("version:")).expect("a pipeline to copy");
    folder.write("pipeline.yaml", &pipeline.text);
    folder.run(&["run", "pipeline.yaml", "--once"]).code(0);
}
