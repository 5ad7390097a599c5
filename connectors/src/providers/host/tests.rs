use std::collections::HashSet;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use arrow::array::AsArray;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int64Type};
use tempfile::TempDir;
use tidegate_pipeline::testing::provider::collect;

use super::*;

/// A machine whose files are those given.
fn machine(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in [("etc/machine-id", "c0de\n")].iter().chain(files) {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

fn provider(root: &Path) -> HostProvider {
    HostProvider::new(HostOptions { root: Some(root.to_owned()), ..HostOptions::default() }).unwrap()
}

/// How collecting a table ended, and its rows.
async fn collected(provider: &HostProvider, table: &str) -> (ScopeOutcome, RecordBatch) {
    let groups = provider.groups().await.unwrap();
    let group = groups.iter().find(|group| *group.tables == [table.into()]).unwrap();
    let (collected, pages) = collect(provider, group, &Extent::Whole).await;
    assert!(pages.iter().all(|(_, rows)| rows.num_rows() <= 4096));
    let schema = provider.table(table).unwrap().definition().schema;
    let outcome = collected.of(table).clone();
    (outcome, concat_batches(&schema, pages.iter().map(|(_, rows)| rows)).unwrap())
}

async fn rows(root: &Path, table: &str) -> RecordBatch {
    let (outcome, rows) = collected(&provider(root), table).await;
    assert_eq!(outcome, ScopeOutcome::Complete);
    rows
}

fn texts(rows: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = rows.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(|cell| cell.map(str::to_owned)).collect()
}

fn booleans(rows: &RecordBatch, column: &str) -> Vec<Option<bool>> {
    rows.column_by_name(column).unwrap().as_boolean().iter().collect()
}

fn integers(rows: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    rows.column_by_name(column).unwrap().as_primitive::<Int64Type>().iter().collect()
}

/// The cell of `column` in the row with this `arn`.
fn row_of(rows: &RecordBatch, arn: &str) -> usize {
    let arns = texts(rows, "arn");
    arns.iter().position(|found| found.as_deref() == Some(arn)).unwrap_or_else(|| panic!("no {arn} in {arns:?}"))
}

#[test]
fn every_table_declares_its_key_its_columns_and_what_they_are() {
    let definitions = definitions();
    let names: HashSet<_> = definitions.iter().map(|definition| definition.name.clone()).collect();
    assert_eq!(names.len(), definitions.len());
    for definition in definitions {
        let fields: Vec<&str> = definition.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let described: Vec<&str> = definition.columns.iter().map(|(name, _)| *name).collect();
        assert_eq!(fields, described, "{}", definition.name);
        assert_eq!(fields.iter().collect::<HashSet<_>>().len(), fields.len(), "{}", definition.name);
        assert_eq!(fields.get(..3), Some(["account_id", "region", "arn"].as_slice()));
        for field in definition.schema.fields().iter().take(3) {
            assert_eq!((field.data_type(), field.is_nullable()), (&DataType::Utf8, false));
        }
        for key in &definition.key {
            assert!(!definition.schema.field_with_name(key).unwrap().is_nullable(), "{}.{key}", definition.name);
        }
        for (name, sentence) in &definition.columns {
            assert!(sentence.ends_with(['.', '…']), "{}.{name}: {sentence}", definition.name);
        }
    }
}

#[test]
fn a_table_that_does_not_exist_is_refused_with_the_name_that_was_meant() {
    let options = |tables: &[&str]| HostOptions {
        tables: Some(tables.iter().map(|&name| name.to_owned()).collect()),
        ..HostOptions::default()
    };
    let error = HostProvider::new(options(&["host_user", "host_proces"])).err().unwrap();
    assert_eq!(error.to_string(), "`host` has no table `host_proces` (did you mean `host_process`?)");
    assert!(HostProvider::new(options(&[])).is_err());
    let two = HostProvider::new(options(&["host_user", "host_file"])).unwrap();
    assert_eq!(two.tables().iter().map(|table| table.name.to_string()).collect::<Vec<_>>(), ["host_file", "host_user"]);
}

// matrix: host: malformed
#[tokio::test]
async fn accounts_are_read_and_broken_lines_left_out() {
    let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nbob:x:1000:1000::/home/bob:/bin/sh\nbob:x:1:1:::\n\
                  \u{fffd}:x:5:5:::\n";
    let shadow = "root:$y$j9T$x:19000:0:99999:7:::\nbob::19000:0:90:7:::\n";
    let machine = machine(&[("etc/passwd", passwd), ("etc/shadow", shadow)]);
    let users = rows(machine.path(), "host_user").await;
    assert_eq!(users.num_rows(), 3);
    let bob = row_of(&users, "host:c0de:host_user/bob");
    assert_eq!(integers(&users, "uid")[bob], Some(1000));
    assert_eq!(integers(&users, "entries")[bob], Some(2));
    assert_eq!(booleans(&users, "password_empty")[bob], Some(true));
    assert_eq!(integers(&users, "password_max_days")[bob], Some(90));
}

#[tokio::test]
async fn an_unreadable_shadow_leaves_passwords_unknown() {
    let machine = machine(&[("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")]);
    let users = rows(machine.path(), "host_user").await;
    assert_eq!(booleans(&users, "locked"), [None]);
    assert_eq!(booleans(&users, "password_empty"), [None]);
}

// matrix: host: disconnect
#[tokio::test]
async fn what_is_not_there_is_skipped_with_the_reason() {
    let machine = machine(&[]);
    let provider = provider(machine.path());
    provider.verify().await.unwrap();
    for (table, reason) in [
        ("host_user", "there is no /etc/passwd on this machine"),
        ("host_package", "no dpkg or apk database is on this machine"),
        ("host_process", "there is no /proc on this machine"),
        ("host_listening_socket", "there is no /proc/net/tcp on this machine"),
        ("host_kernel_setting", "there is no /proc/sys on this machine"),
        ("host_mount", "there is no /proc/self/mountinfo on this machine"),
        ("host_systemd_unit", "no systemd is on this machine"),
    ] {
        let (outcome, rows) = collected(&provider, table).await;
        assert_eq!((outcome, rows.num_rows()), (ScopeOutcome::Skipped(reason.to_owned()), 0), "{table}");
    }
    assert_eq!(collected(&provider, "host_sshd_setting").await.0, ScopeOutcome::Complete);
    assert_eq!(collected(&provider, "host_system").await.1.num_rows(), 1);
}

#[tokio::test]
async fn a_root_that_is_no_directory_does_not_verify() {
    let machine = machine(&[]);
    let error = provider(&machine.path().join("missing")).verify().await.err().unwrap().error;
    assert!(error.to_string().contains("is not a directory"), "{error}");
}

#[tokio::test]
async fn an_empty_package_database_has_no_packages() {
    let machine = machine(&[("var/lib/dpkg/status", "")]);
    assert_eq!(rows(machine.path(), "host_package").await.num_rows(), 0);
}

#[tokio::test]
async fn permissions_are_told_of_what_is_there_and_absence_of_what_is_not() {
    let passwd =
        "root:x:0:0:root:/root:/bin/bash\nbob:x:1000:1000::/home/bob/:/bin/sh\nd:x:2:2::/nonexistent:/bin/sh\n";
    let machine = machine(&[
        ("etc/passwd", passwd),
        ("home/bob/.ssh/authorized_keys", "key"),
        ("home/left/x", ""),
        ("usr/bin/su", ""),
        ("usr/bin/ls", ""),
        ("etc/sudoers.d/10-bob", ""),
    ]);
    let set = |path: &str, mode: u32| set_permissions(machine.path().join(path), Permissions::from_mode(mode)).unwrap();
    set("home/bob", 0o755);
    set("home/bob/.ssh/authorized_keys", 0o666);
    set("usr/bin/su", 0o4755);
    symlink("/etc/passwd", machine.path().join("etc/motd")).unwrap();
    symlink("usr/bin", machine.path().join("bin")).unwrap();
    let files = rows(machine.path(), "host_file").await;
    let at = |path: &str| row_of(&files, &format!("host:c0de:host_file{path}"));
    let texts_of = |column: &str, path: &str| texts(&files, column)[at(path)].clone();
    assert_eq!(texts_of("mode", "/home/bob").as_deref(), Some("0755"));
    assert_eq!(texts_of("account", "/home/bob").as_deref(), Some("bob"));
    assert_eq!(texts_of("category", "/home/left").as_deref(), Some("home"));
    assert_eq!(booleans(&files, "world_writable")[at("/home/bob/.ssh/authorized_keys")], Some(true));
    assert_eq!(booleans(&files, "present")[at("/etc/shadow")], Some(false));
    assert_eq!(texts_of("mode", "/etc/shadow"), None);
    assert_eq!(booleans(&files, "setuid")[at("/usr/bin/su")], Some(true));
    assert_eq!(texts_of("kind", "/etc/motd").as_deref(), Some("symlink"));
    assert_eq!(integers(&files, "size_bytes")[at("/etc/motd")], Some(i64::try_from(passwd.len()).unwrap()));
    assert_eq!(texts_of("category", "/etc/sudoers.d/10-bob").as_deref(), Some("privilege"));
    let paths: HashSet<_> = texts(&files, "path").into_iter().flatten().collect();
    assert!(!paths.contains("/usr/bin/ls") && !paths.contains("/bin/su") && !paths.contains("/nonexistent"));
}

#[tokio::test]
async fn processes_are_told_from_threads_of_the_kernel_and_from_the_dead() {
    let stat = |name: &str, state: char, flags: u64| {
        format!("1 ({name}) {state} 0 1 1 0 -1 {flags} 0 0 0 0 1 2 3 4 20 0 1 0 200 49909760 4455")
    };
    let status = "Uid:\t0\t0\t0\t0\n";
    let machine = machine(&[
        ("proc/stat", "cpu 1\nbtime 1000\n"),
        ("proc/7/stat", &stat("gone", 'S', 0)),
        ("proc/7/status", status),
        ("proc/7/cmdline", "gone\0--now\0"),
        ("proc/8/stat", &stat("kworker", 'I', 0x0020_0000)),
        ("proc/8/status", status),
        ("proc/9/stat", &stat("zombie", 'Z', 0)),
        ("proc/9/status", status),
        ("proc/10/stat", "10 (half"),
        ("proc/11/stat", &stat("hidden", 'S', 0)),
        ("proc/11/status", ""),
        ("proc/version", "Linux"),
    ]);
    symlink("/usr/bin/gone (deleted)", machine.path().join("proc/7/exe")).unwrap();
    let processes = rows(machine.path(), "host_process").await;
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(texts(&processes, "name"), [named("hidden"), named("gone")]);
    assert_eq!(texts(&processes, "command"), [named(""), named("gone --now")]);
    assert_eq!(texts(&processes, "executable"), [None, named("/usr/bin/gone")]);
    assert_eq!(booleans(&processes, "deleted_executable"), [None, Some(true)]);
    assert_eq!(integers(&processes, "uid"), [None, Some(0)]);
    let per_second = i64::try_from(procfs::ticks_per_second()).unwrap();
    let times = processes.column_by_name("start_time").unwrap();
    let times = times.as_primitive::<arrow::datatypes::TimestampMillisecondType>();
    assert_eq!(times.value(0), 1_000_000 + 200_000 / per_second);
}

#[cfg(target_endian = "little")]
#[tokio::test]
async fn sockets_that_share_an_address_are_one_row_with_the_process_that_holds_it() {
    let line = |inode: u32| format!("0: 00000000:0016 00000000:0000 0A 0:0 00:0 0 0 0 {inode} 1 0 100\n");
    let tcp = format!("header\n{}{}", line(12), line(11));
    let machine = machine(&[("proc/net/tcp", &tcp), ("proc/5/comm", "sshd\n"), ("proc/5/fd/placeholder", "")]);
    symlink("socket:[11]", machine.path().join("proc/5/fd/3")).unwrap();
    let sockets = rows(machine.path(), "host_listening_socket").await;
    assert_eq!(texts(&sockets, "arn"), [Some("host:c0de:host_listening_socket/tcp/0.0.0.0/22".to_owned())]);
    assert_eq!(integers(&sockets, "socket_count"), [Some(2)]);
    assert_eq!(integers(&sockets, "pid"), [Some(5)]);
    assert_eq!(texts(&sockets, "process_name"), [Some("sshd".to_owned())]);
    assert_eq!(booleans(&sockets, "is_wildcard"), [Some(true)]);
}

#[tokio::test]
async fn settings_that_change_by_themselves_or_are_secret_are_left_out() {
    let machine = machine(&[
        ("proc/sys/kernel/randomize_va_space", "2\n"),
        ("proc/sys/kernel/random/uuid", "1-2-3\n"),
        ("proc/sys/kernel/printk", "4\t4\t1\t7\n"),
        ("proc/sys/fs/file-nr", "1 0 2\n"),
        ("proc/sys/net/ipv4/tcp_fastopen_key", "secret\n"),
        ("proc/sys/net/ipv4/ip_forward", "0\n"),
        ("proc/sys/vm/drop_caches", "0\n"),
    ]);
    let settings = rows(machine.path(), "host_kernel_setting").await;
    let names: Vec<String> = texts(&settings, "name").into_iter().flatten().collect();
    assert_eq!(names, ["kernel.printk", "kernel.randomize_va_space", "net.ipv4.ip_forward"]);
    assert_eq!(texts(&settings, "value")[0].as_deref(), Some("4 4 1 7"));
}

#[tokio::test]
async fn the_upper_of_two_mounts_at_one_place_counts() {
    let mounts = "1 0 0:1 / /tmp rw - ext4 /dev/a rw\n2 1 0:2 / /tmp rw,nosuid - tmpfs tmpfs rw\ncut short\n";
    let machine = machine(&[("proc/self/mountinfo", mounts)]);
    let mounts = rows(machine.path(), "host_mount").await;
    assert_eq!(texts(&mounts, "arn"), [Some("host:c0de:host_mount/tmp".to_owned())]);
    assert_eq!(booleans(&mounts, "nosuid"), [Some(true)]);
}

#[tokio::test]
async fn units_are_enabled_by_links_masked_by_dev_null_and_static_without_install() {
    let machine = machine(&[
        ("usr/lib/systemd/system/ssh.service", "[Unit]\nDescription=SSH\n[Service]\nExecStart=/sshd\n[Install]\n"),
        ("usr/lib/systemd/system/getty@.service", "[Service]\nUser=tty\n[Install]\n"),
        ("usr/lib/systemd/system/plain.timer", "[Timer]\n"),
        ("usr/lib/systemd/system/off.socket", "[Socket]\n[Install]\n"),
        ("usr/lib/systemd/system/ssh.service.d/x.conf", ""),
        ("etc/systemd/system/multi-user.target.wants/.keep", ""),
    ]);
    let link =
        |target: &str, path: &str| symlink(target, machine.path().join("etc/systemd/system").join(path)).unwrap();
    link("/usr/lib/systemd/system/ssh.service", "multi-user.target.wants/ssh.service");
    link("/usr/lib/systemd/system/getty@.service", "multi-user.target.wants/getty@tty1.service");
    link("/usr/lib/systemd/system/ssh.service", "sshd.service");
    link("/dev/null", "telnet.service");
    let units = rows(machine.path(), "host_systemd_unit").await;
    let states: Vec<(String, String)> =
        texts(&units, "name").into_iter().flatten().zip(texts(&units, "enabled_state").into_iter().flatten()).collect();
    let expected = [
        ("getty@.service", "disabled"),
        ("getty@tty1.service", "enabled"),
        ("off.socket", "disabled"),
        ("plain.timer", "static"),
        ("ssh.service", "enabled"),
        ("sshd.service", "alias"),
        ("telnet.service", "masked"),
    ];
    assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state.to_owned())));
}

#[cfg(target_os = "linux")]
// matrix: host: happy
#[tokio::test]
async fn this_machine_is_collected_and_collecting_it_again_changes_nothing() {
    let provider = HostProvider::new(HostOptions::default()).unwrap();
    provider.verify().await.unwrap();
    let (outcome, processes) = collected(&provider, "host_process").await;
    assert_eq!(outcome, ScopeOutcome::Complete);
    let own = i64::from(std::process::id());
    assert!(integers(&processes, "pid").contains(&Some(own)));
    for table in ["host_group", "host_group_member", "host_kernel_setting", "host_package", "host_system", "host_user"]
    {
        let first = collected(&provider, table).await;
        assert!(!matches!(first.0, ScopeOutcome::Failed(_)), "{table}: {:?}", first.0);
        assert_eq!(first, collected(&provider, table).await, "{table}");
    }
}
