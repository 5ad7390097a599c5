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
