//! The shell of `query`: formats and commands from stdin; editing, completion and history at a terminal.

use std::process::{Command, Stdio};

use crate::program::{Folder, Running};

fn machine() -> Folder {
    let folder = Folder::with(&[
        ("root/etc/machine-id", "c0de\n"),
        ("root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nbob::7:0::/home/bob:/bin/sh\n"),
        ("root/etc/group", "root:x:0:\n"),
        (
            "p.yaml",
            "version: 1\nname: p\nsources: {inventory: {host: {root: root, tables: [host_user]}}}\nsinks: {s: {from: inventory, drop: {}}}\n",
        ),
    ]);
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    folder
}

#[test]
fn rows_are_printed_as_csv_and_markdown_too() {
    let folder = machine();
    let sql = "select name, uid from host_user order by name";
    let csv = folder.run(&["query", "p.yaml", sql, "--format", "csv"]).code(0).stdout;
    assert_eq!(csv, "name,uid\nbob,7\nroot,0\n");
    let markdown = folder.run(&["query", "p.yaml", sql, "--format", "markdown"]).code(0).stdout;
    assert_eq!(markdown, "| name | uid |\n|---|---|\n| bob | 7 |\n| root | 0 |\n");
    folder.run(&["query", "p.yaml", "--history", "host_user", "--format", "csv"]).code(3).said(&["history('TABLE')"]);
}

#[test]
fn commands_change_how_and_where_results_are_written() {
    let folder = machine();
    folder.write("more.sql", "select name\nfrom host_user order by 1;\n");
    let input = "\\format csv\n\\o out.csv\n\\i more.sql\n\\o\nselect 1 as one; select 2 as two;\n\\format text\n\\x on\nselect 3 as three;\n";
    let done = folder.run_with_input(&["query", "p.yaml"], input).code(0);
    assert_eq!(folder.read("out.csv"), "name\nbob\nroot\n");
    assert_eq!(done.stdout, "one\n1\ntwo\n2\n─ row 1 ─\n three  3\n1 row\n");
    folder
        .run_with_input(&["query", "p.yaml"], "\\df cidr\n")
        .code(0)
        .printed(&["cidr_contains(network text, inner text)"]);
    folder.run_with_input(&["query", "p.yaml"], "\\?\n").code(0).printed(&["\\timing", "\\i FILE"]);
    folder.run_with_input(&["query", "p.yaml"], "\\nope\n").code(3).said(&["no command `\\nope`"]);
    folder.run_with_input(&["query", "p.yaml"], "\\d host_usr\n").code(3).said(&["did you mean `host_user`?"]);
}

#[test]
fn a_query_speaks_the_dialect_of_controls() {
    let folder = machine();
    let query = |sql: &str| folder.run(&["query", "p.yaml", sql, "--format", "csv"]);
    assert_eq!(query("select name from host_user where name like any (array['b%'])").code(0).stdout, "name\nbob\n");
    assert_eq!(query("select '{\"a\": [1]}'::jsonb->'a'->>0 as one").code(0).stdout, "one\n1\n");
    query("select name::inet from host_user").code(3).said(&["no type `inet`", "line 1, column 8", "cidr_contains"]);
    query("select 1 from host_user where (name, uid) in (select name, uid from host_user)").code(3).said(&["exists ("]);
}

#[test]
fn at_a_terminal_lines_are_edited_completed_and_kept() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: there is no `script` to make a terminal with");
        return;
    }
    let folder = machine();
    let program = format!("{} query p.yaml", env!("CARGO_BIN_EXE_tidegate"));
    let mut command = Command::new("script");
    command.current_dir(folder.path()).args(["-qec", &program, "/dev/null"]);
    command.env("XDG_STATE_HOME", folder.file("state")).env_remove("PAGER").env("COLUMNS", "100");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::of(&mut command);
    // The word before is deleted, the name of the table completed.
    running.give("select count(*) * 21 as nn\x17many from host_u\t;\r\\timing off\r\\q\r");
    let done = running.wait().code(0);
    assert!(done.stdout.contains("tidegate> "), "{}", done.stdout);
    assert!(done.stdout.contains("42"), "{}", done.stdout);
    assert!(done.stdout.contains("timing is off"), "{}", done.stdout);
    let kept = folder.read("state/tidegate/query_history");
    assert_eq!(kept, "select count(*) * 21 as many from host_user ;\n\\timing off\n\\q\n");
}
