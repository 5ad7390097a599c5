//! The requests of S3 that copies need.

use std::collections::BTreeSet;
use std::path::Path;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use tidegate_pipeline::checkpoint::copies::BucketLocation;
use tidegate_pipeline::error::{Error, Result};
use tokio::sync::OnceCell;

use crate::connection::Connection;
use crate::failure::failure;

/// The longest object that is read whole.
const SMALL: i64 = 1024 * 1024;

/// The objects of a part of a bucket.
pub(super) struct Objects {
    location: BucketLocation,
    client: OnceCell<Client>,
}

/// An object that was read whole.
pub(super) struct Read {
    pub(super) bytes: Vec<u8>,
    /// What S3 knows these contents by.
    tag: Option<String>,
}

/// An object that is being read.
pub(super) struct Body {
    stream: ByteStream,
    name: String,
}

impl Body {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let broken = |error| Error::external(format!("{} could not be read to its end: {error}", self.name));
        Ok(self.stream.try_next().await.map_err(broken)?.map(|piece| piece.to_vec()))
    }
}

impl Objects {
    pub(super) fn new(location: BucketLocation) -> Self {
        Self { location, client: OnceCell::new() }
    }

    pub(super) fn connected(location: BucketLocation, config: &SdkConfig) -> Self {
        Self { location, client: OnceCell::new_with(Some(client(config))) }
    }

    pub(super) fn location(&self) -> &BucketLocation {
        &self.location
    }

    async fn client(&self) -> Result<&Client> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Client> {
        let BucketLocation { region, endpoint, profile, .. } = self.location.clone();
        let connection = Connection { region, endpoint_url: endpoint, profile, ..Connection::default() };
        Ok(client(&connection.load(RetryConfig::standard()).await?))
    }

    fn key(&self, name: &str) -> String {
        match self.location.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        }
    }

    /// What is tried, for messages.
    fn trying(&self, what: &str, name: &str) -> String {
        format!("{what} {}/{name}", self.location)
    }

    pub(super) async fn names(&self, folder: &str) -> Result<BTreeSet<String>> {
        let prefix = match folder {
            "" => self.key(""),
            folder => format!("{}/", self.key(folder)),
        };
        let request = self.client().await?.list_objects_v2().bucket(&self.location.bucket).prefix(&prefix);
        let mut pages = request.delimiter("/").into_paginator().send();
        let mut names = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure(&self.trying("list", folder), &error))?;
            let keys = page.contents().iter().filter_map(|object| object.key());
            names.extend(keys.filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned));
        }
        Ok(names)
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Read>> {
        let Some((stream, tag, length)) = self.get(name).await? else { return Ok(None) };
        if length.unwrap_or_default() > SMALL {
            let message = format!("{}/{name} is no file of copies: it has {length:?} bytes", self.location);
            return Err(Error::external(message).never_retry());
        }
        let broken = |error| Error::external(format!("{}: {error}", self.trying("cannot read", name)));
        Ok(Some(Read { bytes: stream.collect().await.map_err(broken)?.to_vec(), tag }))
    }

    pub(super) async fn open(&self, name: &str) -> Result<Option<Body>> {
        let name_there = format!("{}/{name}", self.location);
        Ok(self.get(name).await?.map(|(stream, ..)| Body { stream, name: name_there }))
    }

    async fn get(&self, name: &str) -> Result<Option<(ByteStream, Option<String>, Option<i64>)>> {
        let request = self.client().await?.get_object().bucket(&self.location.bucket).key(self.key(name));
        match request.send().await {
            Ok(found) => Ok(Some((found.body, found.e_tag, found.content_length))),
            Err(error) if error.as_service_error().is_some_and(|answer| answer.is_no_such_key()) => Ok(None),
            Err(error) => Err(failure(&self.trying("read", name), &error)),
        }
    }

    pub(super) async fn send(&self, name: &str, from: &Path) -> Result<()> {
        let unreadable = |error| Error::external(format!("cannot read {}: {error}", from.display()));
        let body = ByteStream::from_path(from).await.map_err(unreadable)?;
        let request = self.client().await?.put_object().bucket(&self.location.bucket).key(self.key(name)).body(body);
        request.send().await.map(drop).map_err(|error| failure(&self.trying("write", name), &error))
    }

    pub(super) async fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool> {
        let request = self.client().await?.put_object().bucket(&self.location.bucket).key(self.key(name));
        let written = request.if_none_match("*").body(ByteStream::from(bytes.clone())).send().await;
        self.written(name, &bytes, written).await
    }

    pub(super) async fn exchange(&self, name: &str, before: &[u8], bytes: Vec<u8>) -> Result<bool> {
        let Some(Read { bytes: present, tag: Some(tag) }) = self.read(name).await? else { return Ok(false) };
        if present != before {
            return Ok(false);
        }
        let request = self.client().await?.put_object().bucket(&self.location.bucket).key(self.key(name));
        let written = request.if_match(tag).body(ByteStream::from(bytes.clone())).send().await;
        self.written(name, &bytes, written).await
    }

    /// Whether a conditional write was made.
    async fn written(
        &self,
        name: &str,
        bytes: &[u8],
        outcome: Result<PutObjectOutput, SdkError<PutObjectError>>,
    ) -> Result<bool> {
        let Err(error) = outcome else { return Ok(true) };
        let status = error.raw_response().map(|response| response.status().as_u16());
        match (status, error.as_service_error().and_then(ProvideErrorMetadata::code)) {
            // An attempt whose answer was lost may have been the one that wrote it.
            (Some(412), _) => Ok(self.read(name).await?.is_some_and(|present| present.bytes == bytes)),
            (Some(404), Some("NoSuchKey")) => Ok(false),
            (Some(501), _) | (_, Some("NotImplemented")) => Err(failure(&self.trying("write", name), &error)
                .never_retry()
                .with_remedy("copies need a store that knows conditional writes (`If-None-Match`, `If-Match`)")),
            _ => Err(failure(&self.trying("write", name), &error)),
        }
    }

    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        let request = self.client().await?.delete_object().bucket(&self.location.bucket).key(self.key(name));
        request.send().await.map(drop).map_err(|error| failure(&self.trying("remove", name), &error))
    }
}

fn client(config: &SdkConfig) -> Client {
    let foreign = config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    let mut builder = aws_sdk_s3::config::Builder::from(config);
    if foreign {
        // Other stores have no host name for each bucket, and not all of them know checksums behind the contents.
        builder = builder.force_path_style(true).request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
    }
    Client::from_conf(builder.build())
}
