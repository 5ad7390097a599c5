//! What all requests to the EFS API have in common.

use aws_sdk_efs::Client;
use aws_sdk_efs::operation::describe_file_systems::DescribeFileSystemsOutput;
use aws_sdk_efs::types::Tag;

use crate::estate::Session;
use crate::provider::{Call, Listing, NoPages, Raw, Unread, WholeAnswers, unless_unknown};

/// How many things a page may have.
const PAGE: i32 = 100;

/// A client for this account and region.
pub(super) fn client(session: &Session) -> Client {
    let limits = session.limits("elasticfilesystem");
    let config = aws_sdk_efs::config::Builder::from(session.config()).retry_partition(limits);
    Client::from_conf(config.retry_classifier(NoPages).interceptor(WholeAnswers).build())
}

/// Whether EFS takes this for the id of something whose ids begin so.
pub(super) fn is_id(id: &str, beginning: &str) -> bool {
    let digits = id.strip_prefix(beginning).unwrap_or_default();
    (8..=40).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Begins to list the file systems.
pub(super) fn file_systems(call: &Call<'_>) -> Listing {
    call.listing("list the file systems")
}

/// A page of file systems: of all, or the one of that id; nothing where that is gone.
///
/// # Errors
/// When it is not given.
pub(super) async fn page(
    client: &Client,
    listing: &mut Listing,
    token: Option<String>,
    id: Option<&str>,
) -> Result<Option<(DescribeFileSystemsOutput, Raw)>, Unread> {
    let request = client.describe_file_systems().max_items(PAGE).set_marker(token);
    let request = request.set_file_system_id(id.map(str::to_owned));
    let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
    listing.page_unless_gone(answer, |page| page.next_marker())
}

/// Tags as pairs.
pub(super) fn tags(tags: &[Tag]) -> Vec<(String, String)> {
    tags.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}
