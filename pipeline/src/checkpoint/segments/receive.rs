//! Segments that come from elsewhere, piece by piece.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use super::SegmentStore;
use crate::disk::failed;
use crate::error::{Error, Result};
use crate::step::ContentHash;
use crate::testing::crash;

impl SegmentStore {
    /// Takes over the segment `hash`, whose contents `fill` writes; durable when this returns.
    ///
    /// # Errors
    /// When they are not what the segment is named by, `fill` fails, or the disk does.
    pub(in crate::checkpoint) fn receive(
        &self,
        hash: &ContentHash,
        fill: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let path = self.place(hash)?;
        crash::point("segment.write");
        let draft = Draft(self.folder.scratch()?);
        let file = File::create(&draft.0).map_err(|error| failed("create", &draft.0, &error))?;
        let mut received = Received { file, hasher: blake3::Hasher::new() };
        fill(&mut received)?;
        if received.hasher.finalize().to_hex().as_str() != hash.0.as_ref() {
            let message = format!("the copy of the segment {hash} is not what it is named by");
            return Err(Error::external(message).never_retry());
        }
        crash::point("segment.sync");
        received.file.sync_all().map_err(|error| failed("synchronise", &draft.0, &error))?;
        crash::point("segment.rename");
        fs::rename(&draft.0, &path).map_err(|error| failed("rename to", &path, &error))?;
        crash::point("segment.renamed");
        self.folder.synchronise()
    }
}

/// Nothing is left of it when it did not get its name.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

struct Received {
    file: File,
    hasher: blake3::Hasher,
}

impl Write for Received {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
