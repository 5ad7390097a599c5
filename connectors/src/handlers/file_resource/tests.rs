use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_pipeline::handler::{Change, Deployment, Open, Patience, ResourceState, Rules, deploy};

use super::*;

struct Bench {
    folder: tempfile::TempDir,
    handler: FileResource,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let handler = FileResource { folder: folder.path().to_owned(), within: None };
        Self { folder, handler }
    }

    async fn deploy(&self, path: &str, fields: Value) -> Deployment {
        let id = FileResourceKind.resource_type().id("local", path).unwrap();
        let resource = Resource::new(id, fields.as_object().unwrap().clone()).unwrap();
        let patience = Patience { work: Duration::from_secs(10), post: Duration::from_secs(1) };
        deploy(&self.handler, &resource, &[], Rules { dry_run: false, gate: &Open, patience }).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }
}

#[tokio::test]
async fn a_file_is_made_changed_and_removed_and_reports_tell_no_content() {
    let bench = Bench::new();
    let made = bench.deploy("motd", json!({"content": "welcome\n", "permissions": "0600"})).await;
    assert_eq!((made.state, made.change), (ResourceState::Deployed, Change::Created));
    assert_eq!((fs::read_to_string(bench.path("motd")).unwrap().as_str(), bench.mode("motd")), ("welcome\n", 0o600));

    let same = bench.deploy("motd", json!({"content": "welcome\n", "permissions": "600"})).await;
    assert_eq!((same.state, same.change), (ResourceState::Deployed, Change::NoChange));

    let changed = bench.deploy("motd", json!({"content": "go away\n"})).await;
    assert_eq!(changed.change, Change::Updated);
    assert_eq!(bench.mode("motd"), 0o600, "what is not said stays");
    let told = serde_json::to_string(&changed.changes).unwrap() + &serde_json::to_string(&changed.desired).unwrap();
    assert!(
        told.contains(&hash(b"go away\n")) && told.contains(&hash(b"welcome\n")) && !told.contains("away"),
        "{told}"
    );

    let opened = bench.deploy("motd", json!({"permissions": "0644"})).await;
    assert_eq!((opened.change, bench.mode("motd")), (Change::Updated, 0o644));
    let removed = bench.deploy("motd", json!({"purged": true})).await;
    assert_eq!((removed.change, bench.path("motd").exists()), (Change::Purged, false));
    assert_eq!(bench.deploy("motd", json!({"purged": true})).await.change, Change::NoChange);
    assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 0, "nothing is left beside it");
}

#[tokio::test]
async fn an_owner_is_the_same_by_name_and_by_number() {
    let bench = Bench::new();
    fs::write(bench.path("a"), "").unwrap();
    let about = fs::metadata(bench.path("a")).unwrap();
    let (user, group) = (accounts::user_name(about.uid()), about.gid());
    let same = bench.deploy("a", json!({"owner": user, "group": group})).await;
    assert_eq!((same.state, same.change), (ResourceState::Deployed, Change::NoChange), "{same:?}");
    let unknown = bench.deploy("a", json!({"owner": "nobody-by-that-name"})).await;
    assert!(unknown.error.unwrap().message.contains("nobody-by-that-name"));
}

#[tokio::test]
async fn what_is_no_file_or_lies_elsewhere_is_left_alone() {
    let mut bench = Bench::new();
    fs::create_dir(bench.path("folder")).unwrap();
    symlink("/etc/hostname", bench.path("link")).unwrap();
    for (path, wanted, reason) in [
        ("folder", json!({"purged": true}), "is a folder"),
        ("link", json!({"content": "x"}), "is a link"),
        ("no/such/folder", json!({"content": "x"}), "make its folder first"),
        ("a", json!({"permissions": 420}), "octal"),
        ("a", json!({"permissions": "0x9"}), "no permissions"),
        ("a", json!({"content": "x", "hash": "00"}), "does not have the `hash`"),
        ("a", json!({"hash": "00"}), "no `content`"),
    ] {
        let deployment = bench.deploy(path, wanted).await;
        let error = deployment.error.unwrap().to_string();
        assert!(deployment.state == ResourceState::Failed && error.contains(reason), "{path}: {error}");
    }
    bench.handler.within = Some(bench.path("folder"));
    for path in ["a", "/etc/passwd", "folder/../a"] {
        assert!(
            bench.deploy(path, json!({"content": "x"})).await.error.unwrap().message.contains("`within`"),
            "{path}"
        );
    }
    assert_eq!(bench.deploy("folder/a", json!({"content": "x"})).await.change, Change::Created);
}
