//! The names under which OpsBox's checks know what AWS has: its providers' rows as views, so that a query written for
//! them finds its columns. Where OpsBox has an empty text for what is not there, so have these; where it has 0 for an
//! average of nothing, these have NULL.

use tidegate_pipeline::table::View;

/// `volumes` of OpsBox's EC2 provider.
pub(crate) const VOLUMES: View = View {
    name: "volumes",
    description: "Volumes, with the columns that OpsBox gives them.",
    sql: "select volume_id, state, size, create_time, region, tags, account_id, arn from aws_ebs_volume",
};

/// `instances` of OpsBox's EC2 provider.
pub(crate) const INSTANCES: View = View {
    name: "instances",
    description: "Instances, with the columns that OpsBox gives them.",
    sql: "select instance_id, instance_state as state, avg_cpu_utilization, region, instance_type, \
          placement_tenancy as tenancy, virtualization_type, ebs_optimized, architecture as processor, tags, \
          account_id, arn from aws_ec2_instance",
};

/// `eips` of OpsBox's EC2 provider.
pub(crate) const EIPS: View = View {
    name: "eips",
    description: "Elastic IP addresses, with the columns that OpsBox gives them.",
    sql: "select public_ip, coalesce(association_id, '') as association_id, domain, region, account_id, arn \
          from aws_vpc_eip",
};

/// `snapshots` of OpsBox's EC2 provider.
pub(crate) const SNAPSHOTS: View = View {
    name: "snapshots",
    description: "Snapshots of volumes, with the columns that OpsBox gives them.",
    sql: "select snapshot_id, volume_id, state, start_time, progress, region, tags, account_id, arn \
          from aws_ebs_snapshot",
};
