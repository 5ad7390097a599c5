//! What is to be refreshed: requests for one group are merged. Nothing here waits or looks at a clock.
//!
//! ```text
//! targets of a group ──► one request ──► more than the threshold ──► the whole group
//!                            │ ▲
//!                  collected ▼ │ failed: again later, with what was asked for meanwhile; too often: the whole group
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::{Extent, ScopeGroup};
use crate::pause::doubled;

/// How often the targets of a group are read before the whole group is.
const ATTEMPTS: u32 = 5;
/// The pause after the first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long after a refresh of a group targets of it are merged before the next one.
const REST: Duration = Duration::from_millis(250);

/// Who waits for requests: a refresh of everything, or a notice.
pub(super) type Waiter = u64;

/// How much of a group is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    Targets(BTreeSet<Arc<str>>),
}

impl Wanted {
    pub(super) fn extent(&self) -> Extent {
        match self {
            Self::Whole => Extent::Whole,
            Self::Targets(ids) => Extent::Targets(ids.iter().cloned().collect()),
        }
    }
}

/// A group that is to be refreshed, or is being refreshed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) group: Arc<ScopeGroup>,
    pub(super) wanted: Wanted,
    pub(super) waiters: BTreeSet<Waiter>,
    /// How often it has been tried in vain.
    attempts: u32,
    /// Not before this.
    after: Option<Instant>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Became {
    /// Part of one that waited already.
    pub(super) merged: bool,
    /// A refresh of the whole group, though only targets were asked for.
    pub(super) escalated: bool,
}

/// Which requests are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    Targeted,
}

/// The requests that wait: at most one of each group, the oldest first.
#[derive(Debug)]
pub(super) struct Waiting {
    /// More targets than this become the whole group.
    threshold: usize,
    whole: BTreeMap<u64, Request>,
    targeted: BTreeMap<u64, Request>,
    places: HashMap<Arc<ScopeGroup>, (Kind, u64)>,
    /// Until when groups rest that have just been refreshed.
    resting: HashMap<Arc<ScopeGroup>, Instant>,
    next: u64,
}

impl Waiting {
    pub(super) fn new(threshold: usize) -> Self {
        let (whole, targeted) = Default::default();
        Self { threshold, whole, targeted, places: HashMap::new(), resting: HashMap::new(), next: 0 }
    }

    /// Takes a request in.
    pub(super) fn want(&mut self, group: &Arc<ScopeGroup>, wanted: Wanted, waiter: Option<Waiter>) -> Became {
        let waiters = waiter.into_iter().collect();
        self.add(Request { group: Arc::clone(group), wanted, waiters, attempts: 0, after: None })
    }

    /// Takes a request in again whose targets could not be read.
    pub(super) fn failed(&mut self, request: Request, now: Instant) -> Became {
        let attempts = request.attempts + 1;
        if attempts >= ATTEMPTS {
            let became = self.add(Request { wanted: Wanted::Whole, attempts: 0, after: None, ..request });
            return Became { escalated: true, ..became };
        }
        let pause = doubled(FIRST_PAUSE, attempts - 1, LONGEST_PAUSE);
        self.add(Request { attempts, after: Some(now + pause), ..request })
    }

    /// A group has been refreshed: its targets are merged for a moment before the next time.
    pub(super) fn rest(&mut self, group: Arc<ScopeGroup>, now: Instant) {
        self.resting.retain(|_, until| *until > now);
        self.resting.insert(group, now + REST);
    }

    fn add(&mut self, mut request: Request) -> Became {
        let mut became = Became::default();
        let earlier = self.places.remove(&request.group);
        if let Some((kind, place)) = earlier
            && let Some(earlier) = self.of(kind).remove(&place)
        {
            became.merged = true;
            request = merge(earlier, request);
        }
        if matches!(&request.wanted, Wanted::Targets(ids) if ids.len() > self.threshold) {
            became.escalated = true;
            request.wanted = Wanted::Whole;
        }
        let kind = match request.wanted {
            Wanted::Whole => Kind::Whole,
            Wanted::Targets(_) => Kind::Targeted,
        };
        if kind == Kind::Whole {
            (request.attempts, request.after) = (0, None);
        }
        self.next += 1;
        // What is asked for again and again keeps its place.
        let place = earlier.filter(|(before, _)| *before == kind).map_or(self.next, |(_, place)| place);
        self.places.insert(Arc::clone(&request.group), (kind, place));
        self.of(kind).insert(place, request);
        became
    }

    /// The oldest request of that kind which is due and whose group is not being refreshed.
    pub(super) fn take(
        &mut self,
        kind: Kind,
        now: Instant,
        is_running: impl Fn(&ScopeGroup) -> bool,
    ) -> Option<Request> {
        let due = |request: &Request| self.due_at(request).is_none_or(|at| at <= now) && !is_running(&request.group);
        let waiting = if kind == Kind::Whole { &self.whole } else { &self.targeted };
        let place = waiting.iter().find(|(_, request)| due(request)).map(|(place, _)| *place)?;
        let request = self.of(kind).remove(&place)?;
        self.places.remove(&request.group);
        Some(request)
    }

    /// When the next request is due that has to wait for a time.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.targeted.values().filter_map(|request| self.due_at(request)).filter(|at| *at > now).min()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whole groups are asked for seldom and wait for nothing.
    fn due_at(&self, request: &Request) -> Option<Instant> {
        match request.wanted {
            Wanted::Whole => None,
            Wanted::Targets(_) => request.after.max(self.resting.get(&request.group).copied()),
        }
    }

    fn of(&mut self, kind: Kind) -> &mut BTreeMap<u64, Request> {
        match kind {
            Kind::Whole => &mut self.whole,
            Kind::Targeted => &mut self.targeted,
        }
    }
}

/// Two requests for one group as one.
fn merge(one: Request, other: Request) -> Request {
    let wanted = match (one.wanted, other.wanted) {
        (Wanted::Targets(mut ids), Wanted::Targets(more)) => {
            ids.extend(more);
            Wanted::Targets(ids)
        }
        _ => Wanted::Whole,
    };
    let waiters = one.waiters.into_iter().chain(other.waiters).collect();
    let (attempts, after) = (one.attempts.max(other.attempts), one.after.max(other.after));
    Request { group: one.group, wanted, waiters, attempts, after }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(region: &str) -> Arc<ScopeGroup> {
        Arc::new(ScopeGroup::new("a", region, ["thing"]))
    }

    fn targets(ids: impl IntoIterator<Item = u32>) -> Wanted {
        Wanted::Targets(ids.into_iter().map(|id| id.to_string().into()).collect())
    }

    fn take(waiting: &mut Waiting, now: Instant) -> Option<Request> {
        let free = |_: &ScopeGroup| false;
        waiting.take(Kind::Targeted, now, free).or_else(|| waiting.take(Kind::Whole, now, free))
    }

    #[tokio::test]
    async fn requests_for_one_group_are_one_and_keep_their_place() {
        let (mut waiting, now) = (Waiting::new(100), Instant::now());
        assert_eq!(waiting.want(&group("r"), targets([1, 2]), Some(1)), Became::default());
        waiting.want(&group("s"), targets([1]), None);
        let merged = Became { merged: true, escalated: false };
        assert_eq!(waiting.want(&group("r"), targets([2, 3]), Some(2)), merged);
        let first = take(&mut waiting, now).unwrap();
        assert_eq!((first.group, first.wanted), (group("r"), targets([1, 2, 3])));
        assert_eq!(first.waiters, BTreeSet::from([1, 2]));
        assert_eq!(take(&mut waiting, now).unwrap().group, group("s"));
        assert!(waiting.is_empty() && take(&mut waiting, now).is_none());
    }

    #[tokio::test]
    async fn more_targets_than_the_threshold_are_the_whole_group_and_so_is_all_that_follows() {
        let (mut waiting, now) = (Waiting::new(3), Instant::now());
        assert_eq!(waiting.want(&group("r"), targets(0..3), None), Became::default());
        assert_eq!(waiting.want(&group("r"), targets([0]), None), Became { merged: true, escalated: false });
        assert_eq!(waiting.want(&group("r"), targets([3]), None), Became { merged: true, escalated: true });
        assert_eq!(waiting.want(&group("r"), targets([4]), None), Became { merged: true, escalated: false });
        assert_eq!(take(&mut waiting, now).unwrap().wanted, Wanted::Whole);
        assert!(waiting.is_empty());
    }

    #[tokio::test]
    async fn a_group_that_is_being_read_waits_and_the_others_do_not() {
        let (mut waiting, now) = (Waiting::new(3), Instant::now());
        waiting.want(&group("r"), Wanted::Whole, None);
        waiting.want(&group("s"), Wanted::Whole, None);
        let running = group("r");
        let taken = waiting.take(Kind::Whole, now, |group| *group == *running).unwrap();
        assert_eq!(taken.group, group("s"));
        assert!(waiting.take(Kind::Whole, now, |group| *group == *running).is_none());
        assert_eq!(take(&mut waiting, now).unwrap().group, group("r"));
    }

    #[tokio::test]
    async fn what_failed_waits_longer_each_time_with_what_came_meanwhile_and_becomes_the_whole_group() {
        let (mut waiting, mut now) = (Waiting::new(100), Instant::now());
        waiting.want(&group("r"), targets([1]), Some(1));
        let mut pauses = Vec::new();
        for attempt in 0..ATTEMPTS {
            let request = take(&mut waiting, now).unwrap();
            assert!(matches!(request.wanted, Wanted::Targets(_)));
            let became = waiting.failed(request, now);
            assert_eq!(became.escalated, attempt + 1 == ATTEMPTS);
            if !became.escalated {
                waiting.want(&group("r"), targets([attempt + 2]), None);
                assert!(take(&mut waiting, now).is_none(), "more targets do not make it come sooner");
                let due = waiting.due(now).unwrap();
                pauses.push((due - now).as_secs());
                now = due;
            }
        }
        assert_eq!(pauses, [1, 2, 4, 8]);
        let last = take(&mut waiting, now).unwrap();
        assert_eq!((last.wanted, last.waiters), (Wanted::Whole, BTreeSet::from([1])));
    }

    #[tokio::test]
    async fn after_a_refresh_targets_are_merged_for_a_moment() {
        let (mut waiting, now) = (Waiting::new(100), Instant::now());
        waiting.rest(group("r"), now);
        waiting.want(&group("r"), targets([1]), None);
        assert!(take(&mut waiting, now).is_none());
        assert_eq!(waiting.due(now), Some(now + REST));
        assert!(take(&mut waiting, now + REST).is_some());
        waiting.want(&group("r"), Wanted::Whole, None);
        assert!(take(&mut waiting, now).is_some(), "a whole group does not wait");
    }
}
