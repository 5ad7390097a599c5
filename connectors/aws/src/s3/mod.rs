//! Copies of checkpoints in a bucket of S3, or of a store that speaks as S3 does.
//!
//! The fence against two writers needs conditional writes (`If-None-Match`, `If-Match`): AWS has them, MinIO and Ceph
//! too. An object is sent in one piece, read from its file as it is sent: up to 5 GiB, the limit of such a request.

mod objects;

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use tidegate_pipeline::checkpoint::copies::{BucketLocation, Remote};
use tidegate_pipeline::error::{Error, Result};
use tokio::runtime::{Builder, Runtime};

use objects::{Body, Objects};

/// How long a small request may take, attempts that failed included.
const PATIENCE: Duration = Duration::from_secs(60);
/// A file that is sent slower than so many bytes in a second is given up.
const SLOWEST: u64 = 64 * 1024;
/// The largest object that one request may send.
const LARGEST: u64 = 5 * 1024 * 1024 * 1024;

/// A part of a bucket as a place for copies.
pub struct S3Remote {
    /// Requests run here: whoever calls may be any thread, also one of another runtime. `None` when it is dropped.
    runtime: Option<Runtime>,
    objects: Arc<Objects>,
}

impl S3Remote {
    /// The place at `location`. Nothing is done there yet; region, endpoint and credentials that it does not name are
    /// found where all programs that talk to AWS look.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(location: &BucketLocation) -> Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).max_blocking_threads(2).thread_name("s3").enable_all().build();
        let runtime = runtime.map_err(|error| Error::external(format!("no thread could be started: {error}")))?;
        Ok(Self { runtime: Some(runtime), objects: Arc::new(Objects::new(location.clone())) })
    }

    /// The place at `location`, reached as `config` says.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn with_config(location: &BucketLocation, config: &SdkConfig) -> Result<Self> {
        let mut remote = Self::new(location)?;
        remote.objects = Arc::new(Objects::connected(location.clone(), config));
        Ok(remote)
    }

    /// Whether the bucket is there and these credentials may list it.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self) -> Result<()> {
        self.names("").map(drop)
    }

    /// Lets a request run, and waits for its answer.
    fn call<T, F>(&self, patience: Duration, request: impl FnOnce(Arc<Objects>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let Some(runtime) = &self.runtime else { return Err(Error::internal("S3 is asked after its end")) };
        let request = request(Arc::clone(&self.objects));
        let (told, answer) = std::sync::mpsc::sync_channel(1);
        let place = self.place();
        runtime.spawn(async move {
            let answered = tokio::time::timeout(patience, request).await;
            let late = |_| Err(Error::external(format!("{place} does not answer within {patience:?}")));
            // Nobody waits any longer where the program ends meanwhile.
            let _ = told.send(answered.unwrap_or_else(late));
        });
        answer.recv().map_err(|_| Error::external("a request to S3 was given up"))?
    }
}

impl Drop for S3Remote {
    fn drop(&mut self) {
        // A runtime may not wait for its end in the task of another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for S3Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Remote").field(&self.place()).finish()
    }
}

impl Remote for S3Remote {
    fn names(&self, folder: &str) -> Result<BTreeSet<String>> {
        let folder = folder.to_owned();
        // A long list takes many requests.
        self.call(PATIENCE * 10, |objects| async move { objects.names(&folder).await })
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.call(PATIENCE, |objects| async move { Ok(objects.read(&name).await?.map(|read| read.bytes)) })
    }

    fn fetch(&self, name: &str, into: &mut dyn Write) -> Result<bool> {
        let object = name.to_owned();
        let opened = self.call(PATIENCE, |objects| async move { objects.open(&object).await })?;
        let Some(body) = opened else { return Ok(false) };
        let body = Arc::new(tokio::sync::Mutex::new(body));
        loop {
            let body: Arc<tokio::sync::Mutex<Body>> = Arc::clone(&body);
            match self.call(PATIENCE, |_| async move { body.lock().await.next().await })? {
                Some(piece) => into
                    .write_all(&piece)
                    .map_err(|error| Error::external(format!("cannot write what {name} holds: {error}")))?,
                None => return Ok(true),
            }
        }
    }

    fn send(&self, name: &str, from: &Path) -> Result<()> {
        let unreadable = |error| Error::external(format!("cannot read {}: {error}", from.display()));
        let length = std::fs::metadata(from).map_err(unreadable)?.len();
        if length > LARGEST {
            let message = format!("{name} has {length} bytes; one object of {} may have 5 GiB", self.place());
            return Err(Error::external(message).never_retry().with_remedy("copy to a folder, as `file:///backup`"));
        }
        let (name, from) = (name.to_owned(), from.to_owned());
        let patience = PATIENCE + Duration::from_secs(length / SLOWEST);
        self.call(patience, |objects| async move { objects.send(&name, &from).await })
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        let (name, bytes) = (name.to_owned(), bytes.to_vec());
        self.call(PATIENCE, |objects| async move { objects.create(&name, bytes).await })
    }

    fn exchange(&self, name: &str, before: &[u8], bytes: &[u8]) -> Result<bool> {
        let (name, before, bytes) = (name.to_owned(), before.to_vec(), bytes.to_vec());
        self.call(PATIENCE, |objects| async move { objects.exchange(&name, &before, bytes).await })
    }

    fn remove(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.call(PATIENCE, |objects| async move { objects.remove(&name).await })
    }

    fn place(&self) -> String {
        self.objects.location().to_string()
    }
}
