//! `host_system`: the machine itself.

use std::collections::HashMap;

use crate::providers::host::machine::host_name;
use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::{Moment, Table};

/// Where UEFI tells whether it verified what it booted.
const SECURE_BOOT: &str = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// What the firmware of a virtual machine calls itself, and what runs it.
const HYPERVISORS: [(&str, &str); 9] = [
    ("amazon ec2", "aws"),
    ("google", "gcp"),
    ("microsoft corporation", "hyperv"),
    ("vmware", "vmware"),
    ("innotek", "virtualbox"),
    ("virtualbox", "virtualbox"),
    ("xen", "xen"),
    ("qemu", "kvm"),
    ("kvm", "kvm"),
];

pub(super) struct System {
    hostname: Option<String>,
    os_id: Option<String>,
    os_name: Option<String>,
    os_version: Option<String>,
    kernel_release: Option<String>,
    architecture: String,
    cpu_count: Option<i64>,
    memory_total_bytes: Option<i64>,
    boot_time: Option<Moment>,
    virtualization: Option<String>,
    container: Option<String>,
    secure_boot: Option<bool>,
    time_zone: Option<String>,
}

pub(super) fn table() -> Table<System> {
    let identity = |_: &System| "machine".to_owned();
    Table::new("host_system", "The machine itself: one row.", &["account_id"], identity, collect)
        .column("hostname", "The name of the machine.", |system| &system.hostname)
        .column("os_id", "The operating system, for programs: debian, rhel, alpine, …", |system| &system.os_id)
        .column("os_name", "The operating system, for people.", |system| &system.os_name)
        .column("os_version", "Its version.", |system| &system.os_version)
        .column("kernel_release", "The release of the running kernel.", |system| &system.kernel_release)
        .column("architecture", "The architecture: x86_64, aarch64, …", |system| &system.architecture)
        .column("cpu_count", "How many processors are online.", |system| &system.cpu_count)
        .column("memory_total_bytes", "The memory that the kernel manages, in bytes.", |system| {
            &system.memory_total_bytes
        })
        .column("boot_time", "When the machine was booted.", |system| &system.boot_time)
        .column(
            "virtualization",
            "What runs the virtual machine: kvm, vmware, …; vm where unknown; NULL on bare metal.",
            |system| &system.virtualization,
        )
        .column(
            "container",
            "What runs the container that this is read from: docker, podman, …; NULL outside.",
            |system| &system.container,
        )
        .column(
            "secure_boot",
            "Whether UEFI verified what it booted; NULL without UEFI or where unreadable.",
            |system| &system.secure_boot,
        )
        .column("time_zone", "The time zone, such as Europe/Paris.", |system| &system.time_zone)
}

fn collect(root: &HostRoot) -> Result<Vec<System>, Unread> {
    let release = release(root);
    let of_release = |name: &str| release.get(name).cloned();
    Ok(vec![System {
        hostname: host_name(root),
        os_id: of_release("ID"),
        os_name: of_release("NAME"),
        os_version: of_release("VERSION_ID"),
        kernel_release: root.line("/proc/sys/kernel/osrelease"),
        architecture: root.line("/proc/sys/kernel/arch").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cpu_count: root.line("/sys/devices/system/cpu/online").as_deref().and_then(count_of_ranges),
        memory_total_bytes: memory(root),
        boot_time: boot_seconds(root).and_then(|seconds| seconds.checked_mul(1000)).map(Moment),
        virtualization: virtualization(root),
        container: container(root),
        secure_boot: root.bytes(SECURE_BOOT).ok().and_then(|bytes| bytes.get(4).map(|&state| state == 1)),
        time_zone: time_zone(root),
    }])
}

/// The moment of booting, in seconds since 1970-01-01T00:00:00Z.
pub(super) fn boot_seconds(root: &HostRoot) -> Option<i64> {
    let text = root.text_if_readable("/proc/stat")?;
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

fn release(root: &HostRoot) -> HashMap<String, String> {
    let paths = ["/etc/os-release", "/usr/lib/os-release"];
    let text = paths.iter().find_map(|path| root.text_if_readable(path)).unwrap_or_default();
    let entry = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
    };
    text.lines().filter_map(entry).collect()
}

/// How many numbers `0-3,8` names.
fn count_of_ranges(text: &str) -> Option<i64> {
    let mut count: i64 = 0;
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (i64, i64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

fn memory(root: &HostRoot) -> Option<i64> {
    let text = root.text_if_readable("/proc/meminfo")?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    kibibytes.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()?.checked_mul(1024)
}

fn virtualization(root: &HostRoot) -> Option<String> {
    let firmware = ["/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name", "/sys/hypervisor/type"];
    for names_itself in firmware.iter().filter_map(|path| root.line(path)) {
        let names_itself = names_itself.to_lowercase();
        if let Some((_, hypervisor)) = HYPERVISORS.iter().find(|(name, _)| names_itself.contains(name)) {
            return Some((*hypervisor).to_owned());
        }
    }
    let processors = root.text_if_readable("/proc/cpuinfo")?;
    let flags = processors.lines().find(|line| line.starts_with("flags"))?;
    flags.split_whitespace().any(|flag| flag == "hypervisor").then(|| "vm".to_owned())
}

fn container(root: &HostRoot) -> Option<String> {
    if let Some(name) = root.line("/run/systemd/container") {
        return Some(name);
    }
    let marks =
        [("/run/secrets/kubernetes.io", "kubernetes"), ("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    marks.iter().find(|(path, _)| root.has(path)).map(|(_, name)| (*name).to_owned())
}

fn time_zone(root: &HostRoot) -> Option<String> {
    root.line("/etc/timezone").or_else(|| {
        let target = root.link("/etc/localtime").ok()?;
        target.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_over_ranges() {
        assert_eq!(count_of_ranges("0-3,8"), Some(5));
        assert_eq!(count_of_ranges("0"), Some(1));
        assert_eq!(count_of_ranges("all"), None);
    }
}
