//! Users and groups of this machine, by name and number, as `/etc/passwd` and `/etc/group` have them.

use std::path::Path;

use tidegate_pipeline::error::{Error, Result};

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The number of a user.
///
/// # Errors
/// When there is no such user.
pub(super) fn user(name: &str) -> Result<u32> {
    number(Path::new(USERS), "user", name)
}

/// The number of a group.
///
/// # Errors
/// When there is no such group.
pub(super) fn group(name: &str) -> Result<u32> {
    number(Path::new(GROUPS), "group", name)
}

/// The name of a user; its number where it has none.
pub(super) fn user_name(id: u32) -> String {
    name(Path::new(USERS), id)
}

/// The name of a group; its number where it has none.
pub(super) fn group_name(id: u32) -> String {
    name(Path::new(GROUPS), id)
}

fn number(file: &Path, what: &str, name: &str) -> Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = lines(file).into_iter().find(|(known, _)| known == name);
    found.map(|(_, id)| id).ok_or_else(|| {
        Error::user(format!("there is no {what} `{name}` in {}", file.display()))
            .with_remedy("make it first, or name it by its number")
    })
}

fn name(file: &Path, id: u32) -> String {
    lines(file).into_iter().find(|(_, known)| *known == id).map_or_else(|| id.to_string(), |(name, _)| name)
}

/// Names and numbers: the first and third part of each line.
fn lines(file: &Path) -> Vec<(String, u32)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        let mut parts = line.split(':');
        let name = parts.next()?.to_owned();
        Some((name, parts.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}
