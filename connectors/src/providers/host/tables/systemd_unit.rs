//! `host_systemd_unit`: the units that systemd can load, read from its directories.

use std::collections::{BTreeMap, HashSet};

use crate::providers::host::glob;
use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::Table;

/// Where units lie; a unit in an earlier directory hides one of the same name in a later one.
const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

const KINDS: [&str; 11] =
    ["automount", "device", "mount", "path", "scope", "service", "slice", "socket", "swap", "target", "timer"];

pub(super) struct SystemdUnit {
    name: String,
    kind: String,
    load_path: String,
    enabled_state: String,
    description: Option<String>,
    exec_start: Option<String>,
    run_as: Option<String>,
}

pub(super) fn table() -> Table<SystemdUnit> {
    let identity = |unit: &SystemdUnit| unit.name.clone();
    let description =
        "The units that systemd can load, from its directories; drop-in files and generated units are not read.";
    Table::new("host_systemd_unit", description, &["name"], identity, collect)
        .column("name", "The name, such as ssh.service.", |unit| &unit.name)
        .column("kind", "The last part of its name: service, socket, timer, …", |unit| &unit.kind)
        .column("load_path", "The file that it is loaded from.", |unit| &unit.load_path)
        .column(
            "enabled_state",
            "enabled, enabled-runtime, disabled, static (cannot be enabled), masked or alias.",
            |unit| &unit.enabled_state,
        )
        .column("description", "Its Description=.", |unit| &unit.description)
        .column("exec_start", "The first ExecStart= of a service.", |unit| &unit.exec_start)
        .column("run_as", "The User= of a service; NULL means root.", |unit| &unit.run_as)
}

fn collect(root: &HostRoot) -> Result<Vec<SystemdUnit>, Unread> {
    let files = files(root);
    if files.is_empty() {
        return Err(Unread::Skipped("no systemd is on this machine".to_owned()));
    }
    let lasting = wanted(root, "/etc/systemd/system");
    let until_boot = wanted(root, "/run/systemd/system");
    let mut units: Vec<SystemdUnit> = Vec::new();
    for (name, path) in &files {
        let enabled = match name {
            _ if lasting.contains(name) => Some("enabled"),
            _ if until_boot.contains(name) => Some("enabled-runtime"),
            _ => None,
        };
        units.push(unit(root, name, path, enabled));
    }
    units.extend(instances(root, &files, &lasting));
    Ok(units)
}

/// The unit files by name, each from the first directory that has it.
fn files(root: &HostRoot) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for directory in DIRECTORIES {
        for name in root.names_if_readable(directory) {
            let path = format!("{directory}/{name}");
            let is_file = root.metadata_of_link(&path).is_ok_and(|found| !found.is_dir());
            if is_file && kind(&name).is_some() {
                files.entry(name).or_insert(path);
            }
        }
    }
    files
}

fn kind(name: &str) -> Option<&str> {
    let (_, kind) = name.rsplit_once('.')?;
    KINDS.contains(&kind).then_some(kind)
}

/// The units that others want or require because someone enabled them.
fn wanted(root: &HostRoot, directory: &str) -> HashSet<String> {
    let patterns = [format!("{directory}/*.wants/*"), format!("{directory}/*.requires/*")];
    let paths = patterns.iter().flat_map(|pattern| glob::paths(root, pattern));
    paths.filter_map(|path| path.rsplit_once('/').map(|(_, name)| name.to_owned())).collect()
}

/// The enabled instances of templates, such as `getty@tty1.service` of `getty@.service`.
fn instances(root: &HostRoot, files: &BTreeMap<String, String>, wanted: &HashSet<String>) -> Vec<SystemdUnit> {
    let instance = |name: &String| {
        let (template, rest) = name.split_once('@')?;
        let path = files.get(&format!("{template}@.{}", kind(rest)?))?;
        (!files.contains_key(name)).then(|| unit(root, name, path, Some("enabled")))
    };
    wanted.iter().filter_map(instance).collect()
}

fn unit(root: &HostRoot, name: &str, path: &str, enabled: Option<&str>) -> SystemdUnit {
    let text = root.text_if_readable(path).unwrap_or_default();
    let state = state(root, name, path, &text, enabled);
    SystemdUnit {
        name: name.to_owned(),
        kind: kind(name).unwrap_or_default().to_owned(),
        load_path: path.to_owned(),
        enabled_state: state.to_owned(),
        description: value(&text, "Description"),
        exec_start: value(&text, "ExecStart"),
        run_as: value(&text, "User"),
    }
}

fn state<'a>(root: &HostRoot, name: &str, path: &str, text: &str, enabled: Option<&'a str>) -> &'a str {
    let target = root.link(path).ok();
    let leads_to = |wanted: &str| target.as_deref().is_some_and(|target| target.ends_with(wanted));
    if leads_to("/dev/null") || text.trim().is_empty() {
        return "masked";
    }
    if let Some(enabled) = enabled {
        return enabled;
    }
    if target.is_some() && !leads_to(&format!("/{name}")) {
        return "alias";
    }
    if text.lines().any(|line| line.trim() == "[Install]") { "disabled" } else { "static" }
}

fn value(text: &str, name: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| line.trim().strip_prefix(name)?.trim_start().strip_prefix('='));
    values.next().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}
