//! Quarantine: steps that a node must not execute, since one of them brings the process down at every start.
//!
//! A small text file beside the journal's own files, replaced whole: a line with the format and a checksum, then
//! JSON. It is read before any step is executed, by a start as by a replay.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::FOLDER;
use crate::checkpoint::OwnerLock;
use crate::disk::{Disk, TEMPORARY, create_directory, failed};
use crate::error::{Error, Result};
use crate::step::StepNumber;

/// The name of the file in the journal's directory.
const NAME: &str = "quarantine";
/// What the file begins with; the number is the version of its format.
const HEAD: &str = "tidegate quarantine 1 ";

/// The steps that nodes must not execute: rows that one of them would take go to its port `errors` instead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    nodes: BTreeMap<String, BTreeSet<StepNumber>>,
}

impl Quarantine {
    /// What is quarantined in the pipeline directory `directory` (`.tidegate/NAME`).
    ///
    /// # Errors
    /// When the file is damaged, or a newer program is needed: without it the steps would be executed.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = path_in(directory);
        match fs::read_to_string(&path) {
            Ok(text) => decode(&text).map_err(|error| in_file(&path, error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(in_file(&path, damaged())),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    /// Quarantines a step of a node, durably; whether it was not yet. Takes the ownership of the directory for it.
    ///
    /// # Errors
    /// When another process owns the directory, or the disk fails.
    pub fn add(directory: &Path, step: StepNumber, node: &str) -> Result<bool> {
        let _owner = OwnerLock::acquire(directory)?;
        let mut quarantine = Self::read(directory)?;
        let new = quarantine.nodes.entry(node.to_owned()).or_default().insert(step);
        if new {
            quarantine.write(&Disk::default(), directory)?;
        }
        Ok(new)
    }

    fn write(&self, disk: &Disk, directory: &Path) -> Result<()> {
        let path = path_in(directory);
        let folder = directory.join(FOLDER);
        create_directory(&folder)?;
        disk.replace_file(&path, &path.with_extension(TEMPORARY), encode(self)?.as_bytes(), "quarantine")?;
        disk.sync_directory(&folder)
    }

    /// The steps that a node must not execute.
    pub fn of(&self, node: &str) -> BTreeSet<StepNumber> {
        self.nodes.get(node).cloned().unwrap_or_default()
    }

    /// The nodes that must not execute a step.
    pub fn nodes(&self, step: StepNumber) -> Vec<&str> {
        self.nodes.iter().filter(|(_, steps)| steps.contains(&step)).map(|(node, _)| node.as_str()).collect()
    }
}

fn path_in(directory: &Path) -> PathBuf {
    directory.join(FOLDER).join(NAME)
}

fn encode(quarantine: &Quarantine) -> Result<String> {
    let json = serde_json::to_string_pretty(quarantine).map_err(Error::internal)?;
    Ok(format!("{HEAD}{:08x}\n{json}\n", crc32fast::hash(json.as_bytes())))
}

fn decode(text: &str) -> Result<Quarantine> {
    let (head, json) = text.split_once('\n').ok_or_else(damaged)?;
    let Some(crc) = head.strip_prefix(HEAD) else {
        return Err(match head.starts_with("tidegate quarantine ") {
            true => Error::user("it has a format that this program does not know")
                .with_remedy("a newer program is needed: run the one that wrote it"),
            false => damaged(),
        });
    };
    let json = json.strip_suffix('\n').ok_or_else(damaged)?;
    if format!("{:08x}", crc32fast::hash(json.as_bytes())) != crc {
        return Err(damaged());
    }
    serde_json::from_str(json).map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::external("it is damaged")
        .never_retry()
        .with_remedy("remove it, and quarantine again what has to be: without it every step is executed")
}

fn in_file(path: &Path, mut error: Error) -> Error {
    error.message = format!("the list of quarantined steps {} cannot be used: {}", path.display(), error.message);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_quarantined_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Quarantine::read(directory.path()).unwrap(), Quarantine::default());
        for (step, node, new) in [(17, "check", true), (17, "check", false), (18, "check", true), (17, "page", true)] {
            assert_eq!(Quarantine::add(directory.path(), StepNumber(step), node).unwrap(), new);
        }
        let found = Quarantine::read(directory.path()).unwrap();
        assert_eq!(found.of("check"), BTreeSet::from([StepNumber(17), StepNumber(18)]));
        assert_eq!(found.nodes(StepNumber(17)), ["check", "page"]);
        assert!(found.of("other").is_empty() && found.nodes(StepNumber(1)).is_empty());
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        Quarantine::add(directory.path(), StepNumber(17), "check").unwrap();
        let path = path_in(directory.path());
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 0x21;
            for bad in [&flipped[..], &good[..at]] {
                fs::write(&path, bad).unwrap();
                assert!(Quarantine::read(directory.path()).is_err(), "byte {at}: {}", String::from_utf8_lossy(bad));
            }
        }
    }

    #[test]
    fn a_fault_of_the_disk_leaves_the_list_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        Quarantine::add(directory.path(), StepNumber(17), "check").unwrap();
        let before = Quarantine::read(directory.path()).unwrap();
        let mut more = before.clone();
        more.nodes.insert("page".into(), BTreeSet::from([StepNumber(1)]));
        for operation in ["create", "write", "sync", "rename"] {
            for kind in ["eio", "enospc", "short"] {
                let disk = Disk::failing(&format!("quarantine.{operation}={kind}"));
                assert!(more.write(&disk, directory.path()).is_err(), "{operation} {kind}");
                assert_eq!(Quarantine::read(directory.path()).unwrap(), before, "{operation} {kind}");
            }
        }
        more.write(&Disk::default(), directory.path()).unwrap();
        assert_eq!(Quarantine::read(directory.path()).unwrap(), more);
    }

    #[test]
    fn a_list_of_a_later_program_asks_for_it() {
        let error = decode("tidegate quarantine 2 00000000\n{}\n").unwrap_err();
        assert!(error.to_string().contains("newer program"), "{error}");
    }
}
