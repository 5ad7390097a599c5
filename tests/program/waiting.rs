//! Waiting for what will happen, but not for ever.

use std::time::{Duration, Instant};

/// Longer than anything takes that a test waits for, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What can be waited for: that something is so, or that there is something.
pub(crate) trait Happening {
    type Found;

    /// What has happened, if it has.
    fn found(self) -> Option<Self::Found>;
}

impl Happening for bool {
    type Found = ();

    fn found(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Happening for Option<T> {
    type Found = T;

    fn found(self) -> Self {
        self
    }
}

/// Waits until it is so, or until there is something.
#[track_caller]
pub(crate) fn eventually<H: Happening>(what: &str, mut happening: impl FnMut() -> H) -> H::Found {
    let begun = Instant::now();
    loop {
        if let Some(found) = happening().found() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        pause(begun);
    }
}

/// Waits a moment. What takes long is looked at less often: looking may mean to read all of a topic.
pub(super) fn pause(begun: Instant) {
    std::thread::sleep((begun.elapsed() / 10).clamp(Duration::from_millis(2), Duration::from_secs(5)));
}
