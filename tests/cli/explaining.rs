//! `explain`: what a control asks, and why it says of a resource what it says.

use crate::program::Folder;

/// A machine with a second account of uid 0, once collected.
fn machine() -> Folder {
    let folder = Folder::with(&[
        ("root/etc/machine-id", "c0de\n"),
        ("root/etc/passwd", "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home:/bin/sh\n"),
        (
            "p.yaml",
            "version: 1\nname: p\nsources: {inventory: {host: {root: root}}}\noperators: {c: {from: inventory, check: {pack: host, controls: [user_*]}}}\nsinks: {s: {from: c, drop: {}}}\n",
        ),
    ]);
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    folder
}

#[test]
fn a_control_is_explained_without_a_pipeline() {
    let folder = Folder::new();
    let explained = folder.run(&["explain", "user_uid_zero_only_root"]).code(0);
    explained.printed(&["host.user_uid_zero_only_root", "Reads", "host_user", "Evaluated", "select"]);
    folder.run(&["explain", "aws.ebs_volume_encrypted", "--format", "json"]).code(0).printed(&[
        "\"over\": \"changed_rows\"",
        "\"aws_ebs_volume\"",
        "\"fsbp ec2.3\"",
    ]);
    folder.run(&["explain", "vpc_flow_logs_enabled"]).code(0).printed(&["over whole tables", "joins, groups"]);
    folder.run(&["explain", "ebs_snapshot_old", "--plan"]).code(0).printed(&["(default)", "TableScan"]);
    folder.run(&["explain", "ebs_volume_encryptd"]).code(3).said(&["did you mean `ebs_volume_encrypted`?"]);
}

#[test]
fn a_finding_is_explained_by_the_values_behind_its_conditions() {
    let folder = machine();
    let why = |resource: &str| folder.run(&["explain", "user_uid_zero_only_root", "p.yaml", "--resource", resource]);
    why("*host_user/toor").code(0).printed(&["alarm", "= toor", "→ 'alarm'", "alarm since "]);
    why("*host_user/root").code(0).printed(&["ok", "→ 'ok'"]);
    why("*host_user/ann").code(0).printed(&["left out", "where uid = 0  false", "uid = 1000"]);
    why("*host_user/bob").code(1).printed(&["no such resource"]);
    let json = folder.run(&["explain", "user_uid_zero_only_root", "p.yaml", "--resource", "*toor", "--format", "json"]);
    json.code(0).printed(&["\"decided\": true", "\"found\": 1"]);
}

#[test]
fn a_finding_of_the_past_is_explained_as_it_was() {
    let folder = machine();
    folder.write("root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    let why = ["explain", "user_uid_zero_only_root", "p.yaml", "--resource", "*toor"];
    folder.run(&why).code(1);
    folder.run(&[&why[..], &["--at", "1"]].concat()).code(0).printed(&["→ 'alarm'"]);
}

#[test]
fn a_resource_needs_the_pipeline_that_collected_it() {
    let folder = Folder::new();
    folder.run(&["explain", "user_uid_zero_only_root", "--resource", "x"]).code(3).said(&["PIPELINE"]);
    let folder = machine();
    folder.run(&["explain", "sshd_root_login", "p.yaml"]).code(3).said(&["that p.yaml evaluates"]);
    folder.run(&["run", "p.yaml", "--fresh", "--once"]).code(0);
    let elsewhere = ["explain", "user_uid_zero_only_root", "p.yaml", "--resource", "*", "--dir", "elsewhere"];
    folder.run(&elsewhere).code(3).said(&["has no checkpoint yet"]);
}
