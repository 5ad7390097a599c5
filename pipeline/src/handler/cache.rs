//! What handlers keep between deployments, such as a connection for each device.
//!
//! * A value goes by itself, at its time, whether anybody asks for it or not.
//! * What a key stands for is computed once, however many ask at the same time. A failure is not kept.
//! * Who has a value keeps it: what is to be done at its end is done after its last user, once. A failure of that is
//!   logged.
//! * A value may belong to a version: it goes when the last [`VersionGuard`] of that version is dropped, however that
//!   comes about.

use std::any::Any;
use std::collections::HashMap;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};

/// How long a value is kept that nobody asks for.
pub const AFTER_LAST_ACCESS: Duration = Duration::from_secs(60);

/// What a value is kept under, and for how long. The smaller of both times counts.
#[derive(Debug, Clone)]
pub struct CacheKey {
    /// What is computed, with all that it depends on.
    pub key: String,
    /// How long it is kept at most.
    pub evict_after_creation: Option<Duration>,
    /// How long it is kept when nobody asks for it.
    pub evict_after_last_access: Duration,
}

impl CacheKey {
    /// The key of what `method` gives for some arguments, in whatever order they are named.
    pub fn new(method: &str, arguments: &[(&str, &str)]) -> Self {
        let mut sorted: Vec<String> = arguments.iter().map(|(name, value)| format!("{name},{value:?}")).collect();
        sorted.sort();
        sorted.push(method.to_owned());
        Self { key: sorted.join("__"), evict_after_creation: None, evict_after_last_access: AFTER_LAST_ACCESS }
    }

    /// The same, kept no longer than this.
    #[must_use]
    pub fn for_at_most(self, time: Duration) -> Self {
        Self { evict_after_creation: Some(time), ..self }
    }

    /// The same, kept no longer than this without being asked for.
    #[must_use]
    pub fn while_used_within(self, time: Duration) -> Self {
        Self { evict_after_last_access: time, ..self }
    }
}

/// See the module. Clones share what is kept.
#[derive(Clone, Default)]
pub struct HandlerCache(Arc<Inner>);

#[derive(Default)]
struct Inner {
    slots: Mutex<HashMap<String, Slot>>,
    /// Who computes a key, holds its lock.
    computing: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    versions: Mutex<HashMap<u64, usize>>,
}

struct Slot {
    value: Arc<Kept>,
    created: Instant,
    used: Instant,
    limits: (Option<Duration>, Duration),
    version: Option<u64>,
    /// Takes the slot away at its time.
    _timer: AbortOnDropHandle<()>,
}

impl Slot {
    fn due(&self) -> Instant {
        let unused = self.used + self.limits.1;
        self.limits.0.map_or(unused, |most| unused.min(self.created + most))
    }
}

/// A value, and what is to be done at its end.
struct Kept {
    value: Arc<dyn Any + Send + Sync>,
    at_its_end: Option<AtItsEnd>,
}

type AtItsEnd = Box<dyn FnOnce(&(dyn Any + Send + Sync)) -> Result<()> + Send + Sync>;

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(at_its_end) = self.at_its_end.take() else { return };
        match catch_unwind(AssertUnwindSafe(|| at_its_end(&*self.value))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "What was kept for handlers could not be ended properly."),
            Err(_) => tracing::warn!("Ending what was kept for handlers has crashed."),
        }
    }
}

/// A value of the cache, which is there for as long as this is.
pub struct Cached<T> {
    value: Arc<T>,
    kept: Arc<Kept>,
}

impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), kept: Arc::clone(&self.kept) }
    }
}

impl<T> Deref for Cached<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Send + Sync + 'static> Cached<T> {
    fn of(kept: Arc<Kept>) -> Result<Self> {
        let value = Arc::clone(&kept.value).downcast::<T>();
        let value = value.map_err(|_| Error::internal("two kinds of values were kept under one key"))?;
        Ok(Self { value, kept })
    }
}

impl HandlerCache {
    /// The value of `key`; where there is none, what `compute` gives.
    ///
    /// # Errors
    /// What `compute` says; where a value of another type is kept under that key.
    pub async fn get<T: Send + Sync + 'static>(
        &self,
        key: &CacheKey,
        compute: impl Future<Output = Result<T>>,
    ) -> Result<Cached<T>> {
        self.fetch(key, None, compute, None).await
    }

    /// The same of a value with which something is to be done at its end.
    ///
    /// # Errors
    /// As [`HandlerCache::get`].
    pub async fn get_with_end<T: Send + Sync + 'static>(
        &self,
        key: &CacheKey,
        compute: impl Future<Output = Result<T>>,
        at_its_end: impl FnOnce(&T) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Cached<T>> {
        self.fetch(key, None, compute, Some(ending(at_its_end))).await
    }

    async fn fetch<T: Send + Sync + 'static>(
        &self,
        key: &CacheKey,
        version: Option<u64>,
        compute: impl Future<Output = Result<T>>,
        at_its_end: Option<AtItsEnd>,
    ) -> Result<Cached<T>> {
        if let Some(kept) = self.0.lookup(&key.key) {
            return Cached::of(kept);
        }
        let lock = self.0.lock_of(&key.key);
        let alone = lock.lock().await;
        if let Some(kept) = self.0.lookup(&key.key) {
            return Cached::of(kept);
        }
        let value = compute.await?;
        let kept = Arc::new(Kept { value: Arc::new(value), at_its_end });
        self.0.keep(&self.0, key, version, Arc::clone(&kept))?;
        drop(alone);
        Cached::of(kept)
    }

    /// Opens a version: what is kept for it goes when the last guard of it is dropped.
    pub fn open_version(&self, version: u64) -> VersionGuard {
        *self.0.versions.lock().entry(version).or_default() += 1;
        VersionGuard { cache: self.clone(), version }
    }

    /// How many values are kept.
    pub fn len(&self) -> usize {
        self.0.slots.lock().len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes everything away; what is in use ends with its last user.
    pub fn clear(&self) {
        let slots = std::mem::take(&mut *self.0.slots.lock());
        drop(slots);
    }
}

fn ending<T: 'static>(at_its_end: impl FnOnce(&T) -> Result<()> + Send + Sync + 'static) -> AtItsEnd {
    Box::new(move |value| value.downcast_ref::<T>().map_or(Ok(()), at_its_end))
}

/// A version that is open.
pub struct VersionGuard {
    cache: HandlerCache,
    version: u64,
}

impl VersionGuard {
    /// As [`HandlerCache::get`], of a value that belongs to the version.
    ///
    /// # Errors
    /// As [`HandlerCache::get`].
    pub async fn get<T: Send + Sync + 'static>(
        &self,
        key: &CacheKey,
        compute: impl Future<Output = Result<T>>,
    ) -> Result<Cached<T>> {
        let key = CacheKey { key: format!("{}__v{}", key.key, self.version), ..key.clone() };
        self.cache.fetch(&key, Some(self.version), compute, None).await
    }
}

impl Drop for VersionGuard {
    fn drop(&mut self) {
        let mut versions = self.cache.0.versions.lock();
        let Some(count) = versions.get_mut(&self.version) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        versions.remove(&self.version);
        drop(versions);
        let mut slots = self.cache.0.slots.lock();
        let gone: Vec<Slot> =
            slots.extract_if(|_, slot| slot.version == Some(self.version)).map(|(_, slot)| slot).collect();
        // What is done at the end of a value may ask the cache.
        drop(slots);
        drop(gone);
    }
}

impl Inner {
    fn lookup(&self, key: &str) -> Option<Arc<Kept>> {
        let mut slots = self.slots.lock();
        let slot = slots.get_mut(key)?;
        let now = Instant::now();
        if slot.due() <= now {
            let gone = slots.remove(key);
            drop(slots);
            drop(gone);
            return None;
        }
        slot.used = now;
        Some(Arc::clone(&slot.value))
    }

    fn lock_of(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut computing = self.computing.lock();
        computing.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = computing.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        computing.insert(key.to_owned(), Arc::downgrade(&lock));
        lock
    }

    fn keep(&self, own: &Arc<Self>, key: &CacheKey, version: Option<u64>, value: Arc<Kept>) -> Result<()> {
        if let Some(version) = version
            && !self.versions.lock().contains_key(&version)
        {
            return Err(Error::internal(format!("something was to be kept for version {version}, which is not open")));
        }
        let now = Instant::now();
        let limits = (key.evict_after_creation, key.evict_after_last_access);
        let due = now + limits.0.map_or(limits.1, |most| most.min(limits.1));
        let timer = AbortOnDropHandle::new(tokio::spawn(expire(Arc::downgrade(own), key.key.clone(), due)));
        let slot = Slot { value, created: now, used: now, limits, version, _timer: timer };
        let replaced = self.slots.lock().insert(key.key.clone(), slot);
        drop(replaced);
        Ok(())
    }

    /// Takes a slot away that is due; otherwise when it is.
    fn take_due(&self, key: &str) -> Option<Instant> {
        let mut slots = self.slots.lock();
        let due = slots.get(key)?.due();
        if due > Instant::now() {
            return Some(due);
        }
        let gone = slots.remove(key);
        drop(slots);
        drop(gone);
        None
    }
}

/// Takes a slot away when its time has come.
async fn expire(inner: Weak<Inner>, key: String, mut due: Instant) {
    loop {
        sleep_until(due).await;
        match inner.upgrade().and_then(|inner| inner.take_due(&key)) {
            Some(later) => due = later,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn key(name: &str) -> CacheKey {
        CacheKey::new("connection", &[("device", name)])
    }

    async fn one() -> Result<u32> {
        Ok(1)
    }

    #[test]
    fn a_key_is_the_same_in_whatever_order_its_arguments_are_named() {
        let key = |arguments: &[(&str, &str)]| CacheKey::new("open", arguments).key;
        assert_eq!(key(&[("a", "1"), ("b", "2")]), key(&[("b", "2"), ("a", "1")]));
        assert_ne!(key(&[("a", "1"), ("b", "2")]), key(&[("a", "2"), ("b", "1")]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_goes_at_its_time_although_nobody_asks_for_it() {
        let cache = HandlerCache::default();
        let ended = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&ended);
        let at_its_end = move |_: &u32| {
            told.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        drop(cache.get_with_end(&key("a"), one(), at_its_end).await.unwrap());
        tokio::time::sleep(AFTER_LAST_ACCESS - Duration::from_secs(1)).await;
        assert_eq!((cache.len(), ended.load(Ordering::SeqCst)), (1, 0));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((cache.len(), ended.load(Ordering::SeqCst)), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_stays_until_it_is_too_old() {
        let cache = HandlerCache::default();
        let key = key("a").for_at_most(Duration::from_secs(100)).while_used_within(Duration::from_secs(10));
        for _ in 0..11 {
            cache.get(&key, one()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(9)).await;
            assert_eq!(cache.len(), 1);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(cache.is_empty());
    }

    #[tokio::test]
    async fn a_key_is_computed_once_however_many_ask_and_a_failure_is_not_kept() {
        let cache = HandlerCache::default();
        let computed = AtomicUsize::new(0);
        let compute = || async {
            computed.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<u32, Error>(7)
        };
        let key = key("a");
        let asked = futures::future::join_all((0..50).map(|_| cache.get(&key, compute()))).await;
        assert!(asked.into_iter().all(|value| *value.unwrap() == 7));
        assert_eq!(computed.load(Ordering::SeqCst), 1);
        let other = self::key("b");
        assert!(cache.get::<u32>(&other, async { Err(Error::external("no")) }).await.is_err());
        assert_eq!(*cache.get(&other, one()).await.unwrap(), 1);
        assert!(cache.get::<String>(&other, async { Ok(String::new()) }).await.is_err(), "another type");
    }

    #[tokio::test]
    async fn a_value_in_use_ends_with_its_last_user_and_a_bad_end_is_only_logged() {
        let cache = HandlerCache::default();
        let ended = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&ended);
        let at_its_end = move |_: &u32| {
            told.fetch_add(1, Ordering::SeqCst);
            Err(Error::external("it is stuck"))
        };
        let used = cache.get_with_end(&key("a"), one(), at_its_end).await.unwrap();
        cache.clear();
        assert_eq!((cache.len(), ended.load(Ordering::SeqCst), *used), (0, 0, 1));
        drop(used);
        assert_eq!(ended.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_belongs_to_a_version_goes_with_its_last_guard_however_that_ends() {
        let cache = HandlerCache::default();
        let (first, second) = (cache.open_version(3), cache.open_version(3));
        first.get(&key("a"), one()).await.unwrap();
        let cancelled = async {
            let _guard = second;
            std::future::pending::<()>().await;
        };
        let _ = tokio::time::timeout(Duration::from_millis(1), cancelled).await;
        assert_eq!(cache.len(), 1, "one guard is left");
        drop(first);
        assert!(cache.is_empty());
    }
}
