//! The way of pages from a provider to their comparison.

use std::sync::Arc;

use arrow::array::RecordBatch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::ScopeGroup;
use crate::error::{Error, Result};

/// How many pages of one group wait to be compared.
const WAITING: usize = 2;

/// How many pages of all groups of a provider wait or are being compared: so many are in memory, however many
/// accounts and rows there are.
#[derive(Debug, Clone)]
pub struct PageRoom(Arc<Semaphore>);

impl PageRoom {
    /// Room for so many pages.
    pub fn new(pages: usize) -> Self {
        Self(Arc::new(Semaphore::new(pages)))
    }
}

/// Where a provider hands over the pages of a group.
#[derive(Debug, Clone)]
pub struct Pages {
    group: Arc<ScopeGroup>,
    sender: mpsc::Sender<Page>,
    room: PageRoom,
}

/// A page that was handed over. It takes its room until it is dropped.
#[derive(Debug)]
pub struct Page {
    /// Its table.
    pub table: Arc<str>,
    /// Its rows.
    pub rows: RecordBatch,
    _room: OwnedSemaphorePermit,
}

impl Pages {
    /// The way for the pages of a group, and its other end.
    pub fn channel(group: ScopeGroup, room: PageRoom) -> (Self, mpsc::Receiver<Page>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { group: Arc::new(group), sender, room }, receiver)
    }

    /// Hands over a page: rows of a table of the group, in that table's schema. Waits while earlier pages are being
    /// taken.
    ///
    /// # Errors
    /// When the refresh has been cancelled, or the group does not have that table.
    pub async fn send(&self, table: &str, rows: RecordBatch) -> Result<()> {
        let cancelled = || Error::external("the refresh was cancelled");
        let Some(table) = self.group.tables.iter().find(|known| ***known == *table) else {
            return Err(Error::internal(format!("a page of table `{table}` came for {}", self.group)));
        };
        let room = tokio::select! {
            () = self.sender.closed() => return Err(cancelled()),
            room = Arc::clone(&self.room.0).acquire_owned() => room.map_err(|_| cancelled())?,
        };
        let page = Page { table: Arc::clone(table), rows, _room: room };
        self.sender.send(page).await.map_err(|_| cancelled())
    }
}
