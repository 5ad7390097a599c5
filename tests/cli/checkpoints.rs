//! Verifying, rebuilding, removing, moving and copying checkpoints.

use std::path::PathBuf;

use crate::program::{Done, Folder};

const SLOW: &str = "version: 1\nname: p\ncheckpoint: {every: 20ms, keep: 3}\nsources: {a: {range: {limit: 240, delay: 0.004}}}\n\
                    operators: {even: {from: a, filter: \"i % 2 = 0\"}}\nsinks: {s: {from: even, file: {path: out.jsonl}}}\n";

/// What the pipeline writes when nobody disturbs it.
fn undisturbed() -> String {
    let folder = Folder::with(&[("p.yaml", SLOW)]);
    folder.run(&["run", "p.yaml"]).code(0);
    folder.read("out.jsonl")
}

fn state(folder: &Folder) -> PathBuf {
    folder.path().join(".tidegate/p")
}

/// The segment that holds the manifest of the newest checkpoint, and one of those that it names.
fn segments(folder: &Folder) -> (PathBuf, PathBuf) {
    let head: serde_json::Value = serde_json::from_str(&folder.read(".tidegate/p/head")).expect("JSON");
    let shown = folder.run(&["checkpoint", "show", "p", "--format", "json"]).code(0).json();
    let path = |hash: &serde_json::Value| {
        state(folder).join("segments").join(format!("{}.segment", hash.as_str().expect("a hash")))
    };
    (path(&head["manifest"]), path(&shown["definition"]))
}

fn flip(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("it can be written");
}

fn verify(folder: &Folder, more: &[&str]) -> Done {
    folder.run(&[&["checkpoint", "verify", "p"], more].concat())
}

#[test]
fn verify_reads_everything_and_names_what_is_damaged_and_what_that_means() {
    let folder = Folder::with(&[("p.yaml", SLOW)]);
    folder.run(&["checkpoint", "verify", "p.yaml"]).code(3).said(&["there is no pipeline directory"]);
    folder.run(&["run", "p.yaml"]).code(0);
    verify(&folder, &[]).code(0).printed(&["everything is whole", "whole\n", "journal: steps", "store: "]);
    let (manifest, definition) = segments(&folder);
    flip(&manifest);
    verify(&folder, &[]).code(2).printed(&["damaged: segment", "that means: checkpoint", "cannot be used"]);
    let damage = verify(&folder, &["--format", "jsonl"]).code(2).json_lines();
    assert_eq!(damage.len(), 1, "{damage:?}");
    flip(&manifest);
    flip(&definition);
    let report = verify(&folder, &["--format", "json"]).code(2).json();
    let checkpoints = report["report"]["checkpoints"].as_array().expect("a list");
    assert!(checkpoints.len() == 3 && checkpoints.iter().all(|one| one["lacks"][0].is_string()), "{report}");
    flip(&definition);
    let journal = std::fs::read_dir(state(&folder).join("journal")).expect("a journal");
    let file = journal.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.extension().is_some());
    flip(&file.expect("a journal file"));
    verify(&folder, &[]).code(2).printed(&["damaged: the journal", "cannot be replayed"]);
}

#[test]
fn a_lost_or_damaged_store_is_refused_rebuilt_on_request_and_nothing_is_lost() {
    let expected = undisturbed();
    for damage in ["lost", "damaged"] {
        let folder = Folder::with(&[("p.yaml", SLOW)]);
        // The marks of the fourth checkpoint are in the store, its manifest is not on the disk: what the segments
        // know of the output is older than what the store knew.
        folder.dies_at("manifest.write:4", &["run", "p.yaml"]);
        let store = state(&folder).join("store");
        match damage {
            "lost" => std::fs::remove_dir_all(&store).expect("it is there"),
            _ => std::fs::write(store.join("db"), vec![7; 600_000]).expect("it can be written"),
        }
        let command = "tidegate checkpoint verify p --rebuild";
        folder.run(&["run", "p.yaml"]).code(2).said(&[command]);
        verify(&folder, &[]).code(2).printed(&["damaged: the store"]);
        let rebuilt = verify(&folder, &["--rebuild"]).code(0);
        rebuilt.printed(&["the store was rebuilt", "mark of s: step", "everything is whole"]);
        folder.run(&["run", "p.yaml"]).code(0);
        assert!(folder.read("out.jsonl") == expected, "{damage}");
        verify(&folder, &["--rebuild"]).code(0).printed(&["nothing was rebuilt"]);
    }
}

#[test]
fn a_running_pipeline_is_verified_but_not_rebuilt_or_pruned() {
    let text = SLOW.replace("limit: 240", "limit: 100000");
    let folder = Folder::with(&[("p.yaml", &text)]);
    let mut running = folder.start(&["run", "p.yaml"]);
    running.until("a checkpoint", || !folder.read(".tidegate/p/head").is_empty());
    verify(&folder, &[]).code(0).printed(&["runs the pipeline", "everything is whole"]);
    verify(&folder, &["--rebuild"]).code(3).said(&["is in use"]);
    folder.run(&["checkpoint", "prune", "p", "--keep", "1"]).code(3).said(&["is in use"]);
    folder.run(&["checkpoint", "export", "p", "one.tidegate"]).code(0).printed(&["checkpoint "]);
    running.stop();
}

#[test]
fn prune_keeps_what_it_is_told_and_always_the_newest() {
    let folder = Folder::with(&[("p.yaml", SLOW)]);
    folder.run(&["run", "p.yaml"]).code(0);
    let count = || folder.run(&["checkpoint", "list", "p", "--format", "json"]).code(0).json().as_array().map(Vec::len);
    assert_eq!(count(), Some(3));
    folder.run(&["checkpoint", "prune", "p"]).code(3).said(&["--keep"]);
    folder.run(&["checkpoint", "prune", "p", "--keep", "0"]).code(3);
    folder.run(&["checkpoint", "prune", "p.yaml"]).code(0).printed(&["removed no checkpoints"]);
    folder.run(&["checkpoint", "prune", "p", "--keep", "last=1"]).code(0).printed(&["removed checkpoints"]);
    assert_eq!(count(), Some(1));
    verify(&folder, &[]).code(0);
}

#[test]
fn an_exported_checkpoint_goes_on_elsewhere_after_a_crash_too_as_a_new_incarnation() {
    let expected = undisturbed();
    let folder = Folder::with(&[("p.yaml", SLOW)]);
    folder.dies_at("manifest.write:4", &["run", "p.yaml"]);
    folder.run(&["checkpoint", "export", "p", "one.tidegate"]).code(0);
    folder.run(&["checkpoint", "export", "p", "one.tidegate"]).code(3).said(&["exists"]);
    let import = ["checkpoint", "import", "p.yaml", "one.tidegate"];
    folder.run(&import).code(3).said(&["holds a pipeline already"]);
    let elsewhere = Folder::with(&[("p.yaml", SLOW), ("out.jsonl", &folder.read("out.jsonl"))]);
    let file = folder.path().join("one.tidegate");
    let import = ["checkpoint", "import", "p.yaml", file.to_str().expect("a path")];
    elsewhere.run(&import).code(0).printed(&["incarnation", "go back to their marks: s"]);
    verify(&elsewhere, &[]).code(0);
    let shown = elsewhere.run(&["checkpoint", "show", "p", "--format", "json"]).code(0).json();
    assert!(shown["incarnation"].as_u64() > Some(1), "{shown}");
    // Its journal begins in the middle, and a crash does not mind that.
    elsewhere.dies_at("manifest.write:1", &["run", "p.yaml"]);
    elsewhere.run(&["run", "p.yaml"]).code(0);
    assert!(elsewhere.read("out.jsonl") == expected);
    let shown_again = elsewhere.run(&["checkpoint", "show", "p", "--format", "json"]).code(0).json();
    assert_eq!(shown_again["incarnation"], shown["incarnation"]);
}

#[test]
fn without_the_outputs_an_imported_pipeline_writes_what_comes_after_the_checkpoint() {
    let folder = Folder::with(&[("p.yaml", SLOW)]);
    folder.dies_at("manifest.write:4", &["run", "p.yaml"]);
    folder
        .run(&["checkpoint", "export", "p", "one.tidegate", "--checkpoint", "99"])
        .code(3)
        .said(&["no checkpoint 99"]);
    folder.run(&["checkpoint", "export", "p", "one.tidegate"]).code(0);
    let whole = undisturbed();
    std::fs::remove_dir_all(state(&folder)).expect("it is there");
    std::fs::remove_file(folder.path().join("out.jsonl")).expect("it is there");
    folder.run(&["checkpoint", "import", "p.yaml", "one.tidegate", "--without-outputs"]).code(0);
    folder.run(&["run", "p.yaml"]).code(0);
    let rest = folder.read("out.jsonl");
    assert!(!rest.is_empty() && rest.len() < whole.len() && whole.ends_with(&rest));
}

#[test]
fn a_damaged_export_changes_nothing() {
    let folder = Folder::with(&[("p.yaml", SLOW)]);
    folder.run(&["run", "p.yaml"]).code(0);
    folder.run(&["checkpoint", "export", "p", "one.tidegate"]).code(0);
    flip(&folder.path().join("one.tidegate"));
    let import = ["checkpoint", "import", "p.yaml", "one.tidegate", "--dir", "other"];
    folder.run(&import).code(2).said(&["is damaged", "nothing was changed"]);
    assert!(!folder.path().join("other/p").exists());
}

#[test]
fn copies_are_made_while_it_runs_and_a_lost_directory_comes_back_from_them() {
    let expected = undisturbed();
    let text = SLOW.replace("keep: 3", "keep: 3, copy_to: file://backup/p");
    let folder = Folder::with(&[("p.yaml", &text)]);
    folder.dies_at("manifest.write:6", &["run", "p.yaml"]);
    assert!(!folder.read("backup/p/newest.json").is_empty());
    std::fs::remove_dir_all(state(&folder)).expect("it is there");
    folder.run(&["run", "p.yaml", "--restore-from", "file://backup/p"]).code(0).said(&["restored checkpoint"]);
    assert!(folder.read("out.jsonl") == expected);
    let newest: serde_json::Value = serde_json::from_str(&folder.read("backup/p/newest.json")).expect("JSON");
    let shown = folder.run(&["checkpoint", "show", "p", "--format", "json"]).code(0).json();
    assert_eq!((&newest["number"], &newest["incarnation"]), (&shown["number"], &shown["incarnation"]));
    folder.run(&["run", "p.yaml", "--restore-from", "file://backup/p"]).code(3).said(&["holds a pipeline already"]);
}

#[test]
fn what_is_replayed_is_not_copied() {
    let folder = Folder::with(&[("p.yaml", &SLOW.replace("keep: 3", "keep: 3, copy_to: file://backup/p"))]);
    folder.run(&["run", "p.yaml"]).code(0);
    let listed = folder.run(&["checkpoint", "list", "p", "--format", "json"]).code(0).json();
    // The newest comes first.
    let oldest = listed.as_array().and_then(|list| list.last()).expect("checkpoints")["checkpoint"].to_string();
    std::fs::remove_dir_all(folder.path().join("backup")).expect("copies were made");
    folder.run(&["replay", "p.yaml", "--from", &oldest]).code(0);
    assert!(!folder.path().join("backup").exists());
}

#[test]
fn a_place_that_copies_cannot_go_to_is_an_error_of_the_pipeline() {
    let folder = Folder::with(&[("p.yaml", &SLOW.replace("keep: 3", "copy_to: ftp://bucket/p"))]);
    folder.run(&["validate", "p.yaml"]).code(3).said(&["p.yaml:3:", "s3://", "file:///backup"]);
}
