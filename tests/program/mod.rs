//! The program, run as users run it: in a folder of its own, as a child process that is waited for, stopped or killed.
//! Every suite that runs the program includes this, with `#[path]` where it stands elsewhere.

mod done;
mod folder;
mod numbers;
mod outputs;
mod running;
mod waiting;

pub(crate) use done::Done;
pub(crate) use folder::{Folder, command, repository};
pub(crate) use numbers::{Numbers, from_environment};
pub(crate) use outputs::Outputs;
pub(crate) use running::Running;
pub(crate) use waiting::{PATIENCE, eventually};
