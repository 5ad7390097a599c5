//! `aws_s3_bucket_content` and `aws_s3_object`, from ListObjectsV2: the first objects of each bucket, as many as the option
//! `objects` says; nothing without that option.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::{EncodingType, Object};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;

use super::bucket_listing::next_page;
use super::request::{arn, client};
use crate::opsbox;
use crate::percent::decoded_form;
use crate::provider::{Call, Collector, Declared, Optional, Table, Unread, sorted, unless_unknown};

const NAME: &str = "aws_s3_bucket_content";
/// How many objects a page may have.
const PAGE: usize = 1000;
/// How many buckets are listed at a time.
const BUCKETS: usize = 4;
/// What is said of a bucket whose objects are of several storage classes.
const MIXED: &str = "MIXED";
/// The storage class of an object of which none is said.
const STANDARD: &str = "STANDARD";

/// An object of a bucket.
struct Listed {
    bucket: String,
    key: String,
    object: Object,
}

impl Listed {
    fn storage_class(&self) -> &str {
        self.object.storage_class().map_or(STANDARD, |class| class.as_str())
    }
}

/// What is in a bucket, as far as it was listed.
#[derive(Debug, Clone, Default)]
struct Content {
    bucket: String,
    /// `None` where it may not be listed.
    listed: Option<Seen>,
}

/// What was seen of the objects.
#[derive(Debug, Clone, Default)]
struct Seen {
    objects: i64,
    size: i64,
    truncated: bool,
    storage_class: Option<String>,
    newest: Option<aws_sdk_s3::primitives::DateTime>,
}

impl Seen {
    fn add(&mut self, listed: &Listed) {
        self.objects += 1;
        self.size = self.size.saturating_add(listed.object.size().unwrap_or_default());
        self.storage_class = Some(match self.storage_class.take() {
            Some(class) if class != listed.storage_class() => MIXED.to_owned(),
            _ => listed.storage_class().to_owned(),
        });
        self.newest = self.newest.max(listed.object.last_modified().copied());
    }
}

/// Lists the objects of buckets.
pub(super) struct Objects {
    contents: Table<Content>,
    objects: Table<Listed>,
}

impl Objects {
    pub(super) fn new() -> Self {
        Self { contents: contents(), objects: objects() }
    }
}

fn contents() -> Table<Content> {
    let description = "What is in buckets, as far as `objects` has it listed; empty without that option.";
    Table::new(NAME, description, |place, content: &Content| arn(place, &content.bucket))
        .view(opsbox::BUCKETS)
        .target("bucket_name", "The bucket.", |content| Some(&content.bucket))
        .integer("objects_listed", "How many objects were listed; NULL where that is refused.", |content| {
            Some(content.listed.as_ref()?.objects)
        })
        .boolean("is_truncated", "Whether there are more, which were not looked at.", |content| {
            Some(content.listed.as_ref()?.truncated)
        })
        .text("storage_class", "The storage class of all objects that were listed, or `MIXED`.", |content| {
            content.listed.as_ref()?.storage_class.as_deref()
        })
        .time("last_modified", "When the newest of them was written.", |content| {
            content.listed.as_ref()?.newest.as_ref()
        })
        .integer("size", "How large they are together, in bytes.", |content| Some(content.listed.as_ref()?.size))
}

fn objects() -> Table<Listed> {
    let description = "The first objects of each bucket, by key, as many as `objects` says; none without that option.";
    Table::new("aws_s3_object", description, |place, listed: &Listed| {
        arn(place, format_args!("{}/{}", listed.bucket, listed.key))
    })
    .view(opsbox::OBJECTS)
    .target("bucket_name", "The bucket.", |listed| Some(&listed.bucket))
    .key("key", "The key of the object.", |listed| Some(&listed.key))
    .text("storage_class", "`STANDARD`, `STANDARD_IA`, `GLACIER`, `DEEP_ARCHIVE`, …", |listed| {
        Some(listed.storage_class())
    })
    .integer("size", "Its size, in bytes.", |listed| listed.object.size())
    .time("last_modified", "When it was written.", |listed| listed.object.last_modified())
    .text("etag", "What its contents are known by, without quotes.", |listed| {
        Some(listed.object.e_tag()?.trim_matches('"'))
    })
    .texts("checksum_algorithm", "The checksums that it has.", |listed| {
        sorted(listed.object.checksum_algorithm().iter().map(|algorithm| Some(algorithm.as_str())))
    })
}

impl Objects {
    /// The first objects of a bucket; nothing where it is gone.
    async fn read(
        &self,
        call: &Call<'_>,
        client: &Client,
        optional: &Optional<'_>,
        bucket: &str,
    ) -> Result<Option<Content>, Unread> {
        let mut seen = Seen::default();
        let mut listing = call.listing("list the objects of a bucket");
        while let Some(token) = listing.token() {
            let left = call.objects.saturating_sub(usize::try_from(seen.objects).unwrap_or(usize::MAX));
            if left == 0 {
                seen.truncated = true;
                break;
            }
            let most = i32::try_from(left.min(PAGE)).unwrap_or(i32::MAX);
            let request = client.list_objects_v2().bucket(bucket).encoding_type(EncodingType::Url);
            let request = request.max_keys(most).set_continuation_token(token);
            let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
            let page = listing.page_unless_gone(answer, |page| page.next_continuation_token());
            let (page, raw) = match optional.take(page)? {
                Some(Some(page)) => page,
                Some(None) => return Ok(None),
                None => return Ok(Some(Content { bucket: bucket.to_owned(), listed: None })),
            };
            let is_encoded = page.encoding_type() == Some(&EncodingType::Url);
            let listed = page.contents.unwrap_or_default().into_iter().map(|object| {
                let key = object.key().unwrap_or_default();
                let key = if is_encoded { decoded_form(key) } else { key.to_owned() };
                Listed { bucket: bucket.to_owned(), key, object }
            });
            let listed: Vec<Listed> = listed.collect();
            listed.iter().for_each(|listed| seen.add(listed));
            call.give(&self.objects, &listed, raw.items("Contents")).await?;
        }
        Ok(Some(Content { bucket: bucket.to_owned(), listed: Some(seen) }))
    }
}

#[async_trait]
impl Collector for Objects {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.contents, &self.objects]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["s3:ListAllMyBuckets"]
    }

    fn lists_objects(&self) -> bool {
        true
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        if call.objects == 0 {
            return Ok(());
        }
        let client = client(call.session);
        let optional = Optional::new(call.session);
        let mut listing = call.listing("list the buckets");
        while let Some(token) = listing.token() {
            let buckets = next_page(&client, call, &mut listing, token).await?;
            let (client, optional) = (&client, &optional);
            let read = |(bucket, _): super::bucket_listing::Listed| async move {
                self.read(call, client, optional, bucket.name().unwrap_or_default()).await
            };
            let contents: Vec<Option<Content>> =
                stream::iter(buckets).map(read).buffered(BUCKETS).try_collect().await?;
            let contents: Vec<Content> = contents.into_iter().flatten().collect();
            call.give(&self.contents, &contents, Vec::<&Value>::new()).await?;
        }
        Ok(())
    }
}
