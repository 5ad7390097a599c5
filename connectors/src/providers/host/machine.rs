//! Which machine this is.

use tidegate_pipeline::error::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::root::HostRoot;

/// The identity of the machine: its machine id, or `host-` and a hash of its host name where it has none.
///
/// # Errors
/// When the machine has neither.
pub(super) fn id(root: &HostRoot) -> Result<String> {
    let recorded = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    // systemd writes `uninitialized` into images that have not been booted yet.
    let written = recorded.iter().filter_map(|path| root.line(path)).find(|id| id != "uninitialized");
    if let Some(id) = written {
        return Ok(id);
    }
    let name = host_name(root).ok_or_else(|| {
        Error::external("this machine has neither a machine id nor a host name")
            .with_remedy("write a machine id with `systemd-machine-id-setup`, or a name into /etc/hostname")
    })?;
    Ok(format!("host-{:016x}", xxh3_64(name.as_bytes())))
}

/// The host name: as the kernel has it, else as configured.
pub(super) fn host_name(root: &HostRoot) -> Option<String> {
    root.line("/proc/sys/kernel/hostname").or_else(|| root.line("/etc/hostname"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> Result<String> {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        id(&HostRoot::new(directory.path().to_owned()))
    }

    #[test]
    fn the_recorded_id_comes_first_then_that_of_dbus_then_the_name() {
        let dbus = ("var/lib/dbus/machine-id", "beef\n");
        assert_eq!(machine(&[("etc/machine-id", "c0de\n"), dbus]).unwrap(), "c0de");
        assert_eq!(machine(&[("etc/machine-id", "uninitialized\n"), dbus]).unwrap(), "beef");
        let named = machine(&[("etc/hostname", "web-1\n")]).unwrap();
        assert!(named.starts_with("host-") && named.len() == 21, "{named}");
        assert_eq!(named, machine(&[("etc/hostname", "web-1\n")]).unwrap());
        assert!(machine(&[]).is_err());
    }
}
