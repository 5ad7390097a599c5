//! One writer at a time.

use std::time::{Duration, Instant};

use crate::tidegate;

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
