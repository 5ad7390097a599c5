//! The inventory of a machine that changes while the process that collects it is killed.
//!
//! What a provider collects cannot be read again, so no two runs have the same steps. What must hold is that the
//! changes, taken in order, lead to the machine as it is, none of them twice; and that the findings do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::program::{Folder, Numbers, from_environment};

const PIPELINE: &str = "
version: 1
name: machine
checkpoint: {every: 10ms, keep: 3}
sources: {inventory: {host: {root: machine, tables: [host_user], refresh: 10ms}}}
operators:
  found:
    from: inventory
    check:
      sql: \"SELECT arn AS resource, CASE WHEN uid % 3 = 0 THEN 'alarm' ELSE 'ok' END AS status, 'uid ' || uid AS reason FROM host_user\"
sinks:
  changes: {from: inventory.host_user, file: {path: changes.jsonl}}
  findings: {from: found, file: {path: findings.jsonl}}
";
/// How often the machine changes and the process is killed.
const KILLS: u64 = 8;

/// Gives the machine other accounts: names and numbers.
fn change(folder: &Path, numbers: &mut Numbers) -> BTreeMap<String, i64> {
    let (mut accounts, mut text) = (BTreeMap::new(), String::from("root:x:0:0:root:/root:/bin/bash\n"));
    accounts.insert("root".to_owned(), 0);
    for account in 0..400 {
        if numbers.below(4) > 0 {
            let uid = 1000 + account + 1000 * numbers.below(3) as i64;
            let _ = writeln!(text, "user{account}:x:{uid}:100::/home/user{account}:/bin/sh");
            accounts.insert(format!("user{account}"), uid);
        }
    }
    let new = folder.join("machine/etc/passwd.new");
    std::fs::write(&new, text).expect("accounts can be written");
    std::fs::rename(new, folder.join("machine/etc/passwd")).expect("accounts can be replaced");
    accounts
}

/// The accounts that the changes lead to. Each must change something.
fn folded(changes: &[Value]) -> BTreeMap<String, i64> {
    let mut accounts = BTreeMap::new();
    for change in changes {
        let name = change["name"].as_str().expect("an account has a name").to_owned();
        let uid = change["uid"].as_i64().expect("an account has a number");
        let known = accounts.get(&name).copied();
        match change["_op"].as_str() {
            Some("insert") => assert_eq!(accounts.insert(name, uid), None, "inserted twice: {change}"),
            Some("update") => {
                assert!(known.is_some_and(|known| known != uid), "updated to what it was: {change}");
                accounts.insert(name, uid);
            }
            _ => assert_eq!(accounts.remove(&name), known.or(Some(-1)), "deleted twice: {change}"),
        }
    }
    accounts
}

/// The accounts that are alarms in the end.
fn alarms(findings: &[Value]) -> BTreeSet<String> {
    let mut last = BTreeMap::new();
    for finding in findings {
        let resource = finding["resource"].as_str().unwrap_or_default().to_owned();
        last.insert(resource, finding["status"] == "alarm" && finding["drift"] != "resolved");
    }
    let name = |resource: String| resource.rsplit('/').next().unwrap_or_default().to_owned();
    last.into_iter().filter(|(_, alarm)| *alarm).map(|(resource, _)| name(resource)).collect()
}

#[test]
fn killed_while_a_changing_machine_is_collected_the_changes_lead_to_the_machine_as_it_is() {
    let folder =
        Folder::with(&[("machine/etc/machine-id", "0123456789abcdef0123456789abcdef\n"), ("pipeline.yaml", PIPELINE)]);
    let mut numbers = Numbers(from_environment("TIDEGATE_SEED", 17));
    for _ in 0..from_environment("TIDEGATE_KILLS", KILLS) {
        change(folder.path(), &mut numbers);
        let running = folder.start(&["run", "pipeline.yaml"]);
        std::thread::sleep(Duration::from_millis(100 + numbers.below(400)));
        running.kill().died();
    }
    let accounts = change(folder.path(), &mut numbers);
    folder.run(&["run", "pipeline.yaml", "--once"]).code(0);

    assert_eq!(folded(&folder.rows("changes.jsonl")), accounts);
    let expected = accounts.iter().filter(|(_, uid)| *uid % 3 == 0).map(|(name, _)| name.clone());
    assert_eq!(alarms(&folder.rows("findings.jsonl")), expected.collect());
}
