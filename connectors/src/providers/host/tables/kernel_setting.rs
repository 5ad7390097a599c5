//! `host_kernel_setting`: what `sysctl` shows, as far as it is set by someone and concerns safety.

use std::os::unix::fs::PermissionsExt;

use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::Table;

const SETTINGS: &str = "/proc/sys";

/// Where settings are read: whole directories, and some alone.
const ROOTS: [&str; 9] = [
    "kernel",
    "fs",
    "net/ipv4",
    "net/ipv6/conf/all",
    "net/ipv6/conf/default",
    "net/core/bpf_jit_harden",
    "user/max_user_namespaces",
    "vm/mmap_min_addr",
    "vm/overcommit_memory",
];

/// What changes by itself, counts, or is a secret. A name ends one path, or begins those below a directory.
const LEFT_OUT: [&str; 24] = [
    "fs/aio-nr",
    "fs/binfmt_misc",
    "fs/dentry-negative",
    "fs/dentry-state",
    "fs/file-nr",
    "fs/inode-nr",
    "fs/inode-state",
    "fs/quota",
    "kernel/cad_pid",
    "kernel/hung_task_detect_count",
    "kernel/hung_task_warnings",
    "kernel/msg_next_id",
    "kernel/ns_last_pid",
    "kernel/perf_event_max_sample_rate",
    "kernel/pty/nr",
    "kernel/random/entropy_avail",
    "kernel/random/uuid",
    "kernel/sched_domain",
    "kernel/sem_next_id",
    "kernel/shm_next_id",
    "net/ipv4/route/flush",
    "net/ipv4/tcp_fastopen_key",
    "net/ipv6/conf/all/stable_secret",
    "net/ipv6/conf/default/stable_secret",
];

/// How deep directories are followed; the deepest of the kernel is `net/ipv4/conf/INTERFACE/…`.
const DEPTH: usize = 8;

pub(super) struct KernelSetting {
    name: String,
    value: Option<String>,
}

pub(super) fn table() -> Table<KernelSetting> {
    let identity = |setting: &KernelSetting| setting.name.clone();
    let description = "The settings of the running kernel below kernel, fs, net.ipv4 and net.ipv6.conf.all|default, and \
                       a few others; without counters and keys.";
    Table::new("host_kernel_setting", description, &["name"], identity, collect)
        .column("name", "The name, as sysctl writes it: net.ipv4.ip_forward.", |setting| &setting.name)
        .column("value", "The value, white space between its parts made one space; NULL where unreadable.", |setting| {
            &setting.value
        })
}

fn collect(root: &HostRoot) -> Result<Vec<KernelSetting>, Unread> {
    root.names(SETTINGS)?;
    let mut settings = Vec::new();
    for path in ROOTS {
        walk(root, path, DEPTH, &mut settings);
    }
    Ok(settings)
}

fn walk(root: &HostRoot, path: &str, depth: usize, settings: &mut Vec<KernelSetting>) {
    if LEFT_OUT.contains(&path) || depth == 0 {
        return;
    }
    let place = format!("{SETTINGS}/{path}");
    // What is a link here is left out: it could lead around in a circle.
    let Ok(metadata) = root.metadata_of_link(&place) else { return };
    if metadata.is_dir() {
        for name in root.names_if_readable(&place) {
            walk(root, &format!("{path}/{name}"), depth - 1, settings);
        }
    } else if metadata.is_file() && metadata.permissions().mode() & 0o444 != 0 {
        settings.push(KernelSetting { name: name_of(path), value: value(root, &place) });
    }
}

fn value(root: &HostRoot, place: &str) -> Option<String> {
    let text = root.text_if_readable(place)?;
    Some(text.trim_matches('\0').split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The name of a setting: dots between the parts of its path, and slashes for the dots in them.
fn name_of(path: &str) -> String {
    let exchange = |letter| match letter {
        '/' => '.',
        '.' => '/',
        other => other,
    };
    path.chars().map(exchange).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dot_of_an_interface_is_a_slash_in_the_name() {
        assert_eq!(name_of("net/ipv4/conf/eth0.100/rp_filter"), "net.ipv4.conf.eth0/100.rp_filter");
    }
}
