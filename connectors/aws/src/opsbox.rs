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

/// `iam_users` of OpsBox's IAM provider.
pub(crate) const IAM_USERS: View = View {
    name: "iam_users",
    description: "Users, with the columns that OpsBox gives them.",
    sql: "select name as user_name, user_id, arn, create_date, attached_policy_arns as attached_policies, account_id \
          from aws_iam_user",
};

/// `iam_roles` of OpsBox's IAM provider.
pub(crate) const IAM_ROLES: View = View {
    name: "iam_roles",
    description: "Roles, with the columns that OpsBox gives them.",
    sql: "select name as role_name, role_id, arn, create_date, attached_policy_arns as attached_policies, account_id \
          from aws_iam_role",
};

/// `iam_policies` of OpsBox's IAM provider.
pub(crate) const IAM_POLICIES: View = View {
    name: "iam_policies",
    description: "Managed policies, with the columns that OpsBox gives them.",
    sql: "select name as policy_name, policy_id, arn, attachment_count, create_date, account_id from aws_iam_policy",
};

/// `credential_report` of OpsBox's IAM provider: all text, as AWS writes it.
pub(crate) const CREDENTIAL_REPORT: View = View {
    name: "credential_report",
    description: "The credential report, with the columns that OpsBox gives it: `true`, `false`, or `N/A`.",
    sql: "select user_name as \"user\", arn, account_id, \
          coalesce(cast(password_enabled as varchar), 'not_supported') as password_enabled, \
          coalesce(cast(password_last_used as varchar), 'N/A') as password_last_used, \
          coalesce(cast(mfa_active as varchar), 'N/A') as mfa_active, \
          coalesce(cast(access_key_1_active as varchar), 'N/A') as access_key_1_active, \
          coalesce(cast(access_key_1_last_rotated as varchar), 'N/A') as access_key_1_last_rotated, \
          coalesce(cast(access_key_1_last_used_date as varchar), 'N/A') as access_key_1_last_used_date, \
          coalesce(cast(access_key_2_active as varchar), 'N/A') as access_key_2_active, \
          coalesce(cast(access_key_2_last_rotated as varchar), 'N/A') as access_key_2_last_rotated, \
          coalesce(cast(access_key_2_last_used_date as varchar), 'N/A') as access_key_2_last_used_date \
          from aws_iam_credential_report",
};

/// `buckets` of OpsBox's S3 provider.
pub(crate) const BUCKETS: View = View {
    name: "buckets",
    description: "Buckets, with the columns that OpsBox gives them: `last_modified` in seconds since 1970.",
    sql: "select bucket_name as name, storage_class, to_unixtime(last_modified) as last_modified, region, account_id, arn \
          from aws_s3_bucket_content",
};

/// `objects` of OpsBox's S3 provider.
pub(crate) const OBJECTS: View = View {
    name: "objects",
    description: "Objects, with the columns that OpsBox gives them: `LastModified` in seconds since 1970.",
    sql: "select key as \"Key\", to_unixtime(last_modified) as \"LastModified\", storage_class as \"StorageClass\", \
          bucket_name, region, account_id, arn from aws_s3_object",
};

/// `rds_instances` of OpsBox's RDS provider.
pub(crate) const RDS_INSTANCES: View = View {
    name: "rds_instances",
    description: "Databases, with the columns that OpsBox gives them; `Connections` is a mean, not a sum.",
    sql: "select db_instance_identifier as \"InstanceIdentifier\", class as \"InstanceType\", region as \"Region\", \
          allocated_storage as \"AllocatedStorage\", engine as \"Engine\", avg_cpu_utilization as \"CPUUtilization\", \
          avg_database_connections as \"Connections\", storage_utilization as \"StorageUtilization\", account_id, arn \
          from aws_rds_db_instance",
};

/// `rds_snapshots` of OpsBox's RDS provider.
pub(crate) const RDS_SNAPSHOTS: View = View {
    name: "rds_snapshots",
    description: "Snapshots of databases, with the columns that OpsBox gives them.",
    sql: "select db_snapshot_identifier as \"DBSnapshotIdentifier\", db_instance_identifier as \
          \"DBInstanceIdentifier\", create_time as \"SnapshotCreateTime\", status as \"Status\", type as \"SnapshotType\", \
          engine as \"Engine\", allocated_storage as \"AllocatedStorage\", region as \"Region\", account_id, arn \
          from aws_rds_db_snapshot",
};

/// `elbs` of OpsBox's load balancer provider.
pub(crate) const ELBS: View = View {
    name: "elbs",
    description: "Load balancers of all types, with the columns that OpsBox gives them; `RequestCount` is of connections \
                  where the type knows no requests, and `InstanceHealth` a list of states.",
    sql: "with targets as (select load_balancer_arn, array_agg(state order by state) as states \
            from aws_ec2_target_group_target group by load_balancer_arn), \
          behind as (select account_id, region, load_balancer_name, array_agg(state order by state) as states \
            from aws_ec2_classic_load_balancer_instance group by account_id, region, load_balancer_name), \
          current as ( \
            select type, name, request_count, error_rate, created_time, availability_zones, security_groups, scheme, \
              dns_name, state_code, vpc_id, account_id, region, arn from aws_ec2_application_load_balancer \
            union all select type, name, new_flow_count, null, created_time, availability_zones, security_groups, scheme, \
              dns_name, state_code, vpc_id, account_id, region, arn from aws_ec2_network_load_balancer \
            union all select type, name, new_flow_count, null, created_time, availability_zones, null, scheme, \
              dns_name, state_code, vpc_id, account_id, region, arn from aws_ec2_gateway_load_balancer) \
          select c.type as \"Type\", c.name as \"Name\", c.request_count as \"RequestCount\", c.error_rate as \
            \"ErrorRate\", c.created_time as \"CreatedTime\", c.availability_zones as \"AvailabilityZones\", \
            c.security_groups as \"SecurityGroups\", c.scheme as \"Scheme\", c.dns_name as \"DNSName\", \
            c.state_code as \"State\", c.vpc_id as \"VpcId\", t.states as \"InstanceHealth\", c.account_id, c.region, c.arn \
            from current c left join targets t on t.load_balancer_arn = c.arn \
          union all select 'classic', o.name, o.request_count, o.error_rate, o.created_time, o.availability_zones, \
            o.security_groups, o.scheme, o.dns_name, null, null, b.states, o.account_id, o.region, o.arn \
            from aws_ec2_classic_load_balancer o left join behind b on b.account_id = o.account_id \
            and b.region = o.region and b.load_balancer_name = o.name",
};

/// `efss` of OpsBox's EFS provider.
pub(crate) const EFSS: View = View {
    name: "efss",
    description: "File systems, with the columns that OpsBox gives them.",
    sql: "select name as \"Name\", file_system_id as \"Id\", percent_io_limit as \"PercentIOLimit\", region, account_id, \
          arn from aws_efs_file_system",
};

/// `hosted_zones` of OpsBox's Route 53 provider.
pub(crate) const HOSTED_ZONES: View = View {
    name: "hosted_zones",
    description: "Hosted zones, with the columns that OpsBox gives them.",
    sql: "select id, name, resource_record_set_count as record_count, private_zone, account_id, arn from aws_route53_zone",
};

/// `records` of OpsBox's Route 53 provider.
pub(crate) const RECORDS: View = View {
    name: "records",
    description: "Records of the types `A` and `CNAME`, with the columns that OpsBox gives them.",
    sql: "select zone_id, name, type, ttl, records, account_id, arn from aws_route53_record where type in ('A', 'CNAME')",
};

/// `health_checks` of OpsBox's Route 53 provider.
pub(crate) const HEALTH_CHECKS: View = View {
    name: "health_checks",
    description: "Health checks, with the columns that OpsBox gives them.",
    sql: "select id, type, ip_address, port, resource_path, failure_threshold, account_id, arn from aws_route53_health_check",
};
