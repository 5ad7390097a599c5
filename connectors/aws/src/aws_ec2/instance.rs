//! `aws_ec2_instance`, `aws_ec2_instance_block_device` and `aws_ec2_instance_network_interface`, from DescribeInstances.

use async_trait::async_trait;
use aws_sdk_ec2::types::{Instance, InstanceBlockDeviceMapping, InstanceNetworkInterface, Reservation};
use tidegate_pipeline::error::Error;
use tokio_util::task::AbortOnDropHandle;

use super::instance_attribute::{AttributeReader, Attributes, DISABLE_API_TERMINATION, USER_DATA};
use super::instance_cpu::{AVG_CPU_UTILIZATION, CpuReader};
use super::request::{client, filters, tags};
use super::transition::transition_time;
use crate::cloudwatch::{METRICS, Mean};
use crate::opsbox;
use crate::provider::{Call, Collector, Declared, Listing, Table, Unread};

/// How many instances a page may have.
const PAGE: i32 = 1000;

/// An instance, with what stands beside it in its reservation.
struct Listed {
    instance: Instance,
    reservation_id: Option<String>,
    owner_id: Option<String>,
    attributes: Attributes,
    cpu: Option<Mean>,
}

/// Something that is nested in an instance.
struct Nested<T> {
    instance_id: String,
    part: T,
}

impl<T> Nested<T> {
    /// The parts of instances that `parts` takes out of them.
    fn taken(instances: &mut [Listed], parts: impl Fn(&mut Instance) -> Option<Vec<T>>) -> Vec<Self> {
        let nested = |listed: &mut Listed| {
            let parts = parts(&mut listed.instance).unwrap_or_default();
            let instance_id = listed.instance.instance_id().unwrap_or_default().to_owned();
            parts.into_iter().map(move |part| Self { instance_id: instance_id.clone(), part })
        };
        instances.iter_mut().flat_map(nested).collect()
    }
}

/// Reads DescribeInstances.
pub(super) struct Instances {
    instances: Table<Listed>,
    block_devices: Table<Nested<InstanceBlockDeviceMapping>>,
    network_interfaces: Table<Nested<InstanceNetworkInterface>>,
}

impl Instances {
    pub(super) fn new() -> Self {
        let instances = instances();
        let instances = hydrated(metadata(placement(network(machine(instances)))));
        Self { instances, block_devices: block_devices(), network_interfaces: network_interfaces() }
    }
}

/// What an instance is and in which state.
fn instances() -> Table<Listed> {
    Table::new("aws_ec2_instance", "EC2 instances.", |place, listed: &Listed| {
        place.arn("ec2", format_args!("instance/{}", listed.instance.instance_id().unwrap_or_default()))
    })
    .view(opsbox::INSTANCES)
    .target("instance_id", "The id of the instance.", |listed| listed.instance.instance_id())
    .reference("instance_type", "Its type.", ("aws_ec2_instance_type", "instance_type"), |listed| {
        Some(listed.instance.instance_type()?.as_str())
    })
    .text("instance_state", "`pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.", |listed| {
        Some(listed.instance.state()?.name()?.as_str())
    })
    .integer("state_code", "The code of the state.", |listed| listed.instance.state()?.code())
    .text("state_reason_code", "The code of the reason for the last change of state.", |listed| {
        listed.instance.state_reason()?.code()
    })
    .text("state_transition_reason", "Who or what has changed the state, and when.", |listed| {
        listed.instance.state_transition_reason()
    })
    .made_time("state_transition_time", "When the state was changed, where the reason says it.", |listed| {
        transition_time(listed.instance.state_transition_reason()?)
    })
    .time("launch_time", "When it was started last.", |listed| listed.instance.launch_time())
    .text("monitoring_state", "`disabled`, `disabling`, `enabled` or `pending`: detailed monitoring.", |listed| {
        Some(listed.instance.monitoring()?.state()?.as_str())
    })
    .text("reservation_id", "The reservation that it was started with.", |listed| listed.reservation_id.as_deref())
    .text("owner_id", "The account that owns the reservation.", |listed| listed.owner_id.as_deref())
    .tags(|listed| tags(listed.instance.tags()))
}

/// What it runs on and from.
fn machine(table: Table<Listed>) -> Table<Listed> {
    table
        .reference("image_id", "The image that it was started from.", ("aws_ec2_ami", "image_id"), |listed| {
            listed.instance.image_id()
        })
        .text("architecture", "`x86_64`, `arm64`, `i386`, …", |listed| Some(listed.instance.architecture()?.as_str()))
        .text("platform", "`windows`, else NULL.", |listed| Some(listed.instance.platform()?.as_str()))
        .text("platform_details", "The platform, as it is billed.", |listed| listed.instance.platform_details())
        .text("usage_operation", "The operation that is billed.", |listed| listed.instance.usage_operation())
        .text("virtualization_type", "`hvm` or `paravirtual`.", |listed| {
            Some(listed.instance.virtualization_type()?.as_str())
        })
        .text("hypervisor", "`xen` or `ovm`.", |listed| Some(listed.instance.hypervisor()?.as_str()))
        .text("boot_mode", "The mode of its image: `legacy-bios`, `uefi` or `uefi-preferred`.", |listed| {
            Some(listed.instance.boot_mode()?.as_str())
        })
        .integer("cpu_options_core_count", "How many cores it has.", |listed| {
            listed.instance.cpu_options()?.core_count()
        })
        .integer("cpu_options_threads_per_core", "How many threads each core has.", |listed| {
            listed.instance.cpu_options()?.threads_per_core()
        })
        .boolean("ebs_optimized", "Whether it is optimised for EBS.", |listed| listed.instance.ebs_optimized())
        .boolean("ena_support", "Whether enhanced networking is on.", |listed| listed.instance.ena_support())
        .text("sriov_net_support", "Whether enhanced networking by an Intel interface is on.", |listed| {
            listed.instance.sriov_net_support()
        })
        .text("root_device_name", "The name of its root device.", |listed| listed.instance.root_device_name())
        .text("root_device_type", "`ebs` or `instance-store`.", |listed| {
            Some(listed.instance.root_device_type()?.as_str())
        })
        .reference("key_name", "The key pair.", ("aws_ec2_key_pair", "key_name"), |listed| listed.instance.key_name())
        .text("instance_lifecycle", "`spot`, `scheduled` or `capacity-block`, else NULL.", |listed| {
            Some(listed.instance.instance_lifecycle()?.as_str())
        })
        .text("spot_instance_request_id", "The request of a spot instance.", |listed| {
            listed.instance.spot_instance_request_id()
        })
        .text("capacity_reservation_id", "The reservation of capacity.", |listed| {
            listed.instance.capacity_reservation_id()
        })
        .integer("ami_launch_index", "Its number among those that were started together.", |listed| {
            listed.instance.ami_launch_index()
        })
        .text("client_token", "The token that its start was made safe to repeat with.", |listed| {
            listed.instance.client_token()
        })
        .text("kernel_id", "The kernel.", |listed| listed.instance.kernel_id())
        .text("ram_disk_id", "The RAM disk.", |listed| listed.instance.ramdisk_id())
}

/// Where it is in the network.
fn network(table: Table<Listed>) -> Table<Listed> {
    table
        .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |listed| listed.instance.vpc_id())
        .reference("subnet_id", "Its subnet.", ("aws_vpc_subnet", "subnet_id"), |listed| listed.instance.subnet_id())
        .text("private_ip_address", "Its private address.", |listed| listed.instance.private_ip_address())
        .text("private_dns_name", "The name of its private address.", |listed| listed.instance.private_dns_name())
        .text("public_ip_address", "Its public address.", |listed| listed.instance.public_ip_address())
        .text("public_dns_name", "The name of its public address.", |listed| listed.instance.public_dns_name())
        .text("ipv6_address", "Its IPv6 address.", |listed| listed.instance.ipv6_address())
        .boolean("source_dest_check", "Whether source and destination are checked.", |listed| {
            listed.instance.source_dest_check()
        })
        .texts("security_group_ids", "Its security groups.", |listed| {
            listed
                .instance
                .security_groups()
                .iter()
                .filter_map(|group| group.group_id().map(str::to_owned))
                .collect::<Vec<_>>()
        })
}

/// Where it is placed.
fn placement(table: Table<Listed>) -> Table<Listed> {
    table
        .reference("placement_availability_zone", "Its zone.", ("aws_availability_zone", "name"), |listed| {
            listed.instance.placement()?.availability_zone()
        })
        .text("placement_group_name", "Its placement group.", |listed| listed.instance.placement()?.group_name())
        .text("placement_tenancy", "`default`, `dedicated` or `host`.", |listed| {
            Some(listed.instance.placement()?.tenancy()?.as_str())
        })
        .text("placement_host_id", "The dedicated host.", |listed| listed.instance.placement()?.host_id())
        .text("outpost_arn", "The outpost that it is on.", |listed| listed.instance.outpost_arn())
        .text("iam_instance_profile_arn", "The instance profile.", |listed| {
            listed.instance.iam_instance_profile()?.arn()
        })
        .text("iam_instance_profile_id", "The id of the instance profile.", |listed| {
            listed.instance.iam_instance_profile()?.id()
        })
}

/// How its metadata service may be used.
fn metadata(table: Table<Listed>) -> Table<Listed> {
    table
        .text("metadata_http_endpoint", "`enabled` or `disabled`: the instance metadata service.", |listed| {
            Some(listed.instance.metadata_options()?.http_endpoint()?.as_str())
        })
        .text("metadata_http_tokens", "`required` (IMDSv2 only) or `optional`.", |listed| {
            Some(listed.instance.metadata_options()?.http_tokens()?.as_str())
        })
        .integer("metadata_http_put_response_hop_limit", "How far answers of the service may travel.", |listed| {
            listed.instance.metadata_options()?.http_put_response_hop_limit()
        })
        .text("metadata_instance_tags", "`enabled` or `disabled`: tags in the metadata.", |listed| {
            Some(listed.instance.metadata_options()?.instance_metadata_tags()?.as_str())
        })
        .boolean("hibernation_configured", "Whether it may hibernate.", |listed| {
            listed.instance.hibernation_options()?.configured()
        })
        .boolean("enclave_enabled", "Whether enclaves may run on it.", |listed| {
            listed.instance.enclave_options()?.enabled()
        })
}

/// What is asked for only where the options name it.
fn hydrated(table: Table<Listed>) -> Table<Listed> {
    table
        .boolean(
            "disable_api_termination",
            "Whether it is protected from termination; NULL unless `hydrate` names this column.",
            |listed| listed.attributes.disable_api_termination,
        )
        .text(
            "user_data",
            "What it was given at its start, decoded where it is text; NULL unless `hydrate` names this column.",
            |listed| listed.attributes.user_data.as_deref(),
        )
        .real(
            "avg_cpu_utilization",
            "The mean of the hourly averages of the last seven days, in percent, rounded to hundredths; NULL where there \
             are none, or `hydrate` does not name this column.",
            |listed| listed.cpu?.average,
        )
        .integer(
            "cpu_datapoints",
            "How many hours this is the mean of; NULL where `hydrate` does not name `avg_cpu_utilization`.",
            |listed| Some(listed.cpu?.datapoints),
        )
}

fn block_devices() -> Table<Nested<InstanceBlockDeviceMapping>> {
    Table::new(
        "aws_ec2_instance_block_device",
        "The block devices of instances.",
        |place, nested: &Nested<InstanceBlockDeviceMapping>| {
            let device = nested.part.device_name().unwrap_or_default();
            place.arn("ec2", format_args!("instance/{}/block-device/{device}", nested.instance_id))
        },
    )
    .target("instance_id", "The instance.", |nested| Some(&nested.instance_id))
    .key("device_name", "The name of the device.", |nested| nested.part.device_name())
    .reference("volume_id", "The volume.", ("aws_ebs_volume", "volume_id"), |nested| nested.part.ebs()?.volume_id())
    .text("status", "`attaching`, `attached`, `detaching` or `detached`.", |nested| {
        Some(nested.part.ebs()?.status()?.as_str())
    })
    .time("attach_time", "Since when.", |nested| nested.part.ebs()?.attach_time())
    .boolean("delete_on_termination", "Whether the volume is deleted with the instance.", |nested| {
        nested.part.ebs()?.delete_on_termination()
    })
}

fn network_interfaces() -> Table<Nested<InstanceNetworkInterface>> {
    Table::new(
        "aws_ec2_instance_network_interface",
        "The network interfaces of instances.",
        |place, nested: &Nested<InstanceNetworkInterface>| {
            let interface = nested.part.network_interface_id().unwrap_or_default();
            place.arn("ec2", format_args!("instance/{}/network-interface/{interface}", nested.instance_id))
        },
    )
    .target("instance_id", "The instance.", |nested| Some(&nested.instance_id))
    .key("network_interface_id", "The interface.", |nested| nested.part.network_interface_id())
    .integer("device_index", "The number of the device.", |nested| nested.part.attachment()?.device_index())
    .text("interface_type", "`interface`, `efa`, `trunk`, …", |nested| nested.part.interface_type())
    .text("status", "`available`, `associated`, `attaching`, `in-use` or `detaching`.", |nested| {
        Some(nested.part.status()?.as_str())
    })
    .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |nested| nested.part.vpc_id())
    .reference("subnet_id", "Its subnet.", ("aws_vpc_subnet", "subnet_id"), |nested| nested.part.subnet_id())
    .text("mac_address", "Its hardware address.", |nested| nested.part.mac_address())
    .text("private_ip_address", "Its private address.", |nested| nested.part.private_ip_address())
    .text("public_ip", "Its public address.", |nested| nested.part.association()?.public_ip())
    .boolean("source_dest_check", "Whether source and destination are checked.", |nested| {
        nested.part.source_dest_check()
    })
    .boolean("delete_on_termination", "Whether it is deleted with the instance.", |nested| {
        nested.part.attachment()?.delete_on_termination()
    })
    .texts("security_group_ids", "Its security groups.", |nested| {
        nested.part.groups().iter().filter_map(|group| group.group_id().map(str::to_owned)).collect::<Vec<_>>()
    })
}

fn listed(reservations: Vec<Reservation>) -> Vec<Listed> {
    let instances = |mut reservation: Reservation| {
        let (reservation_id, owner_id) = (reservation.reservation_id.take(), reservation.owner_id.take());
        reservation.instances.unwrap_or_default().into_iter().map(move |instance| Listed {
            instance,
            reservation_id: reservation_id.clone(),
            owner_id: owner_id.clone(),
            attributes: Attributes::default(),
            cpu: None,
        })
    };
    reservations.into_iter().flat_map(instances).collect()
}

/// Reads what the options name beside the listing.
struct Hydration<'a> {
    attributes: Option<AttributeReader<'a>>,
    cpu: Option<CpuReader<'a>>,
}

impl<'a> Hydration<'a> {
    /// Nothing is read that nobody wants.
    fn new(call: &Call<'a>, table: &Table<Listed>) -> Self {
        match call.wants(table) {
            true => Self { attributes: AttributeReader::new(call), cpu: CpuReader::new(call) },
            false => Self { attributes: None, cpu: None },
        }
    }

    async fn hydrate(&self, call: &Call<'_>, instances: &mut [Listed]) -> Result<(), Unread> {
        if self.attributes.is_none() && self.cpu.is_none() {
            return Ok(());
        }
        let id = |listed: &Listed| listed.instance.instance_id().unwrap_or_default().to_owned();
        let ids: Vec<String> = instances.iter().map(id).collect();
        if let Some(cpu) = &self.cpu {
            for (listed, cpu) in instances.iter_mut().zip(cpu.of(call, &ids).await?) {
                listed.cpu = cpu;
            }
        }
        if let Some(attributes) = &self.attributes {
            for (listed, attributes) in instances.iter_mut().zip(attributes.of(ids).await?) {
                listed.attributes = attributes;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Collector for Instances {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.instances, &self.block_devices, &self.network_interfaces]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeInstances"]
    }

    fn hydrations(&self) -> &'static [&'static str] {
        &[AVG_CPU_UTILIZATION, DISABLE_API_TERMINATION, USER_DATA]
    }

    fn hydration_actions(&self, name: &str) -> &'static [&'static str] {
        match name {
            AVG_CPU_UTILIZATION => &METRICS,
            _ => &["ec2:DescribeInstanceAttribute"],
        }
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        let hydration = Hydration::new(call, &self.instances);
        for part in call.parts() {
            let mut listing = call.listing("list the instances");
            let filters = filters(call, "instance-id", part.as_deref());
            // The next page is asked for, and read by the SDK, while this one becomes rows: an account may have a great
            // many instances, and there is a lot to be read of each.
            let ask = |listing: &Listing| {
                let request = client.describe_instances().set_filters(filters.clone()).max_results(PAGE);
                let request = request.set_next_token(listing.token()?).customize().interceptor(listing.capture());
                Some(AbortOnDropHandle::new(tokio::spawn(request.send())))
            };
            let mut asked = ask(&listing);
            while let Some(answer) = asked {
                let answer = answer.await.map_err(|error| Unread::from(Error::internal(error)))?;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                asked = ask(&listing);
                let mut instances = listed(page.reservations.unwrap_or_default());
                hydration.hydrate(call, &mut instances).await?;
                let devices = Nested::taken(&mut instances, |instance| instance.block_device_mappings.take());
                let interfaces = Nested::taken(&mut instances, |instance| instance.network_interfaces.take());
                let mut devices_raw = self.block_devices.originals();
                let mut interfaces_raw = self.network_interfaces.originals();
                let mut instances_raw = self.instances.originals();
                raw.each("reservationSet/instancesSet", |instance| {
                    instance.items("blockDeviceMapping").iter().for_each(|part| devices_raw.add(part));
                    instance.items("networkInterfaceSet").iter().for_each(|part| interfaces_raw.add(part));
                    instances_raw.add(&instance.whole());
                });
                drop(raw);
                call.give_made(&self.block_devices, &devices, devices_raw).await?;
                call.give_made(&self.network_interfaces, &interfaces, interfaces_raw).await?;
                call.give_made(&self.instances, &instances, instances_raw).await?;
            }
        }
        Ok(())
    }
}
