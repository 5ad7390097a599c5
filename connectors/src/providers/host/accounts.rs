//! `/etc/passwd`, `/etc/group` and `/etc/shadow`.

use std::collections::HashMap;

use super::root::{HostRoot, Unread};

/// The lowest uid of a person where `/etc/login.defs` does not say.
const LOWEST_UID_OF_A_PERSON: i64 = 1000;

/// The uid that stands for users of elsewhere.
const NOBODY: i64 = 65534;

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) password: String,
    pub(super) uid: i64,
    pub(super) gid: i64,
    pub(super) comment: String,
    pub(super) home: String,
    pub(super) shell: String,
}

/// A line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) gid: i64,
    pub(super) members: Vec<String>,
}

/// A line of `/etc/shadow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shadow {
    pub(super) password: String,
    pub(super) last_change_day: Option<i64>,
    pub(super) days_at_most: Option<i64>,
}

/// The accounts, in the order of the file. A line that is none is logged and left out.
pub(super) fn accounts(root: &HostRoot) -> Result<Vec<Account>, Unread> {
    let path = "/etc/passwd";
    Ok(entries(path, &root.text(path)?, account))
}

/// The groups, in the order of the file. A line that is none is logged and left out.
pub(super) fn groups(root: &HostRoot) -> Result<Vec<Group>, Unread> {
    let path = "/etc/group";
    Ok(entries(path, &root.text(path)?, group))
}

/// The passwords by account; nothing where this user may not read them.
pub(super) fn shadows(root: &HostRoot) -> Option<HashMap<String, Shadow>> {
    let path = "/etc/shadow";
    let mut shadows = HashMap::new();
    for (name, shadow) in entries(path, &root.text_if_readable(path)?, shadow) {
        shadows.entry(name).or_insert(shadow);
    }
    Some(shadows)
}

/// Whether accounts with this uid belong to the system rather than to a person; root belongs to it.
pub(super) fn system_uids(root: &HostRoot) -> impl Fn(i64) -> bool + use<> {
    let definitions = root.text_if_readable("/etc/login.defs").unwrap_or_default();
    let lowest = definitions
        .lines()
        .filter_map(|line| line.strip_prefix("UID_MIN"))
        .find_map(|value| value.trim().parse().ok())
        .unwrap_or(LOWEST_UID_OF_A_PERSON);
    move |uid| uid < lowest || uid == NOBODY
}

/// Names of users and groups by number, for files and processes.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: HashMap<i64, String>,
    groups: HashMap<i64, String>,
}

impl Names {
    /// The names that the machine's files give. Numbers without a name there have none.
    pub(super) fn read(root: &HostRoot) -> Self {
        let mut names = Self::default();
        for account in accounts(root).unwrap_or_default() {
            names.users.entry(account.uid).or_insert(account.name);
        }
        for group in groups(root).unwrap_or_default() {
            names.groups.entry(group.gid).or_insert(group.name);
        }
        names
    }

    /// The first account with this uid.
    pub(super) fn user(&self, uid: i64) -> Option<String> {
        self.users.get(&uid).cloned()
    }

    /// The first group with this gid.
    pub(super) fn group(&self, gid: i64) -> Option<String> {
        self.groups.get(&gid).cloned()
    }
}

fn entries<T>(path: &str, text: &str, parse: fn(&str) -> Option<T>) -> Vec<T> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match parse(line) {
            Some(entry) => entries.push(entry),
            None => tracing::warn!(file = path, line = index + 1, "not an entry of this file: the line is left out"),
        }
    }
    entries
}

fn account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let &[name, password, uid, gid, comment, home, shell] = fields.as_slice() else { return None };
    Some(Account {
        name: filled(name)?,
        password: password.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        comment: comment.to_owned(),
        home: home.to_owned(),
        shell: shell.to_owned(),
    })
}

fn group(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').collect();
    let &[name, _password, gid, members] = fields.as_slice() else { return None };
    let members = members.split(',').map(str::trim).filter(|member| !member.is_empty());
    Some(Group { name: filled(name)?, gid: gid.parse().ok()?, members: members.map(str::to_owned).collect() })
}

fn shadow(line: &str) -> Option<(String, Shadow)> {
    let mut fields = line.split(':');
    let name = filled(fields.next()?)?;
    let password = fields.next()?.to_owned();
    let last_change_day = fields.next().and_then(|days| days.parse().ok());
    let days_at_most = fields.nth(1).and_then(|days| days.parse().ok());
    Some((name, Shadow { password, last_change_day, days_at_most }))
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_lines_are_left_out_and_the_others_kept() {
        let text = "root:x:0:0:root:/root:/bin/bash\n\n# a comment\nnobody:x:many:1:a:/:/bin/sh\n:x:1:1:::\nshort:x:1\n\
                    bob:x:1000:1000:Bob, Room 1:/home/bob:\n+::::::\n";
        let names: Vec<String> = entries("passwd", text, account).into_iter().map(|account| account.name).collect();
        assert_eq!(names, ["root", "bob"]);
    }

    #[test]
    fn a_shadow_line_may_end_early() {
        let (name, found) = shadow("bob:!:19000:0:90:7:::").unwrap();
        assert_eq!(name, "bob");
        assert_eq!(found, Shadow { password: "!".into(), last_change_day: Some(19000), days_at_most: Some(90) });
        let (_, short) = shadow("bob:").unwrap();
        assert_eq!(short, Shadow { password: String::new(), last_change_day: None, days_at_most: None });
    }
}
