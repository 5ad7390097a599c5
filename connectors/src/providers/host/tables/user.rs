//! `host_user`: the local accounts.

use std::collections::HashMap;

use crate::providers::host::accounts::{Account, Shadow, accounts, shadows, system_uids};
use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::{Moment, Table};

const MILLISECONDS_OF_A_DAY: i64 = 86_400_000;

pub(super) struct User {
    account: Account,
    is_system: bool,
    entries: i64,
    password: Password,
}

/// What is known of a password. Everything is unknown where `/etc/shadow` is needed and may not be read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Password {
    has: Option<bool>,
    empty: Option<bool>,
    locked: Option<bool>,
    algorithm: Option<String>,
    last_change: Option<Moment>,
    days_at_most: Option<i64>,
}

pub(super) fn table() -> Table<User> {
    let identity = |user: &User| user.account.name.clone();
    Table::new("host_user", "The local accounts (/etc/passwd, /etc/shadow).", &["name"], identity, collect)
        .column("name", "The login name.", |user| &user.account.name)
        .column("uid", "The number of the account.", |user| &user.account.uid)
        .column("gid", "The number of its primary group.", |user| &user.account.gid)
        .column("home", "Its home directory.", |user| &user.account.home)
        .column("shell", "Its login shell; empty means /bin/sh.", |user| &user.account.shell)
        .column("gecos", "The comment, usually the full name.", |user| &user.account.comment)
        .column("is_system", "Whether the uid is below UID_MIN (/etc/login.defs, else 1000), or 65534.", |user| {
            &user.is_system
        })
        .column("entries", "How many lines of /etc/passwd have this name; the row is the first.", |user| &user.entries)
        .column(
            "has_password",
            "Whether a password is set, locked or not; NULL where /etc/shadow is unreadable.",
            |user| &user.password.has,
        )
        .column("password_empty", "Whether it can log in without a password; NULL where unreadable.", |user| {
            &user.password.empty
        })
        .column("locked", "Whether no password can be used to log in; NULL where unreadable.", |user| {
            &user.password.locked
        })
        .column("password_algorithm", "How the password is hashed: yescrypt, sha512, md5, …", |user| {
            &user.password.algorithm
        })
        .column("password_last_change", "The day the password was changed; NULL where unknown.", |user| {
            &user.password.last_change
        })
        .column("password_max_days", "After how many days it must be changed; NULL where unknown.", |user| {
            &user.password.days_at_most
        })
}

fn collect(root: &HostRoot) -> Result<Vec<User>, Unread> {
    let accounts = accounts(root)?;
    let shadows = shadows(root);
    let is_system = system_uids(root);
    let mut entries: HashMap<String, i64> = HashMap::new();
    for account in &accounts {
        *entries.entry(account.name.clone()).or_default() += 1;
    }
    let user = |account: Account| User {
        is_system: is_system(account.uid),
        entries: entries.get(&account.name).copied().unwrap_or(1),
        password: password(&account, shadows.as_ref()),
        account,
    };
    Ok(accounts.into_iter().map(user).collect())
}

/// What the files say of the password of an account. `/etc/passwd` holds it itself unless it says `x`.
fn password(account: &Account, shadows: Option<&HashMap<String, Shadow>>) -> Password {
    let elsewhere = account.password == "x";
    let shadow = shadows.map(|shadows| shadows.get(&account.name));
    let (field, shadow) = match (elsewhere, shadow) {
        (false, shadow) => (account.password.as_str(), shadow.flatten()),
        (true, None) => return Password::default(),
        // An account that should have a line in /etc/shadow and has none cannot use a password.
        (true, Some(None)) => ("*", None),
        (true, Some(Some(shadow))) => (shadow.password.as_str(), Some(shadow)),
    };
    let hash = field.trim_start_matches('!');
    let has = !hash.is_empty() && !hash.starts_with('*');
    Password {
        has: Some(has),
        empty: Some(field.is_empty()),
        locked: Some(field.starts_with('!') || (!field.is_empty() && !has)),
        algorithm: has.then(|| algorithm(hash).to_owned()),
        last_change: shadow.and_then(|shadow| shadow.last_change_day?.checked_mul(MILLISECONDS_OF_A_DAY)).map(Moment),
        days_at_most: shadow.and_then(|shadow| shadow.days_at_most),
    }
}

fn algorithm(hash: &str) -> &'static str {
    match hash.strip_prefix('$').and_then(|rest| rest.split('$').next()) {
        Some("1") => "md5",
        Some("2" | "2a" | "2b" | "2x" | "2y") => "bcrypt",
        Some("5") => "sha256",
        Some("6") => "sha512",
        Some("7") => "scrypt",
        Some("y") => "yescrypt",
        Some("gy") => "gost-yescrypt",
        Some(_) => "other",
        None => "des",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(passwd: &str, shadow: Option<&str>) -> Password {
        let account = Account {
            name: "bob".into(),
            password: passwd.into(),
            uid: 1000,
            gid: 1000,
            comment: String::new(),
            home: "/home/bob".into(),
            shell: "/bin/sh".into(),
        };
        let line = |field: &str| Shadow { password: field.into(), last_change_day: Some(1), days_at_most: None };
        let shadows = shadow.map(|field| HashMap::from([("bob".to_owned(), line(field))]));
        password(&account, shadows.as_ref())
    }

    fn verdict(password: &Password) -> (Option<bool>, Option<bool>, Option<bool>) {
        (password.has, password.empty, password.locked)
    }

    #[test]
    fn each_way_of_writing_a_password_means_what_login_takes_it_for() {
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(verdict(&of("x", Some("$y$j9T$abc"))), (yes, no, no));
        assert_eq!(verdict(&of("x", Some("!$6$abc"))), (yes, no, yes));
        assert_eq!(verdict(&of("x", Some("!"))), (no, no, yes));
        assert_eq!(verdict(&of("x", Some("!*"))), (no, no, yes));
        assert_eq!(verdict(&of("x", Some("*"))), (no, no, yes));
        assert_eq!(verdict(&of("x", Some(""))), (no, yes, no));
        assert_eq!(verdict(&of("", None)), (no, yes, no));
        assert_eq!(of("$1$salt$hash", None).algorithm.as_deref(), Some("md5"));
        assert_eq!(of("x", Some("!$6$abc")).last_change, Some(Moment(86_400_000)));
    }

    #[test]
    fn an_unreadable_shadow_leaves_everything_unknown() {
        assert_eq!(of("x", None), Password::default());
    }
}
