use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Controlled, NAME, ask, serve};
use crate::journal::Journal;
use crate::journal::record::Outcome;
use crate::runtime::effects::{Bounds, Effect, EffectChange, Ledger, change_effects};
use crate::runtime::status::PipelineStatus;
use crate::sink::EffectPayload;
use crate::step::{Incarnation, Shard, StepNumber};

/// A served directory with one dead effect.
struct Owner {
    ledger: Ledger,
    id: String,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

async fn owner(directory: &Path) -> Owner {
    let (journal, _) = Journal::open(directory, Incarnation(1), Shard(0)).unwrap();
    let payload = EffectPayload { key: None, body: b"{}".to_vec() };
    let id = "p/0/1/page/0/7/0";
    let effect = Effect { id: id.into(), sink: "page".to_owned(), input: 0, step: StepNumber(7), row: 0, payload };
    let ledger = Ledger::new(Bounds::NONE);
    ledger.intend(&[Arc::new(effect.clone())]);
    ledger.end(&journal, &effect, Outcome::Dead, 12, Some("refused".to_owned())).unwrap();
    let stop = CancellationToken::new();
    let controlled = Controlled {
        ledger: ledger.clone(),
        journal,
        status: Arc::new(PipelineStatus::new(Vec::new(), ledger.clone())),
    };
    let server = tokio::spawn(serve(directory.to_owned(), controlled, stop.clone()));
    while !directory.join(NAME).exists() || UnixStream::connect(reachable(directory)).is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Owner { ledger, id: id.to_owned(), stop, server }
}

/// The socket under a name that is short enough for a test to connect to.
fn reachable(directory: &Path) -> PathBuf {
    match directory.join(NAME) {
        long if long.as_os_str().len() > 100 => {
            let link = std::env::temp_dir().join(format!("{}-{}", NAME, std::process::id()));
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&long, &link).unwrap();
            link
        }
        short => short,
    }
}

async fn retry(directory: &Path, id: &str) -> crate::runtime::ChangedEffects {
    let (directory, ids) = (directory.to_owned(), vec![id.to_owned()]);
    let asked = move || change_effects(&directory, "p", EffectChange::Retry, &ids).unwrap();
    tokio::task::spawn_blocking(asked).await.unwrap()
}

#[tokio::test]
async fn a_command_reaches_the_owner_over_the_socket_that_only_its_user_may_open() {
    let directory = tempfile::tempdir().unwrap();
    let owner = owner(directory.path()).await;
    let mode = std::fs::metadata(directory.path().join(NAME)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(retry(directory.path(), &owner.id).await.changed.join(""), owner.id);
    assert!(owner.ledger.is_intended(&owner.id));

    owner.stop.cancel();
    owner.server.await.unwrap();
    assert!(!directory.path().join(NAME).exists(), "the socket goes with the owner");
}

#[tokio::test]
async fn a_socket_that_a_killed_owner_has_left_is_no_owner_and_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(directory.path().join(NAME)).unwrap());
    let request = super::ControlRequest::ChangeEffects { change: EffectChange::Retry, ids: Vec::new() };
    assert_eq!(ask(directory.path(), &request).unwrap(), None);
    let owner = owner(directory.path()).await;
    assert_eq!(retry(directory.path(), &owner.id).await.changed.len(), 1);
}

#[tokio::test]
async fn a_directory_whose_path_is_too_long_for_a_socket_is_served_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("d".repeat(120));
    std::fs::create_dir(&directory).unwrap();
    let owner = owner(&directory).await;
    assert_eq!(retry(&directory, &owner.id).await.changed.len(), 1);
}

#[tokio::test]
async fn what_is_no_request_of_this_version_is_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let owner = owner(directory.path()).await;
    let path = directory.path().join(NAME);
    for (line, said) in [
        ("{\"version\":2,\"request\":{}}\n", "version 2"),
        ("{\"version\":1,\"request\":{\"fly\":{}}}\n", "does not know this request"),
        ("what?\n", "no request"),
    ] {
        let path = path.clone();
        let talk = move || {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(line.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let answer = tokio::task::spawn_blocking(talk).await.unwrap();
        assert!(answer.starts_with("{\"version\":1,\"error\"") && answer.contains(said), "{answer}");
    }
    owner.stop.cancel();
    owner.server.await.unwrap();
}
