//! The places that copies of checkpoints go to.

use tidegate_aws::S3Remote;
use tidegate_pipeline::checkpoint::copies::{CopyLocation, FolderRemote, OpenRemote, Remote};
use tidegate_pipeline::error::Result;

/// Folders, and buckets of S3.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyPlaces;

impl OpenRemote for CopyPlaces {
    fn open(&self, location: &CopyLocation) -> Result<Box<dyn Remote>> {
        Ok(match location {
            CopyLocation::Folder(path) => Box::new(FolderRemote::new(path)),
            CopyLocation::Bucket(bucket) => Box::new(S3Remote::new(bucket)?),
        })
    }
}
