//! Files on the disk: read, replaced as one step, removed. Everything blocks.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::handler::Fields;
use uuid::Uuid;

use super::accounts;
use crate::sinks::file::sync_folder;

/// The permissions of a file that is made where nothing is said of them.
const USUAL: u32 = 0o644;
/// What of a mode are permissions.
const PERMISSIONS: u32 = 0o7777;
/// How much is read at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// What a file shall be besides its content; `None` does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attributes {
    pub(super) permissions: Option<u32>,
    pub(super) owner: Option<u32>,
    pub(super) group: Option<u32>,
}

/// `0640` as a number.
///
/// # Errors
/// When it is something else.
pub(super) fn permissions(text: &str) -> Result<u32> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= PERMISSIONS);
    mode.ok_or_else(|| {
        Error::user(format!("`{text}` are no permissions")).with_remedy("write them in octal digits, as `0640`")
    })
}

/// Permissions as people write them.
pub(super) fn shown(mode: u32) -> String {
    format!("{:04o}", mode & PERMISSIONS)
}

/// The SHA-256 of a content.
pub(super) fn hash(content: &[u8]) -> String {
    hexadecimal(&Sha256::digest(content))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn failed(doing: &str, path: &Path, error: &std::io::Error) -> Error {
    let failed = Error::external(format!("cannot {doing} {}: {error}", path.display()));
    match error.kind() {
        ErrorKind::NotFound => failed.with_remedy("make its folder first").never_retry(),
        ErrorKind::PermissionDenied => failed.with_remedy("give this user the permission").never_retry(),
        _ => failed,
    }
}

/// The file at `path`; `None` where there is nothing.
///
/// # Errors
/// When it cannot be read, or something else is there than a file.
pub(super) fn read(path: &Path) -> Result<Option<Fields>> {
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        about => about.map_err(|error| failed("look at", path, &error))?,
    };
    if !about.is_file() {
        let what = if about.is_dir() { "a folder" } else { "a link or a device" };
        return Err(Error::user(format!("{} is {what}, not a file", path.display()))
            .with_remedy("name the file itself, or remove what is there"));
    }
    let mut file = File::open(path).map_err(|error| failed("read", path, &error))?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece).map_err(|error| failed("read", path, &error))? {
            0 => break,
            read => hash.update(&piece[..read]),
        }
    }
    Ok(Some(Fields::from_iter([
        ("hash".to_owned(), json!(hexadecimal(&hash.finalize()))),
        ("owner".to_owned(), json!(accounts::user_name(about.uid()))),
        ("group".to_owned(), json!(accounts::group_name(about.gid()))),
        ("permissions".to_owned(), json!(shown(about.mode()))),
    ])))
}

/// Puts a file with this content in place of what is there, at once and durably. What is not said of it stays as it was.
///
/// # Errors
/// When the disk does not let it; then what was there is still there.
pub(super) fn write(path: &Path, content: &[u8], attributes: Attributes) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = Beside(folder.join(format!(".{name}.{}", Uuid::new_v4().simple())));
    let before = fs::symlink_metadata(path).ok();
    let mode = attributes.permissions.or_else(|| before.as_ref().map(|before| before.mode() & PERMISSIONS));
    // Nobody reads it before it belongs to whom it shall.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside.0);
    let mut file = opened.map_err(|error| failed("write", path, &error))?;
    file.write_all(content).map_err(|error| failed("write", path, &error))?;
    let owner = attributes.owner.or_else(|| before.as_ref().map(MetadataExt::uid));
    let group = attributes.group.or_else(|| before.as_ref().map(MetadataExt::gid));
    set_owner(&beside.0, owner, group)?;
    let permissions = Permissions::from_mode(mode.unwrap_or(USUAL));
    file.set_permissions(permissions).map_err(|error| failed("set the permissions of", path, &error))?;
    file.sync_all().map_err(|error| failed("write", path, &error))?;
    fs::rename(&beside.0, path).map_err(|error| failed("replace", path, &error))?;
    sync_folder(folder).map_err(|error| failed("write", path, &error))
}

/// Sets what is said of a file besides its content.
///
/// # Errors
/// When this user may not.
pub(super) fn set_attributes(path: &Path, attributes: Attributes) -> Result<()> {
    set_owner(path, attributes.owner, attributes.group)?;
    if let Some(mode) = attributes.permissions {
        let set = fs::set_permissions(path, Permissions::from_mode(mode));
        set.map_err(|error| failed("set the permissions of", path, &error))?;
    }
    Ok(())
}

/// Gives a file to somebody, where it is not theirs.
fn set_owner(path: &Path, owner: Option<u32>, group: Option<u32>) -> Result<()> {
    let about = fs::symlink_metadata(path).map_err(|error| failed("look at", path, &error))?;
    let (owner, group) = (owner.filter(|id| *id != about.uid()), group.filter(|id| *id != about.gid()));
    if owner.is_none() && group.is_none() {
        return Ok(());
    }
    chown(path, owner, group).map_err(|error| failed("give somebody else", path, &error))
}

/// Removes a file.
///
/// # Errors
/// When the disk does not let it.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("remove", path, &error)),
        _ => {}
    }
    sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(|error| failed("remove", path, &error))
}

/// A file that is not yet where it shall be. What is left of it goes with this.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // It has been renamed, or it is half a file.
        let _ = fs::remove_file(&self.0);
    }
}
