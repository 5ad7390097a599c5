//! One writer at a time.

use std::time::{Duration, Instant};

use crate::events::{self, OUTPUTS};
use crate::{assert_same, outputs, run_to_the_end, tidegate};

#[test]
fn a_second_process_on_the_same_pipeline_is_refused_with_the_owners_pid() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = "version: 1\nname: endless\nsources: {t: {tick: {delay: 0.05}}}\nsinks: {d: {from: t, drop: {}}}\n";
    std::fs::write(folder.path().join("pipeline.yaml"), pipeline).expect("the folder can be written");
    let mut first = tidegate(folder.path()).args(["run", "pipeline.yaml"]).spawn().expect("the program starts");
    let owner = folder.path().join(".tidegate/endless/owner");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !std::fs::read_to_string(&owner).is_ok_and(|pid| !pid.trim().is_empty()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = tidegate(folder.path()).args(["run", "pipeline.yaml"]).output().expect("the program starts");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    first.kill().expect("the first can be killed");
    let id = first.id();
    first.wait().expect("the first ends");
    assert_eq!(second.status.code(), Some(3), "{said}");
    assert!(said.contains(&id.to_string()), "{said}");
}

#[test]
fn processes_that_race_for_one_directory_run_it_once() {
    let undisturbed = tempfile::tempdir().expect("a folder");
    events::write(undisturbed.path(), 3_000);
    run_to_the_end(undisturbed.path(), "pipeline.yaml");

    let folder = tempfile::tempdir().expect("a folder");
    events::write(folder.path(), 3_000);
    let start = |_| tidegate(folder.path()).args(["run", "pipeline.yaml"]).spawn().expect("the program starts");
    let racing: Vec<_> = (0..6).map(start).collect();
    let mut good = 0;
    for child in racing {
        let ended = child.wait_with_output().expect("the program ends");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        match ended.status.code() {
            Some(0) => good += 1,
            code => assert!(code == Some(3) && said.contains("is in use by"), "{code:?}: {said}"),
        }
    }
    assert!(good >= 1);
    let expected = outputs(undisturbed.path(), OUTPUTS);
    assert_same(&outputs(folder.path(), OUTPUTS), &expected, "after the race");
    run_to_the_end(folder.path(), "pipeline.yaml");
    assert_same(&outputs(folder.path(), OUTPUTS), &expected, "after another run");
}
