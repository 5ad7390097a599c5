//! `host_file`: files and directories whose permissions matter.

mod places;

use std::collections::HashSet;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::providers::host::accounts::{Names, accounts, system_uids};
use crate::providers::host::glob;
use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::Table;

use places::{PATTERNS, PLACES, PROGRAM_DIRECTORIES};

/// Homes that stand for "none".
const NO_HOMES: [&str; 5] = ["", "/", "/nonexistent", "/dev/null", "/var/empty"];

const SET_ID_BITS: u32 = 0o6000;

pub(super) struct File {
    place: Place,
    present: Option<bool>,
    kind: Option<String>,
    link_target: Option<String>,
    attributes: Attributes,
}

/// What is looked at, why, and whose it should be.
#[derive(Clone)]
struct Place {
    path: String,
    category: String,
    account: Option<String>,
}

/// What the file system says of a file. All of it is unknown where there is none, or it may not be looked at.
#[derive(Default)]
struct Attributes {
    mode: Option<String>,
    mode_bits: Option<i64>,
    owner: Option<String>,
    group_name: Option<String>,
    uid: Option<i64>,
    gid: Option<i64>,
    size_bytes: Option<i64>,
    world_readable: Option<bool>,
    world_writable: Option<bool>,
    group_writable: Option<bool>,
    setuid: Option<bool>,
    setgid: Option<bool>,
    sticky: Option<bool>,
}

pub(super) fn table() -> Table<File> {
    let identity = |file: &File| file.place.path.clone();
    let description = "Files and directories whose permissions matter: account databases, keys, schedules, homes, and \
                       programs with set-ID bits. What a symbolic link leads to is described, not the link.";
    Table::new("host_file", description, &["path"], identity, collect)
        .column("path", "The absolute path.", |file| &file.place.path)
        .column("category", "Why it is here: account_database, ssh_host_key, home, set_id_program, …", |file| {
            &file.place.category
        })
        .column("account", "Whose home it is, or is in.", |file| &file.place.account)
        .column("present", "Whether there is such a file; NULL where this user may not look.", |file| &file.present)
        .column("kind", "file, directory, symlink, socket or other.", |file| &file.kind)
        .column("link_target", "Where a symbolic link leads, as written in it.", |file| &file.link_target)
        .column("mode", "The permissions, four octal digits: 0644.", |file| &file.attributes.mode)
        .column("mode_bits", "The permissions as a number.", |file| &file.attributes.mode_bits)
        .column("owner", "The user that owns it; NULL where the uid has no local account.", |file| {
            &file.attributes.owner
        })
        .column("group_name", "The group that owns it; NULL where the gid has no local group.", |file| {
            &file.attributes.group_name
        })
        .column("uid", "The uid that owns it.", |file| &file.attributes.uid)
        .column("gid", "The gid that owns it.", |file| &file.attributes.gid)
        .column("size_bytes", "The size of a file in bytes; NULL for anything else.", |file| {
            &file.attributes.size_bytes
        })
        .column("world_readable", "Whether everybody may read it.", |file| &file.attributes.world_readable)
        .column("world_writable", "Whether everybody may write it.", |file| &file.attributes.world_writable)
        .column("group_writable", "Whether its group may write it.", |file| &file.attributes.group_writable)
        .column("setuid", "Whether it runs with the rights of its owner.", |file| &file.attributes.setuid)
        .column("setgid", "Whether it runs with the rights of its group.", |file| &file.attributes.setgid)
        .column("sticky", "Whether only owners may delete what is in it.", |file| &file.attributes.sticky)
}

fn collect(root: &HostRoot) -> Result<Vec<File>, Unread> {
    root.names("/")?;
    let names = Names::read(root);
    let mut seen = HashSet::new();
    let places = places(root).into_iter().filter(|place| seen.insert(place.path.clone()));
    let mut files: Vec<File> = places.map(|place| file(root, place, &names)).collect();
    files.extend(set_id_programs(root, &names));
    Ok(files)
}

fn places(root: &HostRoot) -> Vec<Place> {
    let place = |category: &str, path: &str, account: Option<&str>| Place {
        path: path.to_owned(),
        category: category.to_owned(),
        account: account.map(str::to_owned),
    };
    let mut places: Vec<Place> = PLACES.iter().map(|(category, path)| place(category, path, None)).collect();
    for (category, pattern) in PATTERNS {
        places.extend(glob::paths(root, pattern).iter().map(|path| place(category, path, None)));
    }
    for (home, account) in homes(root) {
        let account = account.as_deref();
        places.push(place("home", &home, account));
        places.push(place("ssh_directory", &format!("{home}/.ssh"), account));
        places.push(place("ssh_authorized_keys", &format!("{home}/.ssh/authorized_keys"), account));
        let keys = glob::paths(root, &format!("{home}/.ssh/id_*"));
        let private = keys.iter().filter(|path| !path.ends_with(".pub"));
        places.extend(private.map(|path| place("ssh_private_key", path, account)));
    }
    places
}

/// The homes of root and of the people of this machine, with whose they are; then what else lies in `/home`.
fn homes(root: &HostRoot) -> Vec<(String, Option<String>)> {
    let is_system = system_uids(root);
    let of_a_person = accounts(root)
        .unwrap_or_default()
        .into_iter()
        .filter(|account| (account.uid == 0 || !is_system(account.uid)) && account.home.starts_with('/'));
    let mut homes: Vec<(String, Option<String>)> = of_a_person
        .map(|account| (account.home.trim_end_matches('/').to_owned(), Some(account.name)))
        .filter(|(home, _)| !NO_HOMES.contains(&home.as_str()))
        .collect();
    let directories = glob::paths(root, "/home/*").into_iter();
    let is_directory = |path: &String| root.metadata(path).is_ok_and(|found| found.is_dir());
    homes.extend(directories.filter(is_directory).map(|path| (path, None)));
    let mut seen = HashSet::new();
    homes.retain(|(home, _)| seen.insert(home.clone()));
    homes
}

fn file(root: &HostRoot, place: Place, names: &Names) -> File {
    let found = root.metadata_of_link(&place.path);
    let link_target = match &found {
        Ok(metadata) if metadata.is_symlink() => root.link(&place.path).ok(),
        _ => None,
    };
    let present = match &found {
        Ok(_) => Some(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Some(false),
        Err(_) => None,
    };
    let described = if link_target.is_some() { root.metadata(&place.path).ok() } else { found.as_ref().ok().cloned() };
    File {
        present,
        kind: found.as_ref().ok().map(|metadata| kind(metadata).to_owned()),
        link_target,
        attributes: described.map(|metadata| attributes(&metadata, names)).unwrap_or_default(),
        place,
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match kind {
        _ if kind.is_file() => "file",
        _ if kind.is_dir() => "directory",
        _ if kind.is_symlink() => "symlink",
        _ if kind.is_socket() => "socket",
        _ => "other",
    }
}

fn attributes(metadata: &Metadata, names: &Names) -> Attributes {
    let bits = metadata.mode() & 0o7777;
    let has = |bit: u32| Some(bits & bit != 0);
    let (uid, gid) = (i64::from(metadata.uid()), i64::from(metadata.gid()));
    Attributes {
        mode: Some(format!("{bits:04o}")),
        mode_bits: Some(i64::from(bits)),
        owner: names.user(uid),
        group_name: names.group(gid),
        uid: Some(uid),
        gid: Some(gid),
        // The size of a directory changes with what comes and goes in it.
        size_bytes: metadata.is_file().then(|| i64::try_from(metadata.len()).unwrap_or(i64::MAX)),
        world_readable: has(0o004),
        world_writable: has(0o002),
        group_writable: has(0o020),
        setuid: has(0o4000),
        setgid: has(0o2000),
        sticky: has(0o1000),
    }
}

/// The programs that run with the rights of their owner or group, in the directories that shells look in.
fn set_id_programs(root: &HostRoot, names: &Names) -> Vec<File> {
    let mut programs = Vec::new();
    for directory in PROGRAM_DIRECTORIES {
        // `/bin` may be a link to `/usr/bin`, which is read anyway.
        if root.metadata_of_link(directory).map_or(true, |metadata| metadata.is_symlink()) {
            continue;
        }
        for name in root.names_if_readable(directory) {
            let path = format!("{directory}/{name}");
            let has_bits = |metadata: &Metadata| metadata.is_file() && metadata.mode() & SET_ID_BITS != 0;
            if root.metadata_of_link(&path).is_ok_and(|metadata| has_bits(&metadata)) {
                let place = Place { path, category: "set_id_program".to_owned(), account: None };
                programs.push(file(root, place, names));
            }
        }
    }
    programs
}
