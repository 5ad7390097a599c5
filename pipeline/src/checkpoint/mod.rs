//! Checkpoints: the state after a step, from which a pipeline goes on.
//!
//! A checkpoint is a [`Manifest`] that names [`segment`]s; it exists when the manifest and everything that it
//! names are durable and the store lists it. The order of a commit is: segments, manifest segment, entry in
//! the store (only if its number was never given and its owner is still the owner), file `head`. Readers that do not own
//! the directory begin at `head` ([`read_head`]) and never open the store.
//!
//! | decision | where | by what |
//! |---|---|---|
//! | which checkpoint to go on from | `recovery` | the list, and which are whole |
//! | what may be removed | `known` | the list, what each names, [`Retention`] |
//! | what there was, when the store is lost | `rebuild` | the manifests among the segments |
//! | who may write | `fence` | the epoch |
//!
//! These have no effects of their own; [`CheckpointStore`] carries them out. All calls block.

mod archive;
mod collect;
mod commit;
pub mod compact;
pub mod copies;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
mod fence;
mod folder;
#[cfg(test)]
mod golden_tests;
mod head;
mod held;
mod import;
mod index;
mod keys;
mod known;
mod manifest;
mod marks;
#[cfg(test)]
mod model;
#[cfg(test)]
mod model_tests;
mod owned;
mod owner;
mod rebuild;
mod recover;
mod recovery;
mod retention;
pub mod segment;
mod segments;
mod sled_store;
pub mod store;
mod survey;
#[cfg(test)]
mod tests;
mod verify;

pub use archive::{ArchiveHead, export};
pub use collect::Removed;
pub use fence::{Fence, OwnerEpoch};
pub use head::{at_head, list_checkpoints, read_head, read_manifest, read_node_state, read_segment};
pub use held::Held;
pub use import::{ImportReport, import};
pub use manifest::{CheckpointNumber, CheckpointSummary, FORMAT, LookupState, Manifest, NodeState, SourceState};
pub use owned::CheckpointStore;
pub use owner::OwnerLock;
pub use rebuild::{RebuildReport, rebuild};
pub use retention::Retention;
pub use segment::{Content, Section};
pub use segments::SegmentStore;
pub(crate) use segments::{NodeSections, SegmentWriter};
pub use sled_store::SledStore;
pub use store::{MemoryStore, Store};
pub use verify::{CheckpointHealth, Damage, VerifyReport, verify};
