//! `tidegate effects`, beside a pipeline that runs and instead of one.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::child::{PIPELINE, Task, child};
use crate::server::{ACCEPT, Reply, Server};
use crate::tidegate;

const PAGING: &str = "
version: 1
name: child
sources: {numbers: {range: {limit: 3}}}
sinks: {page: {from: numbers, dispatch: {}}}
";

fn refuses_the_first(body: &str, attempt: usize) -> Reply {
    if body.contains(":1}") && attempt == 1 { Reply::Status("410 Gone\r\n") } else { ACCEPT }
}

fn never(_: &str, _: usize) -> Reply {
    Reply::Status("503 Service Unavailable\r\n")
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(PIPELINE), PAGING).expect("written");
    folder
}

fn run(folder: &Path, server: &Server) {
    let ended = child(folder, &Task::Run { server: &server.address }).output().expect("it starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

fn effects(folder: &Path, arguments: &[&str], code: i32) -> Output {
    let output = tidegate(folder).arg("effects").args(arguments).output().expect("the program starts");
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{said}");
    output
}

fn listed(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = effects(folder, &[&["list", "child", "--format", "json"], arguments].concat(), 0);
    serde_json::from_slice(&output.stdout).expect("a list")
}

#[test]
fn effects_are_listed_shown_and_retried_while_nobody_runs_the_pipeline() {
    let (folder, server) = (folder(), Server::start(refuses_the_first));
    assert_eq!(effects(folder.path(), &["list", "child"], 3).stdout, b"", "neither a file nor a pipeline that ran");
    run(folder.path(), &server);
    assert_eq!(listed(folder.path(), &["--state", "done", "--sink", "page"]).len(), 2);
    let dead = listed(folder.path(), &["--state", "dead"]);
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0]["reason"], "the server answered 410");
    let id = dead[0]["effect"].as_str().expect("an id");

    let shown = effects(folder.path(), &["show", "child", id, "--format", "json"], 0);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("an effect");
    assert!(shown["body"].is_object() && shown["state"] == "dead", "{shown}");
    effects(folder.path(), &["show", "child", "child/0/1/page/0/9/9"], 3);
    effects(folder.path(), &["retry", "child"], 3);
    effects(folder.path(), &["retry", "child", "--state", "dead"], 0);
    effects(folder.path(), &["retry", "child", id], 2);
    assert_eq!(listed(folder.path(), &["--state", "intended"]).len(), 1);

    run(folder.path(), &server);
    assert_eq!(server.accepted().len(), 3);
    server.assert_one_id_each("after a retry");
    assert_eq!(listed(folder.path(), &["--state", "dead,intended"]), [] as [Value; 0]);
}

#[test]
fn effects_are_discarded_through_the_process_that_runs_the_pipeline() {
    let (folder, server) = (folder(), Server::start(never));
    let mut running = child(folder.path(), &Task::Run { server: &server.address }).spawn().expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.requests() < 6 {
        assert!(Instant::now() < deadline, "nothing was posted");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(listed(folder.path(), &["--state", "intended"]).len(), 3, "read beside the one who runs it");
    effects(folder.path(), &["discard", "child", "--all"], 0);
    assert!(running.wait().expect("it ends").success(), "nothing is left to be delivered: the bounded run ends");
    assert_eq!(listed(folder.path(), &["--state", "discarded"]).len(), 3);
    assert_eq!(server.accepted().len(), 0);
}
