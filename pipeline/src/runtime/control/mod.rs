//! The socket `control` in a pipeline's directory: how commands reach the process that owns it.
//!
//! A request and its answer are one line of JSON each, then the connection ends:
//! ```text
//! {"version":1,"request":{"change_effects":{"change":"retry","ids":["orders/0/1/page/0/17/2"]}}}
//! {"version":1,"answer":{"effects_changed":{"changed":["orders/0/1/page/0/17/2"],"unchanged":[]}}}
//! ```
//! Only the user who runs the pipeline may connect. The socket is there while the pipeline runs; one that a killed
//! process has left is replaced by the next owner, and nobody listens behind it meanwhile.

mod client;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::delivery::CircuitStatus;
use super::effects::{ChangedEffects, EffectChange};
use crate::error::{Domain, Error};
use crate::provider::RefreshRequest;

pub(crate) use client::ask;
pub(crate) use server::{Controlled, serve};

/// The name of the socket.
const NAME: &str = "control";
/// The version of the protocol: one that is older or newer is refused, naming both.
const VERSION: u32 = 1;
/// The longest request or answer, in bytes.
const LONGEST: u64 = 4 * 1024 * 1024;
/// How long a request may take, from the connection to the answer.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest path that a socket's address takes.
const LONGEST_ADDRESS: usize = 100;

/// What the owner of a pipeline's directory can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ControlRequest {
    /// Effects shall be retried or discarded.
    ChangeEffects {
        /// What shall be done with them.
        change: EffectChange,
        /// Their ids.
        ids: Vec<String>,
    },
    /// Inventory shall be read again.
    Refresh {
        /// The provider node; all that have the table where it is absent.
        node: Option<String>,
        /// What shall be read.
        request: RefreshRequest,
    },
    /// How the circuits to the destinations of sinks stand.
    Circuits,
}

/// What the owner answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ControlAnswer {
    /// What has become of the effects; durable.
    EffectsChanged(ChangedEffects),
    /// The nodes that will read it again, soon.
    RefreshBegun(Vec<String>),
    /// The circuits that are not closed, by sink.
    Circuits(BTreeMap<String, CircuitStatus>),
}

/// What every version of a request begins with.
#[derive(Debug, Serialize, Deserialize)]
struct Request<T> {
    version: u32,
    request: T,
}

/// The line that answers a request.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    version: u32,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Answer(ControlAnswer),
    Error(Refusal),
}

/// An error as it travels.
#[derive(Debug, Serialize, Deserialize)]
struct Refusal {
    /// Whether the one who asks can mend it.
    user: bool,
    message: String,
    remedy: Option<String>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { user: error.domain == Domain::User, message: error.message, remedy: error.remedy }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let error = if refusal.user { Self::user(refusal.message) } else { Self::external(refusal.message) };
        Self { remedy: refusal.remedy, ..error }
    }
}

/// The address of a socket in `directory`. Where the path is too long for one, it goes through the open directory.
struct Address {
    path: PathBuf,
    /// Held while the address is used.
    _directory: Option<File>,
}

impl Address {
    fn of(directory: &Path, name: &str) -> io::Result<Self> {
        let path = directory.join(name);
        if path.as_os_str().len() <= LONGEST_ADDRESS {
            return Ok(Self { path, _directory: None });
        }
        let opened = File::open(directory)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())).join(name);
        Ok(Self { path, _directory: Some(opened) })
    }
}
