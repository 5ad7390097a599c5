//! What every version of the formats wrote stays readable.
//!
//! `pipeline/tests-golden/v1` is a small pipeline directory and an exported checkpoint as format 1 writes them.
//! A change of a format that cannot be read by the code for version 1 gets the next number; then add `v2`:
//! let [`write`] fill that folder (`TIDEGATE_UPDATE_GOLDEN=v2 cargo test --workspace --lib golden`), add it to
//! [`VERSIONS`], and leave the older folders as they are.

use std::fs;
use std::path::{Path, PathBuf};

use super::tests::Pipeline;
use super::*;
use crate::step::{Incarnation, StepNumber};

const VERSIONS: [&str; 1] = ["v1"];
/// What is in a golden directory beside the folder of segments.
const FILES: [&str; 3] = ["head", "epoch", "checkpoint.tidegate"];

fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests-golden").join(version)
}

/// Writes the golden directory of the present formats.
fn write(to: &Path) {
    let pipeline = Pipeline::new();
    pipeline.commit("one");
    pipeline.commit("two");
    let from = pipeline.directory.path();
    export(from, None, &from.join("checkpoint.tidegate")).unwrap();
    fs::create_dir_all(to.join("segments")).unwrap();
    for name in FILES {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    for hash in pipeline.checkpoints.segments().list().unwrap() {
        let name = format!("segments/{hash}.segment");
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

/// A copy that may be written to.
fn copy(version: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("segments")).unwrap();
    for entry in fs::read_dir(folder(version).join("segments")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join("segments").join(entry.file_name())).unwrap();
    }
    for name in FILES {
        fs::copy(folder(version).join(name), copy.path().join(name)).unwrap();
    }
    copy
}

fn assert_is_golden(manifest: &Manifest, directory: &Path) {
    assert_eq!((manifest.number, manifest.step), (CheckpointNumber(2), StepNumber(20)));
    assert_eq!(manifest.marks["rest"].step, StepNumber(20));
    assert_eq!(manifest.sources["events"].schemas[0].1, [0, 255, 16]);
    let state = read_node_state(directory, &manifest.nodes["fresh"], "fresh").unwrap();
    assert_eq!(state[0].content, Content::Bytes(b"two".to_vec()));
}

#[test]
fn what_each_version_of_the_formats_wrote_is_read() {
    if let Ok(version) = std::env::var("TIDEGATE_UPDATE_GOLDEN") {
        write(&folder(&version));
    }
    for version in VERSIONS {
        let golden = folder(version);
        assert_is_golden(&read_head(&golden).unwrap().unwrap(), &golden);
        assert_eq!(list_checkpoints(&golden).unwrap().len(), 2, "{version}");
        let copy = copy(version);
        // There is no store beside them: it is built from the segments.
        let rebuilt = rebuild(copy.path()).unwrap();
        assert_eq!(rebuilt.checkpoints, [CheckpointNumber(1), CheckpointNumber(2)], "{version}");
        let store = CheckpointStore::open(copy.path(), Box::new(SledStore::open(copy.path()).unwrap())).unwrap();
        assert_is_golden(&store.latest().unwrap().unwrap(), copy.path());
        assert_eq!(store.next_number(), CheckpointNumber(3), "{version}");
        drop(store);
        let imported = copy.path().join("imported");
        import(&imported, &copy.path().join("checkpoint.tidegate"), true).unwrap();
        let manifest = read_head(&imported).unwrap().unwrap();
        assert!(manifest.incarnation > Incarnation(1));
        assert_is_golden(&manifest, &imported);
    }
}
