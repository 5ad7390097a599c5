//! `aws_iam_virtual_mfa_device`, from ListVirtualMFADevices.

use async_trait::async_trait;
use aws_sdk_iam::types::VirtualMfaDevice;

use super::request::{PAGE, asked_for, client, marker, tags};
use crate::provider::{Call, Collector, Declared, Reach, Table, Unread};

const NAME: &str = "aws_iam_virtual_mfa_device";

/// Reads ListVirtualMFADevices.
pub(super) struct VirtualMfaDevices {
    devices: Table<VirtualMfaDevice>,
}

impl VirtualMfaDevices {
    pub(super) fn new() -> Self {
        Self { devices: devices() }
    }
}

fn devices() -> Table<VirtualMfaDevice> {
    let description = "Second factors that are programs. That of the root user is `arn:aws:iam::ACCOUNT:mfa/root-account-mfa-device`.";
    Table::new(NAME, description, |_, device: &VirtualMfaDevice| device.serial_number().to_owned())
        .target("serial_number", "The serial number: an ARN.", |device: &VirtualMfaDevice| Some(device.serial_number()))
        .text("assignment_status", "`Assigned` or `Unassigned`.", |device| {
            Some(if device.user().is_some() { "Assigned" } else { "Unassigned" })
        })
        .time("enable_date", "Since when it is assigned.", |device| device.enable_date())
        .text("user_id", "The id of the user; of the root user, the account.", |device| Some(device.user()?.user_id()))
        .text("user_arn", "The ARN of the user.", |device| Some(device.user()?.arn()))
        .text("user_name", "The name of the user; the root user has none.", |device| Some(device.user()?.user_name()))
        .tags(|device| tags(device.tags()))
        // Secrets, should they ever be listed.
        .without(["Base32StringSeed", "QRCodePNG"])
}

#[async_trait]
impl Collector for VirtualMfaDevices {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.devices]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["iam:ListVirtualMFADevices"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let mut listing = call.listing("list the virtual second factors");
        while let Some(token) = listing.token() {
            let request = client.list_virtual_mfa_devices().max_items(PAGE).set_marker(token);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |page| marker(page.is_truncated(), page.marker()))?;
            let raws = raw.items("ListVirtualMFADevicesResult/VirtualMFADevices");
            let (devices, raws) =
                asked_for(call, page.virtual_mfa_devices, raws, |device| Some(device.serial_number()));
            call.give(&self.devices, &devices, raws).await?;
        }
        Ok(())
    }
}
