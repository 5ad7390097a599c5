//! `query` over the past: tables as they were, two moments in one query, the history of a row.

use std::time::Duration;

use crate::program::{Done, Folder};

const PIPELINE: &str = "version: 1\nname: p\nsources: {inventory: {host: {root: root, tables: [host_user, host_group]}}}\nsinks: {s: {from: inventory, drop: {}}}\n";
const NAMES: &str = "select name, shell from host_user order by name";

/// A machine and a pipeline over it.
fn machine() -> Folder {
    Folder::with(&[
        ("root/etc/machine-id", "c0de\n"),
        ("root/etc/group", "root:x:0:\n"),
        ("root/etc/passwd", ""),
        ("p.yaml", PIPELINE),
    ])
}

/// Runs once over these accounts: name and shell.
fn collect(folder: &Folder, accounts: &[(&str, &str)]) {
    let line = |(name, shell): &(&str, &str)| format!("{name}:x:1:1::/home:{shell}\n");
    folder.write("root/etc/passwd", accounts.iter().map(line).collect::<String>());
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    // The next run is of another millisecond.
    std::thread::sleep(Duration::from_millis(5));
}

/// Three runs: ann and bob; ann gets another shell; bob goes and carl comes.
fn three_runs() -> Folder {
    let folder = machine();
    collect(&folder, &[("ann", "/bin/sh"), ("bob", "/bin/sh")]);
    collect(&folder, &[("ann", "/bin/zsh"), ("bob", "/bin/sh")]);
    collect(&folder, &[("ann", "/bin/zsh"), ("carl", "/bin/sh")]);
    folder
}

fn query(folder: &Folder, arguments: &[&str]) -> Done {
    folder.run(&[&["query", "p.yaml", "--format", "jsonl"], arguments].concat())
}

/// What a query gives, a word for each row: name and shell.
fn accounts(folder: &Folder, arguments: &[&str]) -> Vec<String> {
    let rows = query(folder, &[&[NAMES], arguments].concat()).code(0).json_lines();
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| format!("{}:{}", text(row, "name"), text(row, "shell"))).collect()
}

#[test]
fn tables_are_asked_as_a_checkpoint_has_them() {
    let folder = three_runs();
    assert_eq!(accounts(&folder, &["--at", "1"]), ["ann:/bin/sh", "bob:/bin/sh"]);
    assert_eq!(accounts(&folder, &["--at", "2"]), ["ann:/bin/zsh", "bob:/bin/sh"]);
    assert_eq!(accounts(&folder, &["--at", "3"]), accounts(&folder, &[]));
    query(&folder, &[NAMES, "--at", "7"]).code(3).said(&["no checkpoint 7", "1, 2, 3"]);
    query(&folder, &[NAMES, "--at", "yesterdy"]).code(3).said(&["names no moment", "2h ago"]);
}

#[test]
fn a_moment_between_checkpoints_is_exact_as_far_as_the_journal_reaches() {
    let folder = machine();
    collect(&folder, &[("ann", "/bin/sh")]);
    // Killed before its checkpoint: what it has seen is in the journal alone.
    folder.write("root/etc/passwd", "ann:x:1:1::/home:/bin/zsh\n");
    folder.dies_at("manifest.write", &["run", "p.yaml", "--once"]);
    assert_eq!(accounts(&folder, &[]), ["ann:/bin/sh"], "the newest checkpoint knows nothing of it");
    assert_eq!(accounts(&folder, &["--at", "now"]), ["ann:/bin/zsh"]);

    let sql = "select _step, cast(_time as text) as time, _op from history('host_user') order by _step";
    let changes = query(&folder, &[sql]).code(0).json_lines();
    assert_eq!(
        changes.iter().map(|row| row["_op"].as_str().unwrap_or_default()).collect::<Vec<_>>(),
        ["insert", "update"]
    );
    let (step, time) = (&changes[1]["_step"], changes[1]["time"].as_str().expect("a time"));
    assert_eq!(accounts(&folder, &["--at", time]), ["ann:/bin/zsh"], "{time}");
    let before = time.parse::<jiff::civil::DateTime>().expect("a time") - jiff::SignedDuration::from_millis(1);
    assert_eq!(accounts(&folder, &["--at", &before.to_string()]), ["ann:/bin/sh"], "{before}");
    let step = step.as_u64().expect("a step");
    assert_eq!(accounts(&folder, &["--at", &format!("step:{step}")]), ["ann:/bin/zsh"]);
    assert_eq!(accounts(&folder, &["--at", &format!("step:{}", step - 1)]), ["ann:/bin/sh"]);
    query(&folder, &[NAMES, "--at", "step:9999"]).code(3).said(&["step 9999 has not been made yet"]);
    assert_eq!(accounts(&folder, &["--at", "100 years ago"]), [] as [&str; 0], "before it began there was nothing");
}

#[test]
fn where_the_journal_does_not_reach_the_checkpoint_before_answers_and_says_so() {
    let folder = three_runs();
    let list = folder.run(&["checkpoint", "list", "p.yaml", "--format", "json"]).code(0).json();
    let second = list[1]["time"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    let journal: Vec<_> = std::fs::read_dir(folder.path().join(".tidegate/p/journal"))
        .expect("a journal")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .collect();
    assert_eq!(journal.len(), 1);
    let later = journal[0].with_file_name("00000000000000009999.journal");
    std::fs::rename(&journal[0], later).expect("renamed");
    let between = (second + jiff::SignedDuration::from_millis(1)).to_string();
    let done = query(&folder, &[NAMES, "--at", &between]).code(0).said(&["note: the journal does not reach back to"]);
    assert_eq!(done.json_lines()[0]["shell"], "/bin/zsh");
    query(&folder, &[NAMES, "--at", "2020-01-01"]).code(3).said(&["nothing is kept of 2020-01-01", "oldest moment"]);
}

#[test]
fn two_moments_meet_in_one_query() {
    let folder = three_runs();
    let sql = "select coalesce(old.name, new.name) as name, old.shell as before, new.shell as after
        from at('host_user', '1') old full join host_user new using (account_id, region, name)
        where old.shell is distinct from new.shell order by 1";
    let rows = query(&folder, &[sql]).code(0).json_lines();
    let told: Vec<String> =
        rows.iter().map(|row| format!("{} {} {}", row["name"], row["before"], row["after"])).collect();
    assert_eq!(told, [r#""ann" "/bin/sh" "/bin/zsh""#, r#""bob" "/bin/sh" null"#, r#""carl" null "/bin/sh""#]);
    let count = "select count(*) as n from at('host_user', 2) a join at('host_group', 2) b on true";
    assert_eq!(query(&folder, &[count]).code(0).json_lines()[0]["n"], 2);
}

#[test]
fn functions_say_how_they_are_called_and_which_tables_there_are() {
    let folder = three_runs();
    query(&folder, &["select * from at('host_user')"]).code(3).said(&["at('host_user', '2h ago')"]);
    query(&folder, &["select * from at('host_usr', '1')"]).code(3).said(&["did you mean `host_user`?"]);
    query(&folder, &["select * from history(7, 8)"]).code(3).said(&["history('host_user')"]);
    query(&folder, &["select * from history('users')"]).code(3).said(&["no table `users`", "host_group, host_user"]);
    query(&folder, &["select * from host_users"])
        .code(3)
        .said(&["there is no table `host_users` (known: host_group, host_user)", "did you mean `host_user`?"]);
    query(&folder, &["with x as (select 1 as n) select n from x"]).code(0).printed(&["{\"n\":1}"]);
}

#[test]
fn the_history_of_a_table_is_asked_in_sql() {
    let folder = three_runs();
    let sql = "select _op, name, shell from history('host_user') where name = 'ann' order by _step";
    let rows = query(&folder, &[sql]).code(0).stdout;
    let expected = "{\"_op\":\"insert\",\"name\":\"ann\",\"shell\":\"/bin/sh\"}\n{\"_op\":\"update\",\"name\":\"ann\",\"shell\":\"/bin/zsh\"}\n";
    assert_eq!(rows, expected);
    let gone = "select name from history('host_user') where _op = 'delete'";
    assert_eq!(query(&folder, &[gone]).code(0).stdout, "{\"name\":\"bob\"}\n");
}

#[test]
fn the_history_of_a_row_says_what_changed_from_what_to_what() {
    let folder = three_runs();
    let history = |conditions: &[&str]| query(&folder, &[&["--history", "host_user"], conditions].concat()).code(0);
    let events = history(&["name=ann"]).json_lines();
    assert_eq!(events.iter().map(|event| event["op"].clone()).collect::<Vec<_>>(), ["insert", "update"]);
    assert!(events[0]["step"].as_u64() < events[1]["step"].as_u64() && events[0]["time"].is_string());
    assert_eq!(events[1]["changes"], serde_json::json!({"shell": {"old": "/bin/sh", "new": "/bin/zsh"}}));
    // A row is told whole although it met the condition only at first.
    assert_eq!(history(&["shell=/bin/sh", "name=ann"]).json_lines(), events);
    assert_eq!(history(&["name=bob"]).json_lines()[1]["op"], "delete");
    assert_eq!(history(&[]).json_lines().len(), 5);
    let text = folder.run(&["query", "p.yaml", "--history", "host_user", "name=ann"]).code(0);
    text.printed(&["update", "host:c0de:host_user/ann", "shell: /bin/sh → /bin/zsh"]);
    folder.run(&["query", "p.yaml", "--history", "host_user", "name=zed"]).code(0).printed(&["no changes"]);
    query(&folder, &["--history", "host_user", "nme=ann"]).code(3).said(&["nme", "did you mean `name`?"]);
    query(&folder, &["--history", "host_user", "ann"]).code(3).said(&["COLUMN=VALUE"]);
    query(&folder, &["--history", "host_usr"]).code(3).said(&["did you mean `host_user`?"]);
}
