//! `host_group_member`: who is in which group.

use crate::providers::host::accounts::{accounts, groups};
use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::Table;

pub(super) struct GroupMember {
    group_name: String,
    user_name: String,
    gid: i64,
    is_primary: bool,
}

pub(super) fn table() -> Table<GroupMember> {
    let identity = |member: &GroupMember| format!("{}/{}", member.group_name, member.user_name);
    let description = "The members of each local group, those by primary group too.";
    Table::new("host_group_member", description, &["group_name", "user_name"], identity, collect)
        .column("group_name", "The group.", |member| &member.group_name)
        .column("user_name", "The member, as /etc/group or /etc/passwd names it.", |member| &member.user_name)
        .column("gid", "The number of the group.", |member| &member.gid)
        .column("is_primary", "Whether it is the primary group of the member.", |member| &member.is_primary)
}

fn collect(root: &HostRoot) -> Result<Vec<GroupMember>, Unread> {
    let groups = groups(root)?;
    let mut members = Vec::new();
    for account in accounts(root).unwrap_or_default() {
        if let Some(group) = groups.iter().find(|group| group.gid == account.gid) {
            let group_name = group.name.clone();
            members.push(GroupMember { group_name, user_name: account.name, gid: group.gid, is_primary: true });
        }
    }
    for group in groups {
        for user_name in group.members {
            let group_name = group.name.clone();
            members.push(GroupMember { group_name, user_name, gid: group.gid, is_primary: false });
        }
    }
    Ok(members)
}
