//! Users, roles, groups and policies.

use super::Rule;

const fn iam(table: &'static str, calls: &'static [&'static str], ids: &'static [&'static str]) -> Rule {
    Rule { service: "iam", table, calls, ids }
}

pub(super) const RULES: &[Rule] = &[
    iam(
        "aws_iam_user",
        &[
            "AddUserToGroup",
            "AttachUserPolicy",
            "ChangePassword",
            "CreateLoginProfile",
            "CreateUser",
            "DeactivateMFADevice",
            "DeleteLoginProfile",
            "DeleteUser",
            "DeleteUserPermissionsBoundary",
            "DeleteUserPolicy",
            "DetachUserPolicy",
            "EnableMFADevice",
            "PutUserPermissionsBoundary",
            "PutUserPolicy",
            "RemoveUserFromGroup",
            "TagUser",
            "UntagUser",
            "UpdateLoginProfile",
            "UpdateUser",
        ],
        &["requestParameters.userName", "requestParameters.newUserName"],
    ),
    iam(
        "aws_iam_access_key",
        &["CreateAccessKey", "DeleteAccessKey", "UpdateAccessKey"],
        &["requestParameters.accessKeyId", "responseElements.accessKey.accessKeyId"],
    ),
    iam(
        "aws_iam_role",
        &[
            "AddRoleToInstanceProfile",
            "AttachRolePolicy",
            "CreateRole",
            "DeleteRole",
            "DeleteRolePermissionsBoundary",
            "DeleteRolePolicy",
            "DetachRolePolicy",
            "PutRolePermissionsBoundary",
            "PutRolePolicy",
            "RemoveRoleFromInstanceProfile",
            "TagRole",
            "UntagRole",
            "UpdateAssumeRolePolicy",
            "UpdateRole",
            "UpdateRoleDescription",
        ],
        &["requestParameters.roleName"],
    ),
    iam(
        "aws_iam_group",
        &[
            "AddUserToGroup",
            "AttachGroupPolicy",
            "CreateGroup",
            "DeleteGroup",
            "DeleteGroupPolicy",
            "DetachGroupPolicy",
            "PutGroupPolicy",
            "RemoveUserFromGroup",
            "UpdateGroup",
        ],
        &["requestParameters.groupName", "requestParameters.newGroupName"],
    ),
    iam(
        "aws_iam_policy",
        &[
            "AttachGroupPolicy",
            "AttachRolePolicy",
            "AttachUserPolicy",
            "CreatePolicy",
            "CreatePolicyVersion",
            "DeletePolicy",
            "DeletePolicyVersion",
            "DetachGroupPolicy",
            "DetachRolePolicy",
            "DetachUserPolicy",
            "SetDefaultPolicyVersion",
            "TagPolicy",
            "UntagPolicy",
        ],
        &["requestParameters.policyArn", "responseElements.policy.arn"],
    ),
    iam(
        "aws_iam_server_certificate",
        &["DeleteServerCertificate", "UpdateServerCertificate", "UploadServerCertificate"],
        &["requestParameters.serverCertificateName", "requestParameters.newServerCertificateName"],
    ),
    iam(
        "aws_iam_virtual_mfa_device",
        &[
            "CreateVirtualMFADevice",
            "DeactivateMFADevice",
            "DeleteVirtualMFADevice",
            "EnableMFADevice",
            "TagMFADevice",
            "UntagMFADevice",
        ],
        &["requestParameters.serialNumber", "responseElements.virtualMFADevice.serialNumber"],
    ),
    iam("aws_iam_account_password_policy", &["DeleteAccountPasswordPolicy", "UpdateAccountPasswordPolicy"], &[]),
    iam("aws_iam_account_summary", &["CreateVirtualMFADevice", "DeleteVirtualMFADevice"], &[]),
];
