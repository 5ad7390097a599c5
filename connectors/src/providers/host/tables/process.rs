//! `host_process`: the programs that run.

use crate::providers::host::accounts::Names;
use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::{Moment, Table};

use super::system::boot_seconds;

/// The flag of threads that belong to the kernel.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What the kernel adds to the name of an executable that is gone.
const DELETED: &str = " (deleted)";

pub(super) struct Process {
    pid: i64,
    start_ticks: i64,
    start_time: Option<Moment>,
    name: String,
    user_name: Option<String>,
    uid: Option<i64>,
    effective_uid: Option<i64>,
    command: String,
    executable: Option<String>,
    parent_pid: i64,
    deleted_executable: Option<bool>,
}

pub(super) fn table() -> Table<Process> {
    let identity = |process: &Process| format!("{}/{}", process.pid, process.start_ticks);
    let description = "The processes that this user sees, without threads of the kernel and those that have ended.";
    Table::new("host_process", description, &["pid", "start_ticks"], identity, collect)
        .column("pid", "The number of the process.", |process| &process.pid)
        .column("start_ticks", "When it was started, in clock ticks since the machine was booted.", |process| {
            &process.start_ticks
        })
        .column("start_time", "When it was started.", |process| &process.start_time)
        .column("name", "Its name, cut to 15 bytes by the kernel.", |process| &process.name)
        .column("user_name", "The user that it runs as; NULL where the uid has no local account.", |process| {
            &process.user_name
        })
        .column("uid", "The real uid.", |process| &process.uid)
        .column("effective_uid", "The uid whose rights it has.", |process| &process.effective_uid)
        .column("command", "Its command line, with spaces between the arguments.", |process| &process.command)
        .column("executable", "The path of its program; NULL where this user may not see it.", |process| {
            &process.executable
        })
        .column("parent_pid", "The process that started it; 0 where the kernel did.", |process| &process.parent_pid)
        .column("deleted_executable", "Whether its program is no longer on disk; NULL where unknown.", |process| {
            &process.deleted_executable
        })
}

fn collect(root: &HostRoot) -> Result<Vec<Process>, Unread> {
    let names = Names::read(root);
    let boot = boot_seconds(root);
    let numbers = root.names("/proc")?.into_iter().filter_map(|name| name.parse().ok());
    // A process that ends while it is read is left out.
    Ok(numbers.filter_map(|pid: i64| process(root, pid, boot, &names)).collect())
}

fn process(root: &HostRoot, pid: i64, boot: Option<i64>, names: &Names) -> Option<Process> {
    let stat = Stat::parse(&root.text_if_readable(&format!("/proc/{pid}/stat"))?)?;
    if stat.flags & KERNEL_THREAD != 0 || matches!(stat.state, 'Z' | 'X') {
        return None;
    }
    let (uid, effective_uid) = uids(&root.text_if_readable(&format!("/proc/{pid}/status"))?);
    let (executable, deleted_executable) = executable(root, pid);
    Some(Process {
        pid,
        start_ticks: stat.start_ticks,
        start_time: boot.and_then(|boot| started(boot, stat.start_ticks)).map(Moment),
        name: stat.name,
        user_name: uid.and_then(|uid| names.user(uid)),
        uid,
        effective_uid,
        command: command(root, pid),
        executable,
        parent_pid: stat.parent_pid,
        deleted_executable,
    })
}

/// What is used of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    state: char,
    parent_pid: i64,
    flags: u64,
    start_ticks: i64,
}

impl Stat {
    /// `PID (NAME) STATE PARENT …`; the name may hold parentheses and spaces.
    fn parse(text: &str) -> Option<Self> {
        let (front, fields) = text.rsplit_once(')')?;
        let (_, name) = front.split_once('(')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        Some(Self {
            name: name.to_owned(),
            state: fields.first()?.chars().next()?,
            parent_pid: fields.get(1)?.parse().ok()?,
            flags: fields.get(6)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }
}

fn started(boot_seconds: i64, ticks: i64) -> Option<i64> {
    let per_second = i64::try_from(procfs::ticks_per_second()).ok()?;
    boot_seconds.checked_mul(1000)?.checked_add(ticks.checked_mul(1000)?.checked_div(per_second)?)
}

/// The real and the effective uid that `/proc/PID/status` tells.
fn uids(status: &str) -> (Option<i64>, Option<i64>) {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
    (numbers.next().flatten(), numbers.next().flatten())
}

fn command(root: &HostRoot, pid: i64) -> String {
    let text = root.text_if_readable(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
    text.trim_end_matches('\0').replace('\0', " ")
}

/// The path of the program, and whether it is gone: deleted, replaced, or never on disk.
fn executable(root: &HostRoot, pid: i64) -> (Option<String>, Option<bool>) {
    let Ok(target) = root.link(&format!("/proc/{pid}/exe")) else { return (None, None) };
    match target.strip_suffix(DELETED) {
        // A program may be called so: then it is there.
        Some(path) if !root.has(&target) => (Some(path.to_owned()), Some(true)),
        _ => (Some(target), Some(false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses_and_spaces() {
        let text = "42 (a) b (c)) S 1 42 42 0 -1 4194560 0 0 0 0 1 2 3 4 20 0 1 0 777 49909760 4455";
        let stat = Stat::parse(text).unwrap();
        let expected = Stat { name: "a) b (c)".into(), state: 'S', parent_pid: 1, flags: 4_194_560, start_ticks: 777 };
        assert_eq!(stat, expected);
        assert_eq!(Stat::parse("42 (short) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn real_and_effective_uid_are_told_apart() {
        assert_eq!(uids("Name:\tsudo\nUid:\t1000\t0\t0\t0\n"), (Some(1000), Some(0)));
        assert_eq!(uids("Name:\tx\n"), (None, None));
    }
}
