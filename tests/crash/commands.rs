//! `tidegate effects`, beside a pipeline that runs and instead of one.

use std::path::Path;

use serde_json::Value;

use crate::child::{PIPELINE, Task, child};
use crate::program::{Done, Folder, Running};
use crate::server::{ACCEPT, Reply, Server};

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

fn folder() -> Folder {
    Folder::with(&[(PIPELINE, PAGING)])
}

fn run(folder: &Path, server: &Server) {
    Done::of(&mut child(folder, &Task::Run { server: &server.address })).code(0);
}

#[track_caller]
fn effects(folder: &Folder, arguments: &[&str], code: i32) -> Done {
    folder.run(&[&["effects"], arguments].concat()).code(code)
}

#[track_caller]
fn listed(folder: &Folder, arguments: &[&str]) -> Vec<Value> {
    let done = effects(folder, &[&["list", "child", "--format", "json"], arguments].concat(), 0);
    done.json().as_array().expect("a list").clone()
}

#[test]
fn effects_are_listed_shown_and_retried_while_nobody_runs_the_pipeline() {
    let (folder, server) = (folder(), Server::start(refuses_the_first));
    assert_eq!(effects(&folder, &["list", "child"], 3).stdout, "", "neither a file nor a pipeline that ran");
    run(folder.path(), &server);
    assert_eq!(listed(&folder, &["--state", "done", "--sink", "page"]).len(), 2);
    let dead = listed(&folder, &["--state", "dead"]);
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0]["reason"], "the server answered 410");
    let id = dead[0]["effect"].as_str().expect("an id");

    let shown = effects(&folder, &["show", "child", id, "--format", "json"], 0);
    let shown = shown.json();
    assert!(shown["body"].is_object() && shown["state"] == "dead", "{shown}");
    effects(&folder, &["show", "child", "child/0/1/page/0/9/9"], 3);
    effects(&folder, &["retry", "child"], 3);
    effects(&folder, &["retry", "child", "--state", "dead"], 0);
    effects(&folder, &["retry", "child", id], 2);
    assert_eq!(listed(&folder, &["--state", "intended"]).len(), 1);

    run(folder.path(), &server);
    assert_eq!(server.accepted().len(), 3);
    server.assert_one_id_each("after a retry");
    assert_eq!(listed(&folder, &["--state", "dead,intended"]), [] as [Value; 0]);
}

#[test]
fn effects_are_discarded_through_the_process_that_runs_the_pipeline() {
    let (folder, server) = (folder(), Server::start(never));
    let mut running = Running::of(&mut child(folder.path(), &Task::Run { server: &server.address }));
    running.until("posts", || server.requests() >= 6);
    assert_eq!(listed(&folder, &["--state", "intended"]).len(), 3, "read beside the one who runs it");
    effects(&folder, &["discard", "child", "--all"], 0);
    // Nothing is left to be delivered: the bounded run ends.
    running.wait().code(0);
    assert_eq!(listed(&folder, &["--state", "discarded"]).len(), 3);
    assert_eq!(server.accepted().len(), 0);
}
