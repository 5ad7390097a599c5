//! Copies of checkpoints in S3.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use aws_sdk_s3::Client;
use tidegate_aws::S3Remote;
use tidegate_pipeline::checkpoint::copies::{BucketLocation, CopyLocation, Remote};

use super::{config, endpoint, program, wait};
use crate::program::{Done, Folder, Running};

const SLOW: &str = "version: 1\nname: p\ncheckpoint: {every: 50ms, keep: 3, copy_to: PLACE}\n\
                    sources: {a: {range: {limit: 200, delay: 0.01}}}\n\
                    operators: {even: {from: a, filter: \"i % 2 = 0\"}}\nsinks: {s: {from: even, file: {path: out.jsonl}}}\n";

fn bucket(endpoint: &str, name: &str) -> Client {
    let builder = aws_sdk_s3::config::Builder::from(&config(endpoint)).force_path_style(true);
    let client = Client::from_conf(builder.build());
    wait(client.create_bucket().bucket(name).send()).expect("a bucket");
    client
}

fn place(endpoint: &str, name: &str) -> S3Remote {
    let location: CopyLocation = format!("s3://{name}/copies/p").parse().expect("a place");
    let CopyLocation::Bucket(location) = location else { panic!("it is a bucket") };
    S3Remote::with_config(&location, &config(endpoint)).expect("a place")
}

/// How often something succeeded, tried by many at the same time.
fn successes(work: impl Fn(usize) -> bool + Send + Sync) -> Vec<usize> {
    let (work, start) = (&work, &std::sync::Barrier::new(12));
    std::thread::scope(|scope| {
        let tried: Vec<_> = (0..12)
            .map(|number| {
                scope.spawn(move || {
                    start.wait();
                    work(number)
                })
            })
            .collect();
        let tried = tried.into_iter().map(|thread| thread.join().expect("it ends"));
        tried.enumerate().filter(|(_, succeeded)| *succeeded).map(|(number, _)| number).collect()
    })
}

#[test]
fn of_many_that_create_one_file_one_wins() {
    let Some(endpoint) = endpoint() else { return };
    bucket(&endpoint, "created");
    let remote = Arc::new(place(&endpoint, "created"));
    let content = |number: usize| format!("content {number}");
    let winners = successes(|number| remote.create("owner.json", content(number).as_bytes()).expect("an answer"));
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(remote.read("owner.json").expect("an answer"), Some(content(winners[0]).into_bytes()));
    assert!(!remote.create("owner.json", b"late").expect("an answer"));
}

#[test]
fn of_many_that_exchange_the_same_contents_one_wins_and_stale_ones_lose() {
    let Some(endpoint) = endpoint() else { return };
    bucket(&endpoint, "exchanged");
    let remote = Arc::new(place(&endpoint, "exchanged"));
    assert!(!remote.exchange("newest.json", b"none", b"some").expect("an answer"));
    assert!(remote.create("newest.json", b"first").expect("an answer"));
    let content = |number: usize| format!("content {number}");
    let winners =
        successes(|number| remote.exchange("newest.json", b"first", content(number).as_bytes()).expect("an answer"));
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(remote.read("newest.json").expect("an answer"), Some(content(winners[0]).into_bytes()));
}

#[test]
fn files_are_sent_from_the_disk_fetched_piece_by_piece_listed_and_removed() {
    let Some(endpoint) = endpoint() else { return };
    bucket(&endpoint, "streamed");
    let remote = place(&endpoint, "streamed");
    let folder = Folder::new();
    let content: Vec<u8> = (0..9_000_000_u32).map(|number| (number % 251) as u8).collect();
    folder.write("large", &content);
    let large = folder.path().join("large");
    for name in ["segments/a", "segments/b", "segments/deeper/c"] {
        remote.send(name, &large).expect("it is sent");
    }
    let names: Vec<String> = remote.names("segments").expect("a list").into_iter().collect();
    assert_eq!(names, ["a", "b"]);
    assert!(remote.names("nothing").expect("a list").is_empty());
    let mut back = Vec::new();
    assert!(remote.fetch("segments/a", &mut back).expect("it is fetched"));
    assert!(back == content);
    remote.remove("segments/a").expect("it is removed");
    remote.remove("segments/a").expect("it is gone already");
    assert!(!remote.fetch("segments/a", &mut back).expect("an answer"));
    assert!(remote.verify().is_ok());
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let Some(endpoint) = endpoint() else { return };
    let error = place(&endpoint, "absent").create("owner.json", b"x").expect_err("there is no bucket").to_string();
    assert!(error.contains("s3://absent/copies/p") && error.contains("NoSuchBucket"), "{error}");
    let location =
        BucketLocation { bucket: "any".into(), prefix: String::new(), region: None, endpoint: None, profile: None };
    let nobody = S3Remote::with_config(&location, &config("http://127.0.0.1:9")).expect("a place");
    assert!(nobody.read("owner.json").expect_err("nobody listens").to_string().contains("s3://any"));
}

/// A pipeline whose copies go to a bucket.
struct Copied {
    endpoint: String,
    url: String,
    folder: Folder,
    client: Client,
    bucket: &'static str,
}

impl Copied {
    fn new(endpoint: String, name: &'static str, text: &str) -> Self {
        let client = bucket(&endpoint, name);
        let url = format!("s3://{name}/copies/p?region=us-east-1&endpoint={endpoint}");
        let folder = Folder::with(&[("p.yaml", &text.replace("PLACE", &url))]);
        Self { endpoint, url, folder, client, bucket: name }
    }

    fn run(&self, folder: &Folder, arguments: &[&str]) -> Done {
        Done::of(&mut program(folder, &self.endpoint, arguments))
    }

    fn start(&self, folder: &Folder, arguments: &[&str]) -> Running {
        Running::of(&mut program(folder, &self.endpoint, arguments))
    }

    /// The newest copy.
    fn newest(&self) -> Option<serde_json::Value> {
        let request = self.client.get_object().bucket(self.bucket).key("copies/p/newest.json");
        let found = wait(async { request.send().await.ok()?.body.collect().await.ok() })?;
        serde_json::from_slice(&found.to_vec()).ok()
    }

    fn lose_the_directory(&self) {
        std::fs::remove_dir_all(self.folder.path().join(".tidegate/p")).expect("it is there");
    }
}

/// What the pipeline writes when nobody disturbs it.
fn undisturbed() -> String {
    let folder = Folder::with(&[("p.yaml", &SLOW.replace(", copy_to: PLACE", ""))]);
    folder.run(&["run", "p.yaml"]).code(0);
    folder.read("out.jsonl")
}

#[test]
fn a_lost_directory_comes_back_from_s3_and_the_outputs_go_on_as_if_nothing_had_happened() {
    let Some(endpoint) = endpoint() else { return };
    let copied = Copied::new(endpoint, "restored", SLOW);
    let mut running = copied.start(&copied.folder, &["run", "p.yaml"]);
    running.until("a copy of what has begun", || copied.newest().filter(|newest| newest["step"].as_u64() > Some(20)));
    drop(running);
    copied.lose_the_directory();
    let restore = ["run", "p.yaml", "--restore-from", &copied.url];
    copied.run(&copied.folder, &restore).code(0).said(&["restored checkpoint"]);
    assert!(copied.folder.read("out.jsonl") == undisturbed());
    let shown = copied.folder.run(&["checkpoint", "show", "p", "--format", "json"]).code(0).json();
    let newest = copied.newest().expect("a copy");
    assert_eq!((&newest["number"], &newest["incarnation"]), (&shown["number"], &shown["incarnation"]));
    copied.run(&copied.folder, &restore).code(3).said(&["holds a pipeline already"]);
}

#[test]
fn a_damaged_object_is_named_and_nothing_is_restored_from_it() {
    let Some(endpoint) = endpoint() else { return };
    let copied = Copied::new(endpoint, "damaged", SLOW);
    copied.run(&copied.folder, &["run", "p.yaml"]).code(0);
    let shown = copied.folder.run(&["checkpoint", "show", "p", "--format", "json"]).code(0).json();
    let hash = shown["definition"].as_str().expect("a hash").to_owned();
    let key = format!("copies/p/segments/{hash}.segment");
    let request = copied.client.put_object().bucket(copied.bucket).key(key).body(b"rotten".to_vec().into());
    wait(request.send()).expect("it is written");
    copied.lose_the_directory();
    let restore = ["run", "p.yaml", "--restore-from", &copied.url];
    copied.run(&copied.folder, &restore).code(2).said(&[&hash, "is not what it is named by"]);
    assert!(!copied.folder.path().join(".tidegate/p").exists());
}

const TICKING: &str = "version: 1\nname: p\ncheckpoint: {every: 100ms, copy_to: PLACE}\n\
                       sources: {a: {tick: {delay: 0.02}}}\nsinks: {s: {from: a, file: {path: out.jsonl}}}\n";

#[test]
fn of_two_writers_the_one_that_took_the_place_over_goes_on_and_the_stale_one_says_why_it_cannot() {
    let Some(endpoint) = endpoint() else { return };
    let copied = Copied::new(endpoint, "fenced", TICKING);
    let mut stale = copied.start(&copied.folder, &["run", "p.yaml"]);
    let first = stale.until("the first copy", || copied.newest());
    let other = Folder::with(&[("p.yaml", &copied.folder.read("p.yaml"))]);
    // The output is to be that of the newest copy, or a later one: meanwhile nothing goes on.
    let signal = |signal: &str, id: u32| {
        assert!(Command::new("kill").args([signal, &id.to_string()]).status().expect("it is told").success());
    };
    signal("-STOP", stale.id());
    std::fs::copy(copied.folder.path().join("out.jsonl"), other.path().join("out.jsonl")).expect("the output");
    let mut taker = copied.start(&other, &["run", "p.yaml", "--restore-from", &copied.url]);
    let incarnation = |newest: &serde_json::Value| newest["incarnation"].as_u64().expect("a number");
    let taken = taker.until("a copy of the new owner", || {
        copied.newest().filter(|newest| incarnation(newest) > incarnation(&first))
    });
    signal("-CONT", stale.id());
    stale.until_said("has taken them over");
    stale.stop();
    let last = copied.newest().expect("a copy");
    assert_eq!(incarnation(&last), incarnation(&taken));
    taker.stop();
}

#[test]
fn a_place_that_does_not_answer_holds_up_neither_checkpoints_nor_the_end() {
    let text = SLOW.replace("PLACE", "s3://nobody/p?region=us-east-1&endpoint=http://127.0.0.1:9");
    let folder = Folder::with(&[("p.yaml", &text)]);
    let begun = Instant::now();
    let ran = Done::of(&mut program(&folder, "http://127.0.0.1:9", &["run", "p.yaml"]));
    ran.code(0).said(&["could not be copied", "s3://nobody/p"]);
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    assert!(folder.read("out.jsonl") == undisturbed());
}
