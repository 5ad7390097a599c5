//! `aws_iam_server_certificate`, from ListServerCertificates.

use async_trait::async_trait;
use aws_sdk_iam::types::ServerCertificateMetadata;

use super::request::{PAGE, asked_for, client, marker};
use crate::provider::{Call, Collector, Declared, Reach, Table, Unread};

const NAME: &str = "aws_iam_server_certificate";

/// Reads ListServerCertificates.
pub(super) struct ServerCertificates {
    certificates: Table<ServerCertificateMetadata>,
}

impl ServerCertificates {
    pub(super) fn new() -> Self {
        Self { certificates: certificates() }
    }
}

fn certificates() -> Table<ServerCertificateMetadata> {
    let description = "The certificates for TLS that were uploaded to IAM.";
    Table::new(NAME, description, |_, certificate: &ServerCertificateMetadata| certificate.arn().to_owned())
        .target("name", "The name of the certificate.", |certificate: &ServerCertificateMetadata| {
            Some(certificate.server_certificate_name())
        })
        .text("server_certificate_id", "The id of the certificate: `ASCA…`.", |certificate| {
            Some(certificate.server_certificate_id())
        })
        .text("path", "The path of the certificate.", |certificate| Some(certificate.path()))
        .time("upload_date", "When it was uploaded.", |certificate| certificate.upload_date())
        .time("expiration", "When it expires.", |certificate| certificate.expiration())
}

#[async_trait]
impl Collector for ServerCertificates {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.certificates]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["iam:ListServerCertificates"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let mut listing = call.listing("list the server certificates");
        while let Some(token) = listing.token() {
            let request = client.list_server_certificates().max_items(PAGE).set_marker(token);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |page| marker(page.is_truncated(), page.marker()))?;
            let raws = raw.items("ListServerCertificatesResult/ServerCertificateMetadataList");
            let listed = page.server_certificate_metadata_list;
            let (certificates, raws) =
                asked_for(call, listed, raws, |certificate| Some(certificate.server_certificate_name()));
            call.give(&self.certificates, &certificates, raws).await?;
        }
        Ok(())
    }
}
