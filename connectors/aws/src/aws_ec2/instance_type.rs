//! `aws_ec2_instance_type`, from DescribeInstanceTypes.

use async_trait::async_trait;
use aws_sdk_ec2::types::{GpuDeviceInfo, InstanceTypeInfo};

use super::request::{client, filters};
use crate::provider::{Call, Collector, Declared, Table, Unread, sorted};

/// How many types a page may have.
const PAGE: i32 = 100;

/// Reads DescribeInstanceTypes.
pub(super) struct InstanceTypes {
    types: Table<InstanceTypeInfo>,
}

impl InstanceTypes {
    pub(super) fn new() -> Self {
        Self { types: network(storage(processor(types()))) }
    }
}

/// What a type can do.
fn types() -> Table<InstanceTypeInfo> {
    let description = "The types of instances that a region offers.";
    Table::new("aws_ec2_instance_type", description, |place, kind: &InstanceTypeInfo| {
        let name = kind.instance_type().map(|name| name.as_str()).unwrap_or_default();
        place.arn("ec2", format_args!("instance-type/{name}"))
    })
    .target("instance_type", "The name of the type.", |kind| Some(kind.instance_type()?.as_str()))
    .boolean("current_generation", "Whether it is of the current generation.", InstanceTypeInfo::current_generation)
    .boolean("free_tier_eligible", "Whether it is in the free tier.", InstanceTypeInfo::free_tier_eligible)
    .boolean("bare_metal", "Whether it is without a hypervisor.", InstanceTypeInfo::bare_metal)
    .text("hypervisor", "`nitro` or `xen`.", |kind| Some(kind.hypervisor()?.as_str()))
    .boolean(
        "burstable_performance_supported",
        "Whether it saves up credits for bursts.",
        InstanceTypeInfo::burstable_performance_supported,
    )
    .boolean(
        "dedicated_hosts_supported",
        "Whether it can be on a dedicated host.",
        InstanceTypeInfo::dedicated_hosts_supported,
    )
    .boolean("hibernation_supported", "Whether it can hibernate on demand.", InstanceTypeInfo::hibernation_supported)
    .boolean("auto_recovery_supported", "Whether CloudWatch can recover it.", InstanceTypeInfo::auto_recovery_supported)
    .text("nitro_enclaves_support", "`supported` or `unsupported`.", |kind| {
        Some(kind.nitro_enclaves_support()?.as_str())
    })
    .text("nitro_tpm_support", "`supported` or `unsupported`.", |kind| Some(kind.nitro_tpm_support()?.as_str()))
    .texts("supported_usage_classes", "`on-demand`, `spot`, `capacity-block`; sorted.", |kind| {
        sorted(kind.supported_usage_classes().iter().map(|class| Some(class.as_str())))
    })
    .texts("supported_virtualization_types", "`hvm`, `paravirtual`; sorted.", |kind| {
        sorted(kind.supported_virtualization_types().iter().map(|class| Some(class.as_str())))
    })
    .texts("supported_boot_modes", "`legacy-bios`, `uefi`; sorted.", |kind| {
        sorted(kind.supported_boot_modes().iter().map(|mode| Some(mode.as_str())))
    })
}

/// What it computes with.
fn processor(table: Table<InstanceTypeInfo>) -> Table<InstanceTypeInfo> {
    table
        .integer("default_vcpus", "How many virtual processors it has.", |kind| kind.v_cpu_info()?.default_v_cpus())
        .integer("default_cores", "How many cores it has.", |kind| kind.v_cpu_info()?.default_cores())
        .integer("default_threads_per_core", "How many threads each core has.", |kind| {
            kind.v_cpu_info()?.default_threads_per_core()
        })
        .integer("memory_size_mib", "Its memory, in MiB.", |kind| kind.memory_info()?.size_in_mib())
        .texts("supported_architectures", "`x86_64`, `arm64`, `i386`, …; sorted.", |kind| {
            let info = kind.processor_info();
            sorted(info.iter().flat_map(|info| info.supported_architectures()).map(|name| Some(name.as_str())))
        })
        .text("processor_manufacturer", "Who has made the processor.", |kind| kind.processor_info()?.manufacturer())
        .real("sustained_clock_speed_ghz", "The clock of the processor, in GHz.", |kind| {
            kind.processor_info()?.sustained_clock_speed_in_ghz()
        })
        .integer("gpu_count", "How many GPUs it has; NULL where it has none.", |kind| {
            let counts = kind.gpu_info()?.gpus().iter().filter_map(GpuDeviceInfo::count);
            Some(counts.map(i64::from).sum::<i64>())
        })
        .text("gpu_name", "The name of its first kind of GPU.", |kind| kind.gpu_info()?.gpus().first()?.name())
        .text("gpu_manufacturer", "Who has made it.", |kind| kind.gpu_info()?.gpus().first()?.manufacturer())
        .integer("gpu_memory_mib", "The memory of all its GPUs, in MiB.", |kind| {
            kind.gpu_info()?.total_gpu_memory_in_mib()
        })
}

/// What it stores on.
fn storage(table: Table<InstanceTypeInfo>) -> Table<InstanceTypeInfo> {
    table
        .boolean(
            "instance_storage_supported",
            "Whether it has disks of its own.",
            InstanceTypeInfo::instance_storage_supported,
        )
        .integer("instance_storage_size_gb", "The size of these disks, in GB.", |kind| {
            kind.instance_storage_info()?.total_size_in_gb()
        })
        .texts("supported_root_device_types", "`ebs`, `instance-store`; sorted.", |kind| {
            sorted(kind.supported_root_device_types().iter().map(|device| Some(device.as_str())))
        })
        .text("ebs_optimized_support", "`default`, `supported` or `unsupported`.", |kind| {
            Some(kind.ebs_info()?.ebs_optimized_support()?.as_str())
        })
        .text("ebs_encryption_support", "`supported` or `unsupported`.", |kind| {
            Some(kind.ebs_info()?.encryption_support()?.as_str())
        })
        .text("ebs_nvme_support", "`required`, `supported` or `unsupported`.", |kind| {
            Some(kind.ebs_info()?.nvme_support()?.as_str())
        })
        .integer("ebs_baseline_bandwidth_mbps", "Its lasting bandwidth to EBS, in Mbit/s.", |kind| {
            kind.ebs_info()?.ebs_optimized_info()?.baseline_bandwidth_in_mbps()
        })
        .integer("ebs_maximum_bandwidth_mbps", "Its highest bandwidth to EBS, in Mbit/s.", |kind| {
            kind.ebs_info()?.ebs_optimized_info()?.maximum_bandwidth_in_mbps()
        })
}

/// What it speaks by.
fn network(table: Table<InstanceTypeInfo>) -> Table<InstanceTypeInfo> {
    table
        .text("network_performance", "Its bandwidth, in AWS's words: `Up to 5 Gigabit`.", |kind| {
            kind.network_info()?.network_performance()
        })
        .integer("maximum_network_interfaces", "How many network interfaces it may have.", |kind| {
            kind.network_info()?.maximum_network_interfaces()
        })
        .integer("ipv4_addresses_per_interface", "How many IPv4 addresses each may have.", |kind| {
            kind.network_info()?.ipv4_addresses_per_interface()
        })
        .integer("ipv6_addresses_per_interface", "How many IPv6 addresses each may have.", |kind| {
            kind.network_info()?.ipv6_addresses_per_interface()
        })
        .boolean("ipv6_supported", "Whether it may have IPv6 addresses.", |kind| kind.network_info()?.ipv6_supported())
        .text("network_ena_support", "`required`, `supported` or `unsupported`: enhanced networking.", |kind| {
            Some(kind.network_info()?.ena_support()?.as_str())
        })
        .boolean("efa_supported", "Whether it may have an Elastic Fabric Adapter.", |kind| {
            kind.network_info()?.efa_supported()
        })
}

#[async_trait]
impl Collector for InstanceTypes {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.types]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeInstanceTypes"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the types of instances");
            while let Some(token) = listing.token() {
                let filters = filters(call, "instance-type", part.as_deref());
                let request = client.describe_instance_types().set_filters(filters);
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                call.give(&self.types, page.instance_types(), raw.items("instanceTypeSet")).await?;
            }
        }
        Ok(())
    }
}
