//! The contract of what reads tables: one for each listing of AWS, with everything that is nested in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use tidegate_connectors::providers::columns::Moment;
use tidegate_pipeline::error::Error;
use tidegate_pipeline::provider::{Extent, Pages};

use super::raw::{Capture, Original, Raw};
use super::table::{Declared, Originals, Table};
use super::unread::Unread;
use crate::estate::Session;

/// How many values a filter of AWS takes.
const FILTER_VALUES: usize = 200;
/// More pages than any listing has: a server that never ends one is not followed for ever.
const MOST_PAGES: usize = 1_000_000;

/// Where something is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// In each region.
    Regional,
    /// Once in an account.
    Global,
}

/// Reads one listing of AWS into a table, and what is nested in it into others.
///
/// What it owes:
/// 1. Pages are given as they come; nothing is gathered that grows with the account.
/// 2. With [`Extent::Targets`] it reads only those ids, in as few calls as AWS allows, and what does not exist is no
///    failure.
/// 3. Optional calls (for a column that needs one more per row) that are refused leave NULL.
#[async_trait]
pub(crate) trait Collector: Send + Sync {
    /// Its tables. The first one is the one whose ids targets name, and whose name filters are given under.
    fn tables(&self) -> Vec<&dyn Declared>;

    /// What it must be allowed to do, as IAM policies write it: `ec2:DescribeVolumes`.
    fn actions(&self) -> &'static [&'static str];

    /// What of it costs more than the listing does, a call for each row or money: columns as `table.column`, which are
    /// NULL unless the options name them, and tables, which are empty then.
    fn hydrations(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether it lists the objects of buckets, of which there may be more than anybody wants: as many as the options say.
    fn lists_objects(&self) -> bool {
        false
    }

    /// What it must be allowed to do besides for that of [`Collector::hydrations`].
    fn hydration_actions(&self, _name: &str) -> &'static [&'static str] {
        &[]
    }

    /// Where it lists.
    fn reach(&self) -> Reach {
        Reach::Regional
    }

    /// Reads everything that the call asks for.
    ///
    /// # Errors
    /// What of it could not be read. What was given before stays.
    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread>;
}

/// Filters as the user wrote them: names of filters of AWS, with the values that pass.
pub(crate) type Filters = BTreeMap<String, Vec<String>>;

/// What a collector is asked for.
pub(crate) struct Call<'a> {
    pub(crate) session: &'a Session,
    pub(crate) extent: &'a Extent,
    /// Filters for its first table.
    pub(crate) filters: &'a Filters,
    /// The tables that are wanted.
    pub(crate) wanted: &'a [Arc<str>],
    /// What is wanted of [`Collector::hydrations`].
    pub(crate) hydrate: &'a [String],
    /// How many objects of a bucket are wanted.
    pub(crate) objects: usize,
    pub(crate) pages: Pages,
}

impl Call<'_> {
    /// Whether anybody wants a table.
    pub(crate) fn wants<R: 'static>(&self, table: &Table<R>) -> bool {
        self.wanted.iter().any(|wanted| **wanted == *table.name())
    }

    /// Whether anybody wants that of [`Collector::hydrations`].
    pub(crate) fn hydrates(&self, name: &str) -> bool {
        self.hydrate.iter().any(|wanted| wanted == name)
    }

    /// Refuses filters, for what AWS lists without.
    ///
    /// # Errors
    /// When there are filters.
    pub(crate) fn without_filters(&self, table: &str) -> Result<(), Unread> {
        match self.filters.is_empty() {
            true => Ok(()),
            false => Err(Error::user(format!("AWS cannot filter `{table}`"))
                .with_remedy(format!("leave `{table}` out of `filters`"))
                .into()),
        }
    }

    /// What is asked for, in parts that fit into one request each: ids, or everything (`None`).
    pub(crate) fn parts(&self) -> Vec<Option<Vec<String>>> {
        self.parts_of(FILTER_VALUES)
    }

    /// As [`Call::parts`], for an API that takes `most` ids in a request.
    pub(crate) fn parts_of(&self, most: usize) -> Vec<Option<Vec<String>>> {
        match self.ids(|_| true) {
            None => vec![None],
            Some(ids) => ids.chunks(most).map(|chunk| Some(chunk.to_vec())).collect(),
        }
    }

    /// The ids that are asked for, without those that the API would not take for ids; `None`: everything.
    pub(crate) fn ids(&self, is_id: impl Fn(&str) -> bool) -> Option<Vec<String>> {
        match self.extent {
            Extent::Whole => None,
            Extent::Targets(ids) => Some(ids.iter().filter(|id| is_id(id)).map(ToString::to_string).collect()),
        }
    }

    /// Whether a row of that id is asked for.
    pub(crate) fn asks_for(&self, id: &str) -> bool {
        match self.extent {
            Extent::Whole => true,
            Extent::Targets(ids) => ids.iter().any(|wanted| **wanted == *id),
        }
    }

    /// Begins a listing. `what` is what is done: `list the volumes`.
    pub(crate) fn listing(&self, what: &'static str) -> Listing {
        Listing { what, next: Some(None), pages: 0, landmark: None, capture: Capture::default() }
    }

    /// Hands over rows of a table, unless nobody wants them. `raws` are what AWS wrote of them, in the same order; where
    /// there are not as many, none of them is kept.
    ///
    /// # Errors
    /// When the refresh is over.
    pub(crate) async fn give<R: Sync + 'static>(
        &self,
        table: &Table<R>,
        rows: &[R],
        raws: impl IntoIterator<Item = impl Original + Send> + Send,
    ) -> Result<(), Unread> {
        if rows.is_empty() || !self.wants(table) {
            return Ok(());
        }
        let mut originals = table.originals();
        raws.into_iter().for_each(|raw| originals.add(&raw));
        self.give_made(table, rows, originals).await
    }

    /// As [`Call::give`], where the column `raw` has been made.
    ///
    /// # Errors
    /// When the refresh is over.
    pub(crate) async fn give_made<R: Sync + 'static>(
        &self,
        table: &Table<R>,
        rows: &[R],
        originals: Originals<'_>,
    ) -> Result<(), Unread> {
        if rows.is_empty() || !self.wants(table) {
            return Ok(());
        }
        let page = table.page(&self.session.place, rows, originals, now())?;
        self.pages.send(table.name(), page).await.map_err(|_| Unread::Cancelled)
    }
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A listing that is being read page by page.
pub(crate) struct Listing {
    what: &'static str,
    /// The token of the next page; `None` when there is none.
    next: Option<Option<String>>,
    pages: usize,
    /// A token that has come before: if it comes again, so does all that came since. Moved on whenever the number of
    /// pages has doubled, so that a circle of any length is found after at most three rounds.
    landmark: Option<String>,
    capture: Capture,
}

impl Listing {
    /// The token to ask for the next page with (`None` for the first page); nothing when the listing has ended.
    pub(crate) fn token(&self) -> Option<Option<String>> {
        self.next.clone()
    }

    /// Keeps what AWS writes.
    pub(crate) fn capture(&self) -> Capture {
        self.capture.clone()
    }

    /// Takes a page, with what AWS wrote, and notes the token of the next.
    ///
    /// # Errors
    /// When the page was not given, or its token has come before.
    pub(crate) fn page<O, E>(
        &mut self,
        answer: Result<O, SdkError<E>>,
        token: impl FnOnce(&O) -> Option<&str>,
    ) -> Result<(O, Raw), Unread>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.page_before(answer, |page| token(page).map(str::to_owned))
    }

    /// As [`Listing::page`], of what may be gone: then there is no page, nor a next one.
    ///
    /// # Errors
    /// As [`Listing::page`].
    pub(crate) fn page_unless_gone<O, E>(
        &mut self,
        answer: Result<Option<O>, SdkError<E>>,
        token: impl FnOnce(&O) -> Option<&str>,
    ) -> Result<Option<(O, Raw)>, Unread>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let Some(answer) = answer.transpose() else {
            self.next = None;
            return Ok(None);
        };
        self.page(answer, token).map(Some)
    }

    /// As [`Listing::page`], where the token is made of what the page says.
    ///
    /// # Errors
    /// As [`Listing::page`].
    pub(crate) fn page_before<O, E>(
        &mut self,
        answer: Result<O, SdkError<E>>,
        token: impl FnOnce(&O) -> Option<String>,
    ) -> Result<(O, Raw), Unread>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let page = answer.map_err(|error| Unread::of(self.what, &error))?;
        let next = token(&page).filter(|token| !token.is_empty());
        self.pages += 1;
        if next.is_some() && (next == self.landmark || self.pages >= MOST_PAGES) {
            let message = format!("cannot {} to the end: AWS gives the same pages again and again", self.what);
            return Err(Unread::Failed(Error::external(message)));
        }
        if self.pages.is_power_of_two() {
            self.landmark.clone_from(&next);
        }
        self.next = next.map(Some);
        Ok((page, self.capture.take()))
    }
}

/// An answer that is not a page of a listing.
///
/// # Errors
/// When it was not given.
pub(crate) fn answered<O, E>(what: &str, answer: Result<O, SdkError<E>>) -> Result<O, Unread>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    answer.map_err(|error| Unread::of(what, &error))
}
