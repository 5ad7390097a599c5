//! Volumes, snapshots, buckets, file systems.

use super::Rule;

const fn ec2(table: &'static str, calls: &'static [&'static str], ids: &'static [&'static str]) -> Rule {
    Rule { service: "ec2", table, calls, ids }
}

const fn files(table: &'static str, calls: &'static [&'static str], ids: &'static [&'static str]) -> Rule {
    Rule { service: "elasticfilesystem", table, calls, ids }
}

pub(super) const RULES: &[Rule] = &[
    ec2("aws_ebs_volume", &["CreateVolume"], &["responseElements.volumeId"]),
    ec2(
        "aws_ebs_volume",
        &["AttachVolume", "DeleteVolume", "DetachVolume", "EnableVolumeIO", "ModifyVolume", "ModifyVolumeAttribute"],
        &["requestParameters.volumeId", "responseElements.volumeId"],
    ),
    ec2(
        "aws_ebs_snapshot",
        &["CopySnapshot", "CreateSnapshot", "CreateSnapshots"],
        &["responseElements.snapshotId", "responseElements.snapshotSet.items[].snapshotId"],
    ),
    ec2(
        "aws_ebs_snapshot",
        &[
            "DeleteSnapshot",
            "LockSnapshot",
            "ModifySnapshotAttribute",
            "ModifySnapshotTier",
            "ResetSnapshotAttribute",
            "RestoreSnapshotFromRecycleBin",
            "RestoreSnapshotTier",
            "UnlockSnapshot",
        ],
        &["requestParameters.snapshotId"],
    ),
    Rule {
        service: "s3",
        table: "aws_s3_bucket",
        calls: &[
            "CreateBucket",
            "DeleteBucket",
            "DeleteBucketCors",
            "DeleteBucketEncryption",
            "DeleteBucketLifecycle",
            "DeleteBucketOwnershipControls",
            "DeleteBucketPolicy",
            "DeleteBucketPublicAccessBlock",
            "DeleteBucketReplication",
            "DeleteBucketTagging",
            "DeleteBucketWebsite",
            "PutBucketAcl",
            "PutBucketCors",
            "PutBucketEncryption",
            "PutBucketLifecycle",
            "PutBucketLogging",
            "PutBucketNotification",
            "PutBucketObjectLockConfiguration",
            "PutBucketOwnershipControls",
            "PutBucketPolicy",
            "PutBucketPublicAccessBlock",
            "PutBucketReplication",
            "PutBucketRequestPayment",
            "PutBucketTagging",
            "PutBucketVersioning",
            "PutBucketWebsite",
        ],
        ids: &["requestParameters.bucketName"],
    },
    Rule {
        service: "s3",
        table: "aws_s3_account_settings",
        calls: &["DeleteAccountPublicAccessBlock", "PutAccountPublicAccessBlock"],
        ids: &[],
    },
    Rule {
        service: "elasticfilesystem",
        table: "aws_efs_file_system",
        calls: &[
            "CreateFileSystem",
            "DeleteFileSystem",
            "DeleteFileSystemPolicy",
            "PutBackupPolicy",
            "PutFileSystemPolicy",
            "PutLifecycleConfiguration",
            "UpdateFileSystem",
            "UpdateFileSystemProtection",
        ],
        ids: &["requestParameters.fileSystemId", "responseElements.fileSystemId"],
    },
    files("aws_efs_file_system", &["TagResource", "UntagResource"], &["requestParameters.resourceId"]),
    // File systems say how many mount targets they have.
    files("aws_efs_file_system", &["CreateMountTarget"], &["requestParameters.fileSystemId"]),
    files("aws_efs_file_system", &["DeleteMountTarget"], &[]),
    files(
        "aws_efs_mount_target",
        &["CreateMountTarget", "DeleteMountTarget", "ModifyMountTargetSecurityGroups"],
        &["requestParameters.mountTargetId", "responseElements.mountTargetId"],
    ),
];
