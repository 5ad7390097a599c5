use std::fs;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::sources::testing::{context, options, plan, text};

struct Watched {
    folder: tempfile::TempDir,
    source: Box<dyn Source>,
}

async fn watched(more: &str) -> Watched {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("before"), "1").unwrap();
    let given = format!("{{\"path\": {}{more}}}", json!(folder.path().to_str().unwrap()));
    let source = plan(&FileWatchKind, &options(&given)).unwrap().open.open(context()).await.unwrap();
    Watched { folder, source }
}

impl Watched {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Events until one is about `last`, as `change type src [dest]`.
    async fn until(&mut self, last: &str) -> Vec<String> {
        let mut found = Vec::new();
        let root = format!("{}/", self.folder.path().display());
        while !found.iter().any(|event: &String| event.ends_with(last)) {
            let next = tokio::time::timeout(Duration::from_secs(20), self.source.next()).await;
            let arrival = next.unwrap_or_else(|_| panic!("{last} never came: {found:?}")).unwrap().unwrap();
            for line in text(&[arrival]).lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                let word = |name: &str| event[name].as_str().unwrap_or_default().replace(&root, "");
                let words = [word("change"), word("type"), word("src_path"), word("dest_path")];
                found.push(words.join(" ").trim_end().to_owned());
                assert_eq!(event["root_path"], self.folder.path().to_str().unwrap());
                assert_eq!(event["meta"]["source"], json!({"name": "in", "type": "file_watch"}));
            }
        }
        found
    }
}

async fn tells_what_happens(more: &str) {
    let mut watched = watched(more).await;
    fs::write(watched.at("a"), "1").unwrap();
    watched.until("created FileCreatedEvent a").await;
    fs::write(watched.at("a"), "22").unwrap();
    watched.until("modified FileModifiedEvent a").await;
    fs::rename(watched.at("a"), watched.at("b")).unwrap();
    watched.until("moved FileMovedEvent a b").await;
    fs::remove_file(watched.at("b")).unwrap();
    watched.until("deleted FileDeletedEvent b").await;
    fs::create_dir(watched.at("d")).unwrap();
    watched.until("created DirCreatedEvent d").await;
    fs::write(watched.at("d/inside"), "1").unwrap();
    watched.until("created FileCreatedEvent d/inside").await;
    fs::rename(watched.at("d"), watched.at("e")).unwrap();
    let moved = watched.until("moved FileMovedEvent d/inside e/inside").await;
    assert!(moved.iter().any(|event| event == "moved DirMovedEvent d e"), "{moved:?}");
}

// matrix: file_watch: happy
#[tokio::test]
async fn the_kernel_tells_what_happens() {
    tells_what_happens(r#","recursive":true"#).await;
}

#[tokio::test]
async fn looking_again_and_again_tells_the_same() {
    tells_what_happens(r#","recursive":true,"poll":true,"poll_every":"10ms""#).await;
}

// matrix: file_watch: malformed
#[tokio::test]
async fn what_is_ignored_or_deeper_than_wanted_is_not_told() {
    let mut watched = watched(r#","ignore_regexes":[".*\\.swp$"]"#).await;
    fs::create_dir(watched.at("d")).unwrap();
    watched.until(" d").await;
    fs::write(watched.at("d/deep"), "1").unwrap();
    fs::write(watched.at("x.swp"), "1").unwrap();
    fs::rename(watched.at("x.swp"), watched.at("y")).unwrap();
    fs::write(watched.at("last"), "1").unwrap();
    let told = watched.until(" last").await;
    assert!(told.iter().all(|event| event.ends_with(" last")), "{told:?}");
}

#[tokio::test]
async fn a_burst_is_told_without_loss_and_repeated_writes_once() {
    let mut watched = watched("").await;
    for number in 0..20_000 {
        fs::write(watched.at(&format!("f{number}")), "1").unwrap();
    }
    fs::write(watched.at("last"), "1").unwrap();
    let mut created = std::collections::HashSet::new();
    while created.len() < 20_001 {
        let next = tokio::time::timeout(Duration::from_secs(20), watched.source.next()).await;
        let arrival = next.unwrap_or_else(|_| panic!("only {} came", created.len())).unwrap().unwrap();
        for line in text(&[arrival]).lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            if event["change"] == "created" {
                assert!(created.insert(event["src_path"].as_str().unwrap().to_owned()), "told twice: {event}");
            }
        }
    }
}

#[tokio::test]
async fn a_single_file_is_watched_also_when_it_is_replaced() {
    let mut watched = watched("").await;
    let path = watched.at("before");
    let given = json!({"path": path.to_str().unwrap()}).to_string();
    watched.source = plan(&FileWatchKind, &options(&given)).unwrap().open.open(context()).await.unwrap();
    fs::write(watched.at("other"), "1").unwrap();
    fs::rename(watched.at("other"), &path).unwrap();
    let next = tokio::time::timeout(Duration::from_secs(20), watched.source.next()).await.unwrap().unwrap().unwrap();
    let event: Value = serde_json::from_str(text(&[next]).lines().next().unwrap()).unwrap();
    assert_eq!((&event["change"], &event["src_path"]), (&json!("modified"), &json!(path.to_str().unwrap())));
}

// matrix: file_watch: disconnect
#[tokio::test]
async fn a_folder_that_goes_is_an_error_that_may_pass() {
    let mut watched = watched("").await;
    fs::remove_dir_all(watched.folder.path()).unwrap();
    let error = loop {
        match tokio::time::timeout(Duration::from_secs(20), watched.source.next()).await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.retry, tidegate_pipeline::error::Retry::WithBackoff, "{error}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    assert!(plan(&FileWatchKind, &options(r#"{"path": "/tmp", "ignore_regexes": ["("]}"#)).is_err());
    assert!(plan(&FileWatchKind, &options(r#"{"path": ""}"#)).is_err());
    assert!(plan(&FileWatchKind, &options(r"{}")).is_err());
}
