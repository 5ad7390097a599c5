//! Instances and what they are started from, load balancers, databases.

use super::Rule;

const fn ec2(table: &'static str, calls: &'static [&'static str], ids: &'static [&'static str]) -> Rule {
    Rule { service: "ec2", table, calls, ids }
}

const fn rds(table: &'static str, calls: &'static [&'static str], ids: &'static [&'static str]) -> Rule {
    Rule { service: "rds", table, calls, ids }
}

pub(super) const RULES: &[Rule] = &[
    ec2("aws_ec2_instance", &["RunInstances"], &["responseElements.instancesSet.items[].instanceId"]),
    ec2(
        "aws_ec2_instance",
        &[
            "MonitorInstances",
            "RebootInstances",
            "StartInstances",
            "StopInstances",
            "TerminateInstances",
            "UnmonitorInstances",
        ],
        &["requestParameters.instancesSet.items[].instanceId", "responseElements.instancesSet.items[].instanceId"],
    ),
    ec2(
        "aws_ec2_instance",
        &[
            "AttachVolume",
            "DetachVolume",
            "ModifyInstanceAttribute",
            "ModifyInstanceCapacityReservationAttributes",
            "ModifyInstanceMaintenanceOptions",
            "ModifyInstanceMetadataOptions",
            "ModifyInstancePlacement",
            "ModifyPrivateDnsNameOptions",
            "ResetInstanceAttribute",
        ],
        &["requestParameters.instanceId", "responseElements.instanceId"],
    ),
    ec2(
        "aws_ec2_instance",
        &["AssociateIamInstanceProfile", "DisassociateIamInstanceProfile", "ReplaceIamInstanceProfileAssociation"],
        &["requestParameters.instanceId", "responseElements.iamInstanceProfileAssociation.instanceId"],
    ),
    ec2("aws_ec2_ami", &["CopyImage", "CreateImage", "RegisterImage"], &["responseElements.imageId"]),
    ec2(
        "aws_ec2_ami",
        &[
            "CancelImageLaunchPermission",
            "DeregisterImage",
            "DisableImage",
            "DisableImageDeprecation",
            "DisableImageDeregistrationProtection",
            "EnableImage",
            "EnableImageDeprecation",
            "EnableImageDeregistrationProtection",
            "ModifyImageAttribute",
            "ResetImageAttribute",
            "RestoreImageFromRecycleBin",
        ],
        &["requestParameters.imageId"],
    ),
    ec2(
        "aws_ec2_key_pair",
        &["CreateKeyPair", "DeleteKeyPair", "ImportKeyPair"],
        &["requestParameters.keyName", "responseElements.keyName"],
    ),
    ec2(
        "aws_ec2_launch_template",
        &[
            "CreateLaunchTemplate",
            "CreateLaunchTemplateVersion",
            "DeleteLaunchTemplate",
            "DeleteLaunchTemplateVersions",
            "ModifyLaunchTemplate",
        ],
        &[
            "requestParameters.launchTemplateId",
            "responseElements.launchTemplate.launchTemplateId",
            "responseElements.launchTemplateVersion.launchTemplateId",
        ],
    ),
    ec2(
        "aws_ec2_regional_settings",
        &[
            "DisableEbsEncryptionByDefault",
            "DisableImageBlockPublicAccess",
            "DisableSerialConsoleAccess",
            "DisableSnapshotBlockPublicAccess",
            "EnableEbsEncryptionByDefault",
            "EnableImageBlockPublicAccess",
            "EnableSerialConsoleAccess",
            "EnableSnapshotBlockPublicAccess",
            "ModifyEbsDefaultKmsKeyId",
            "ModifyInstanceMetadataDefaults",
            "ResetEbsDefaultKmsKeyId",
        ],
        &[],
    ),
    rds(
        "aws_rds_db_instance",
        &[
            "AddRoleToDBInstance",
            "CreateDBInstance",
            "CreateDBInstanceReadReplica",
            "DeleteDBInstance",
            "ModifyDBInstance",
            "PromoteReadReplica",
            "RebootDBInstance",
            "RemoveRoleFromDBInstance",
            "StartDBInstance",
            "StopDBInstance",
        ],
        &["requestParameters.dBInstanceIdentifier", "responseElements.dBInstanceIdentifier"],
    ),
    rds(
        "aws_rds_db_instance",
        &["RestoreDBInstanceFromDBSnapshot", "RestoreDBInstanceFromS3", "RestoreDBInstanceToPointInTime"],
        &["responseElements.dBInstanceIdentifier"],
    ),
    rds(
        "aws_rds_db_snapshot",
        &["CopyDBSnapshot", "CreateDBSnapshot", "DeleteDBSnapshot", "ModifyDBSnapshot"],
        &["responseElements.dBSnapshotIdentifier"],
    ),
    rds("aws_rds_db_snapshot", &["ModifyDBSnapshotAttribute"], &["requestParameters.dBSnapshotIdentifier"]),
    rds(
        "aws_rds_db_cluster",
        &[
            "CreateDBCluster",
            "DeleteDBCluster",
            "FailoverDBCluster",
            "ModifyDBCluster",
            "StartDBCluster",
            "StopDBCluster",
        ],
        &["requestParameters.dBClusterIdentifier", "responseElements.dBClusterIdentifier"],
    ),
    rds(
        "aws_rds_db_cluster",
        &["RestoreDBClusterFromS3", "RestoreDBClusterFromSnapshot", "RestoreDBClusterToPointInTime"],
        &["responseElements.dBClusterIdentifier"],
    ),
    rds(
        "aws_rds_db_cluster_snapshot",
        &["CopyDBClusterSnapshot", "CreateDBClusterSnapshot", "DeleteDBClusterSnapshot"],
        &["responseElements.dBClusterSnapshotIdentifier"],
    ),
    rds(
        "aws_rds_db_cluster_snapshot",
        &["ModifyDBClusterSnapshotAttribute"],
        &["requestParameters.dBClusterSnapshotIdentifier"],
    ),
];
