//! `host_group`: the local groups.

use crate::providers::host::accounts::groups;
use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::Table;

pub(super) struct Group {
    name: String,
    gid: i64,
    members: String,
    member_count: i64,
}

pub(super) fn table() -> Table<Group> {
    let identity = |group: &Group| group.name.clone();
    Table::new("host_group", "The local groups (/etc/group).", &["name"], identity, collect)
        .column("name", "The name of the group.", |group| &group.name)
        .column("gid", "Its number.", |group| &group.gid)
        .column("members", "The members that /etc/group lists, sorted, with commas between them.", |group| {
            &group.members
        })
        .column("member_count", "How many members /etc/group lists.", |group| &group.member_count)
}

fn collect(root: &HostRoot) -> Result<Vec<Group>, Unread> {
    let row = |mut group: crate::providers::host::accounts::Group| {
        group.members.sort();
        group.members.dedup();
        Group {
            name: group.name,
            gid: group.gid,
            member_count: i64::try_from(group.members.len()).unwrap_or(i64::MAX),
            members: group.members.join(","),
        }
    };
    Ok(groups(root)?.into_iter().map(row).collect())
}
