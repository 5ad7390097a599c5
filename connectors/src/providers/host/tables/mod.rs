//! The tables of the machine, one file each.

mod file;
mod group;
mod group_member;
mod kernel_setting;
mod listening_socket;
mod mount;
mod package;
mod process;
mod sshd_setting;
mod system;
mod systemd_unit;
mod user;

use std::sync::Arc;

use super::table::HostTable;

/// Every table, by name.
pub(super) fn all() -> Vec<Arc<dyn HostTable>> {
    vec![
        Arc::new(file::table()),
        Arc::new(group::table()),
        Arc::new(group_member::table()),
        Arc::new(kernel_setting::table()),
        Arc::new(listening_socket::table()),
        Arc::new(mount::table()),
        Arc::new(package::table()),
        Arc::new(process::table()),
        Arc::new(sshd_setting::table()),
        Arc::new(system::table()),
        Arc::new(systemd_unit::table()),
        Arc::new(user::table()),
    ]
}
