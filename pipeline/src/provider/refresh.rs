//! Refreshing a provider: what is to be read again, and when, several groups at a time.
//!
//! ```text
//! schedule ─► groups listed ─► all of them, wholly ─┐
//! notices ──► targets ──────────────────────────────┼─► Waiting: one request per group ─► Collector, a task each
//! commands ─► targets, groups ──────────────────────┘          ▲                               │
//!                                                              └── failed: again, later ◄──────┘
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::collector::{Collector, GroupEnd, panic_text};
use super::credential_watch::Credentials;
use super::known::{KnownGroups, Meant};
use super::schedule::Timer;
use super::waiting::{Became, Kind, Request, Waiter, Waiting, Wanted};
use super::watch::Watch;
use super::{Notice, Provider, RefreshRequest, RefreshStatus, Schedule, ScopeGroup};
use crate::error::{Error, Result};
use crate::source::Reply;
use crate::step::ScopeOutcome;
use crate::table::INTERRUPTED;

/// How many notices may wait for their refreshes; further ones are not taken meanwhile.
const MOST_NOTICES: usize = 10_000;

/// Who waits for groups to be refreshed.
struct Pending {
    groups: usize,
    /// A refresh of everything.
    is_round: bool,
    replies: Vec<Reply>,
}

/// The groups as the provider is asked for them.
struct Listing {
    task: AbortOnDropHandle<Result<Vec<ScopeGroup>>>,
    /// To refresh all of them.
    for_round: bool,
}

/// What happens next.
enum Happened {
    Ended(Result<(Id, Result<GroupEnd>), JoinError>),
    Listed(Result<Result<Vec<ScopeGroup>>, JoinError>),
    Notice(Notice),
    Asked,
    Woken,
}

/// Refreshes in a task of its own.
pub(super) struct Refresher<P: ?Sized> {
    collector: Arc<Collector<P>>,
    timer: Timer,
    listing: Option<Listing>,
    known: Option<KnownGroups>,
    waiting: Waiting,
    /// The groups that are being collected, a task each.
    tasks: JoinSet<Result<GroupEnd>>,
    running: HashMap<Id, Request>,
    busy: HashSet<Arc<ScopeGroup>>,
    /// What the tables have to hold before a group can be compared with them: what was handed over before any, and for
    /// each that was collected.
    before: u64,
    after: HashMap<Arc<ScopeGroup>, u64>,
    pending: HashMap<Waiter, Pending>,
    last_waiter: Waiter,
    in_round: bool,
    /// Somebody wants everything refreshed.
    round_asked: bool,
    notices: Option<Watch>,
    credentials: Credentials,
    /// Counts what refers to what is not there.
    counting: Option<AbortOnDropHandle<()>>,
}

impl<P: Provider + ?Sized> Refresher<P> {
    pub(super) fn new(collector: Collector<P>, schedule: Schedule, cancel: CancellationToken) -> Self {
        let tables = collector.tables.current();
        let anew = collector.refreshed.load(Ordering::SeqCst) == 0 || !tables.open.is_empty();
        let listens = if schedule == Schedule::Once { None } else { collector.provider.notices() };
        let collector = Arc::new(collector);
        let notices = listens.map(|notices| Watch::start(notices, Arc::clone(&collector.control), cancel));
        Self {
            waiting: Waiting::new(collector.provider.full_refresh_threshold()),
            collector,
            timer: Timer::start(schedule, anew),
            listing: None,
            known: None,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            busy: HashSet::new(),
            before: 0,
            after: HashMap::new(),
            pending: HashMap::new(),
            last_waiter: 0,
            in_round: false,
            round_asked: false,
            notices,
            credentials: Credentials::default(),
            counting: None,
        }
    }

    /// Refreshes as the schedule says, and as it is told.
    ///
    /// # Errors
    /// When the provider cannot list its groups, or nobody takes arrivals any more.
    pub(super) async fn run(mut self) -> Result<()> {
        self.end_interrupted().await?;
        self.before = self.collector.ended();
        loop {
            self.list_groups();
            self.start_requests();
            if self.is_over() {
                return Ok(());
            }
            match self.next().await {
                Happened::Ended(ended) => self.group_ended(ended).await?,
                Happened::Listed(listed) => self.listed(listed).await?,
                Happened::Notice(notice) => self.noticed(notice).await?,
                Happened::Asked => self.asked(),
                Happened::Woken => {}
            }
        }
    }

    /// Ends the scopes that an earlier life of the source left open, so that what it has journaled for them
    /// is visible before it is compared with.
    async fn end_interrupted(&self) -> Result<()> {
        for scope in self.collector.tables.current().open.iter() {
            let outcome = ScopeOutcome::Failed(INTERRUPTED.to_owned());
            self.collector.send_end(scope.clone(), outcome, Vec::new()).await?;
        }
        Ok(())
    }

    /// Asks for the groups when everything is to be refreshed, or something is and they are not known yet. In a task, so
    /// that a panic becomes an error and nothing else waits for it.
    fn list_groups(&mut self) {
        let is_due = self.timer.is_due();
        let again = self.credentials.is_retry_due();
        let for_round = !self.in_round && (is_due || again || self.round_asked);
        let unknown = self.known.is_none() && (self.notices.is_some() || self.collector.control.is_asked());
        if self.listing.is_some() || !(for_round || unknown) {
            return;
        }
        if for_round {
            if is_due {
                self.timer.begun();
            }
            (self.in_round, self.round_asked) = (true, false);
            self.credentials.round_begins();
            self.collector.refreshed.fetch_add(1, Ordering::SeqCst);
        }
        let collector = Arc::clone(&self.collector);
        let listing = async move {
            collector.caught_up(collector.ended()).await;
            collector.provider.groups().await
        };
        self.listing = Some(Listing { task: AbortOnDropHandle::new(tokio::spawn(listing)), for_round });
    }

    /// Begins to collect groups that are to be collected, so many at a time as the provider says, and as many again of
    /// which only some objects are read: so neither kind waits for the other.
    fn start_requests(&mut self) {
        let at_once = self.collector.provider.concurrency().max(1);
        for kind in [Kind::Targeted, Kind::Whole] {
            let is_of_kind = |request: &&Request| (request.wanted == Wanted::Whole) == (kind == Kind::Whole);
            let mut running = self.running.values().filter(is_of_kind).count();
            while running < at_once
                && let Some(request) = self.waiting.take(kind, Instant::now(), |group| self.busy.contains(group))
            {
                self.start(request);
                running += 1;
            }
        }
    }

    fn start(&mut self, request: Request) {
        let (collector, group, wanted) =
            (Arc::clone(&self.collector), Arc::clone(&request.group), request.wanted.clone());
        self.busy.insert(Arc::clone(&group));
        let after = self.after.get(&group).copied().unwrap_or(self.before);
        let task = self.tasks.spawn(async move {
            collector.caught_up(after).await;
            collector.collect(&group, &wanted).await
        });
        self.running.insert(task.id(), request);
    }

    /// Whether nothing will ever be refreshed again.
    fn is_over(&self) -> bool {
        self.timer.was_once() && !self.in_round && self.tasks.is_empty() && self.waiting.is_empty()
    }

    async fn next(&mut self) -> Happened {
        let can_begin = !self.in_round && self.listing.is_none();
        let round = can_begin.then(|| self.timer.look_at()).flatten();
        let again = can_begin.then(|| self.credentials.retry()).flatten();
        let wake = round.into_iter().chain(again).chain(self.waiting.due(Instant::now())).min();
        let listens = self.known.is_some() && self.pending.len() < MOST_NOTICES;
        let (notices, control) = (&mut self.notices, &self.collector.control);
        let listing = &mut self.listing;
        tokio::select! {
            Some(ended) = self.tasks.join_next_with_id() => Happened::Ended(ended),
            listed = async { match listing {
                Some(listing) => (&mut listing.task).await,
                None => std::future::pending().await,
            } } => Happened::Listed(listed),
            notice = async { match notices {
                Some(notices) => notices.next().await,
                None => std::future::pending().await,
            } }, if listens => Happened::Notice(notice),
            () = control.asked(), if self.known.is_some() => Happened::Asked,
            () = control.asked(), if self.known.is_none() && listing.is_none() => Happened::Woken,
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => Happened::Woken,
        }
    }

    async fn listed(&mut self, listed: Result<Result<Vec<ScopeGroup>>, JoinError>) -> Result<()> {
        let for_round = self.listing.take().is_some_and(|listing| listing.for_round);
        let panicked = |error| {
            let text = panic_text(error);
            Error::external(format!("the provider panicked while it listed its scopes: {text}"))
        };
        let groups = listed.map_err(panicked)?.map_err(|error| {
            self.collector.control.status.verified(Err(&error.clone().into()));
            let message = format!("the provider could not list its scopes: {}", error.message);
            Error { message, ..error }
        });
        let groups = groups.inspect_err(|error| self.collector.control.status.error(error.message.clone()))?;
        let known = KnownGroups::new(groups, |table| self.collector.has_table(table))?;
        let all = known.all().to_vec();
        self.known = Some(known);
        if !for_round {
            return Ok(());
        }
        self.collector.control.status.begin(all.len());
        self.last_waiter += 1;
        let waiter = self.last_waiter;
        self.pending.insert(waiter, Pending { groups: all.len(), is_round: true, replies: Vec::new() });
        for group in &all {
            let became = self.waiting.want(group, Wanted::Whole, Some(waiter));
            self.count(became);
        }
        if all.is_empty() { self.settle(waiter).await } else { Ok(()) }
    }

    async fn noticed(&mut self, notice: Notice) -> Result<()> {
        let meant = self.known.as_ref().map(|known| known.noticed(&notice)).unwrap_or_default();
        self.last_waiter += 1;
        let waiter = self.last_waiter;
        let replies = notice.done.into_iter().collect();
        self.pending.insert(waiter, Pending { groups: meant.groups.len(), is_round: false, replies });
        let nothing = meant.groups.is_empty();
        self.want(meant, Some(waiter));
        if nothing { self.settle(waiter).await } else { Ok(()) }
    }

    fn asked(&mut self) {
        for request in self.collector.control.take() {
            if request == RefreshRequest::default() {
                self.round_asked = true;
                continue;
            }
            let meant = self.known.as_ref().map(|known| known.asked(&request)).unwrap_or_default();
            if meant.groups.is_empty() {
                tracing::warn!(?request, "A refresh was asked for of what is not collected.");
            }
            self.want(meant, None);
        }
    }

    fn want(&mut self, meant: Meant, waiter: Option<Waiter>) {
        let status = &self.collector.control.status;
        RefreshStatus::count(&status.targets, meant.targets);
        RefreshStatus::count(&status.unknown, meant.unknown);
        for (group, wanted) in meant.groups {
            let became = self.waiting.want(&group, wanted, waiter);
            self.count(became);
        }
    }

    fn count(&self, became: Became) {
        let status = &self.collector.control.status;
        RefreshStatus::count(&status.merged, usize::from(became.merged));
        RefreshStatus::count(&status.escalated, usize::from(became.escalated));
    }

    /// Takes note of a group that has ended. One whose task panicked has told the sequencer no end: its scopes are ended
    /// as interrupted by their next begin, and the other groups go on.
    async fn group_ended(&mut self, ended: Result<(Id, Result<GroupEnd>), JoinError>) -> Result<()> {
        let (id, end) = match ended {
            Ok((id, end)) => (id, end?),
            Err(error) => {
                let (id, reason) = (error.id(), panic_text(error));
                tracing::error!(%reason, "Comparing what a provider has collected broke off.");
                (id, GroupEnd { failed: 1, reason: Some(reason), ended: self.collector.ended(), ..GroupEnd::default() })
            }
        };
        let Some(request) = self.running.remove(&id) else { return Ok(()) };
        self.busy.remove(&request.group);
        self.after.insert(Arc::clone(&request.group), end.ended);
        let status = &self.collector.control.status;
        RefreshStatus::count(&status.failed_scopes, end.failed);
        let targeted = request.wanted != Wanted::Whole;
        if end.failed < request.group.tables.len() {
            self.credentials.something_was_read();
        }
        if targeted {
            RefreshStatus::count(&status.targeted, 1);
            RefreshStatus::count(&status.escalated, usize::from(end.whole));
            self.waiting.rest(Arc::clone(&request.group), Instant::now());
        }
        if let (true, false, Some(reason)) = (targeted, end.whole, &end.reason) {
            tracing::warn!(%reason, group = %request.group, "Objects could not be read again; that is tried once more.");
            RefreshStatus::count(&status.retried, 1);
            let became = self.waiting.failed(request, Instant::now());
            RefreshStatus::count(&self.collector.control.status.escalated, usize::from(became.escalated));
            return Ok(());
        }
        if let Some(reason) = end.reason {
            status.error(reason);
        }
        for waiter in request.waiters {
            self.settle(waiter).await?;
        }
        Ok(())
    }

    /// One more of the groups that somebody waits for has been refreshed, or there were none.
    async fn settle(&mut self, waiter: Waiter) -> Result<()> {
        let Some(pending) = self.pending.get_mut(&waiter) else { return Ok(()) };
        if pending.is_round && pending.groups > 0 {
            RefreshStatus::count(&self.collector.control.status.groups_done, 1);
        }
        pending.groups = pending.groups.saturating_sub(1);
        if pending.groups > 0 {
            return Ok(());
        }
        let Some(pending) = self.pending.remove(&waiter) else { return Ok(()) };
        if pending.is_round {
            self.in_round = false;
            self.round_ended();
        }
        Ok(self.collector.settle(pending.replies).await?)
    }

    /// Everything has been refreshed: counts what refers to what is not there, beside what goes on.
    fn round_ended(&mut self) {
        self.collector.control.status.end();
        self.credentials.round_ended(&self.collector, self.timer.repeats());
        let tables = self.collector.provider.tables();
        if tables.iter().all(|table| table.references.is_empty()) {
            return;
        }
        let (collector, ended) = (Arc::clone(&self.collector), self.collector.ended());
        let counting = async move {
            collector.caught_up(ended).await;
            let tables = collector.tables.current();
            let counted = tokio::task::spawn_blocking(move || tables.unresolved(&[])).await;
            match counted.map_err(Error::internal).flatten() {
                Ok(unresolved) => collector.control.status.set_unresolved(unresolved),
                Err(error) => tracing::error!(%error, "References could not be counted."),
            }
        };
        self.counting = Some(AbortOnDropHandle::new(tokio::spawn(counting)));
    }
}
