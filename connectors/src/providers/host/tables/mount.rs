//! `host_mount`: what is mounted where.

use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::Table;

pub(super) struct Mount {
    mount_point: String,
    device: String,
    fstype: String,
    options: String,
    filesystem_options: String,
    read_only: bool,
    nosuid: bool,
    nodev: bool,
    noexec: bool,
}

pub(super) fn table() -> Table<Mount> {
    let identity = |mount: &Mount| mount.mount_point.clone();
    let description = "The mounts that this process sees; where one covers another, the upper one.";
    Table::new("host_mount", description, &["mount_point"], identity, collect)
        .column("mount_point", "Where it is mounted.", |mount| &mount.mount_point)
        .column("device", "What is mounted: a device, a share, or a name that the filesystem chose.", |mount| {
            &mount.device
        })
        .column("fstype", "The type of the filesystem.", |mount| &mount.fstype)
        .column("options", "The options of the mount, with commas between them.", |mount| &mount.options)
        .column("filesystem_options", "The options of the filesystem, shared by all of its mounts.", |mount| {
            &mount.filesystem_options
        })
        .column("read_only", "Whether nothing can be written there.", |mount| &mount.read_only)
        .column("nosuid", "Whether set-user-ID bits have no effect there.", |mount| &mount.nosuid)
        .column("nodev", "Whether device files have no effect there.", |mount| &mount.nodev)
        .column("noexec", "Whether no program there can be executed.", |mount| &mount.noexec)
}

fn collect(root: &HostRoot) -> Result<Vec<Mount>, Unread> {
    let text = root.text("/proc/self/mountinfo")?;
    // The last of those mounted at one place covers the others: it comes first here, and the first row stays.
    Ok(text.lines().rev().filter_map(mount).collect())
}

/// A line: `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS TAGS… - TYPE DEVICE FILESYSTEM_OPTIONS`.
fn mount(line: &str) -> Option<Mount> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ').skip(4);
    let (mount_point, options) = (front.next()?, front.next()?);
    let mut back = back.split(' ');
    let (fstype, device, filesystem_options) = (back.next()?, back.next()?, back.next().unwrap_or_default());
    let has = |wanted: &str| options.split(',').any(|option| option == wanted);
    Some(Mount {
        mount_point: unescape(mount_point),
        device: unescape(device),
        fstype: fstype.to_owned(),
        read_only: has("ro") || filesystem_options.split(',').any(|option| option == "ro"),
        nosuid: has("nosuid"),
        nodev: has("nodev"),
        noexec: has("noexec"),
        options: options.to_owned(),
        filesystem_options: filesystem_options.to_owned(),
    })
}

/// Undoes the kernel's way of writing white space and backslashes: `\040` is a space.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                plain.extend_from_slice(part.get(3..).unwrap_or_default().as_bytes());
            }
            None => {
                plain.push(b'\\');
                plain.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_tags_and_spaces_is_understood() {
        let line = "36 35 98:0 /a /mnt/two\\040words rw,nosuid,noexec shared:1 master:2 - ext4 /dev/sd\\134b ro,errors=continue";
        let mount = mount(line).unwrap();
        assert_eq!(mount.mount_point, "/mnt/two words");
        assert_eq!(mount.device, "/dev/sd\\b");
        assert_eq!((mount.nosuid, mount.nodev, mount.noexec, mount.read_only), (true, false, true, true));
    }

    #[test]
    fn a_line_cut_short_is_no_mount() {
        assert!(mount("36 35 98:0 / /mnt").is_none());
        assert!(mount("36 35 - ext4").is_none());
    }
}
