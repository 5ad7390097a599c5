//! Pipelines in the documentation are valid, and the README names what there is to run.

use std::path::Path;

use super::{markdown, pages, read, root, tidegate_in};

/// A copy of `examples/` in a folder of its own, with the files that pages speak of.
pub(crate) fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy(&root().join("examples"), &folder.path().join("examples"));
    let files = [
        ("orders.jsonl", "{\"id\": 1, \"amount\": \"10\"}\n{\"id\": 2, \"amount\": \"ten\"}\n"),
        ("logins.jsonl", "{\"user\": \"root\", \"at\": 1795253000000}\n"),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("the file can be written");
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
            std::fs::write(folder.path().join("pipeline.yaml"), &block.text).expect("the block is written");
            let output = tidegate_in(folder.path(), &["validate", "pipeline.yaml"]);
            if !output.status.success() || !output.stderr.is_empty() {
                let said = String::from_utf8_lossy(&output.stderr);
                wrong.push(format!("{}:{}\n{said}", page.display(), block.line));
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
    std::fs::write(folder.path().join("pipeline.yaml"), &pipeline.text).expect("the block is written");
    let output = tidegate_in(folder.path(), &["run", "pipeline.yaml", "--once"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
