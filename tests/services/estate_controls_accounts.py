"""What estate_controls.py makes of IAM and S3."""

import json

import estate_accounts

PUBLIC = "http://acs.amazonaws.com/groups/global/AllUsers"
LOGS = "http://acs.amazonaws.com/groups/s3/LogDelivery"
SETTINGS = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]


def users(place):
    """One who does all as it should be, one for each sin, and one who has nothing."""
    iam = place.client("iam")
    arn = {}
    for name in ("careful", "careless", "service", "nobody"):
        arn[name] = iam.create_user(UserName=name)["User"]["Arn"]
    for name in ("careful", "careless"):
        iam.create_login_profile(UserName=name, Password="Of-no-account-1")
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="careful")["VirtualMFADevice"]["SerialNumber"]
    iam.enable_mfa_device(UserName="careful", SerialNumber=device, AuthenticationCode1="123456", AuthenticationCode2="654321")
    for name in ("careful", "service", "service"):
        iam.create_access_key(UserName=name)
    iam.put_user_policy(UserName="careless", PolicyName="own", PolicyDocument=estate_accounts.document("s3:GetObject"))
    place.expect(
        arn["careful"],
        iam_user_mfa_enabled="ok", iam_user_console_access="alarm", iam_user_one_active_key="ok", iam_access_key_rotated="ok",
        iam_credentials_unused="ok", iam_credentials_unused_90="ok", iam_user_no_attached_policies="ok",
        iam_user_no_inline_policies="ok",
        later={"iam_access_key_rotated": "alarm", "iam_credentials_unused": "alarm", "iam_credentials_unused_90": "alarm"},
    )
    place.expect(
        arn["careless"],
        iam_user_mfa_enabled="alarm", iam_user_console_access="alarm", iam_access_key_rotated="skip",
        iam_user_no_inline_policies="alarm", iam_inline_policy_no_full_admin="ok",
        later={"iam_credentials_unused": "alarm"},
    )
    place.expect(
        arn["service"],
        iam_user_mfa_enabled="skip", iam_user_console_access="ok", iam_user_one_active_key="alarm",
        later={"iam_access_key_rotated": "alarm", "iam_credentials_unused": "alarm"},
    )
    place.expect(
        arn["nobody"],
        iam_user_one_active_key="ok", iam_credentials_unused="skip",
        later={"iam_credentials_unused": "skip", "iam_access_key_rotated": "skip"},
    )


def policies(place):
    """Policies that allow everything and little, attached and not, and the same within groups and roles."""
    iam = place.client("iam")
    document = estate_accounts.document
    make = lambda name, text: iam.create_policy(PolicyName=name, PolicyDocument=text)["Policy"]["Arn"]
    everything, little, spare = make("everything", document("*")), make("little", document("ec2:Describe*")), make("spare", document("*:*"))
    group = iam.create_group(GroupName="ops")["Group"]["Arn"]
    iam.put_group_policy(GroupName="ops", PolicyName="all", PolicyDocument=document(["*"]))
    role = iam.create_role(RoleName="app", AssumeRolePolicyDocument=document("sts:AssumeRole", "ec2.amazonaws.com"))["Role"]["Arn"]
    iam.put_role_policy(RoleName="app", PolicyName="write", PolicyDocument=document("s3:PutObject"))
    iam.create_instance_profile(InstanceProfileName="app")
    iam.add_role_to_instance_profile(InstanceProfileName="app", RoleName="app")
    iam.attach_user_policy(UserName="service", PolicyArn=everything)
    iam.attach_group_policy(GroupName="ops", PolicyArn=little)
    place.expect(everything, iam_policy_no_full_admin="alarm", iam_policy_unused="ok")
    place.expect(little, iam_policy_no_full_admin="ok", iam_policy_unused="ok")
    place.expect(spare, iam_policy_no_full_admin="alarm", iam_policy_unused="alarm")
    place.expect(group, iam_inline_policy_no_full_admin="alarm")
    place.expect(role, iam_inline_policy_no_full_admin="ok")
    place.expect(f"arn:aws:iam::{place.account}:user/service", iam_user_no_attached_policies="alarm", iam_user_no_inline_policies="ok")


def account(place):
    """What an account has once: good in one account, and not there in the other."""
    here = f"arn:aws:iam::{place.account}"
    good = "ok" if place.is_good else "alarm"
    if place.is_good:
        place.client("iam").update_account_password_policy(MinimumPasswordLength=14, PasswordReusePrevention=24)
        estate_accounts.block_public_access(place.endpoint, place.account, dict.fromkeys(SETTINGS, True))
    place.expect(f"{here}:password-policy", iam_password_policy_length=good, iam_password_policy_reuse=good)
    place.expect(f"{here}:root", iam_root_no_access_keys="ok", iam_root_mfa="alarm", iam_root_hardware_mfa="alarm")
    settings = f"arn:aws:s3::{place.account}:account-settings"
    place.expect(settings, s3_account_public_access_block=good, s3_storage_class_usage="info")


def bucket(place, name):
    s3 = place.client("s3")
    full = f"{place.account}-{name}"
    s3.create_bucket(Bucket=full)
    return s3, full, f"arn:aws:s3:::{full}"


def policy(s3, name, **statement):
    statement["Resource"] = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [{"Principal": "*", **statement}]}))


def buckets(place):
    """A bucket that is locked, one that is as S3 makes it, two that are open to the world, one that takes the logs."""
    s3, logs, arn = bucket(place, "logs")
    s3.put_bucket_acl(Bucket=logs, GrantWrite=f"uri={LOGS}", GrantReadACP=f"uri={LOGS}")
    place.expect(arn, s3_bucket_logging="skip")

    s3, name, arn = bucket(place, "locked")
    # Before the policy: moto looks at no conditions.
    s3.put_object(Bucket=name, Key="archive", Body=b"0123456789", StorageClass="GLACIER")
    policy(s3, name, Effect="Deny", Action="s3:*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(SETTINGS, True))
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_bucket_logging(Bucket=name, BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": logs, "TargetPrefix": "x/"}})
    place.expect(
        arn,
        s3_bucket_tls_only="ok", s3_bucket_public_access_block="ok", s3_bucket_versioning="ok", s3_bucket_logging="ok",
        s3_bucket_default_encryption="ok", s3_bucket_not_public_read="ok", s3_bucket_not_public_write="ok",
        s3_bucket_mfa_delete="alarm", s3_objects_old_standard="ok", s3_bucket_unused="ok",
        later={"s3_objects_old_standard": "ok", "s3_bucket_unused": "alarm"},
    )

    s3, name, arn = bucket(place, "plain")
    s3.put_object(Bucket=name, Key="page", Body=b"0123456789")
    place.expect(
        arn,
        s3_bucket_tls_only="alarm", s3_bucket_public_access_block="alarm", s3_bucket_versioning="alarm", s3_bucket_logging="alarm",
        s3_bucket_default_encryption="alarm", s3_bucket_not_public_read="ok", s3_bucket_not_public_write="ok",
        s3_objects_old_standard="ok", s3_bucket_unused="ok",
        later={"s3_objects_old_standard": "alarm", "s3_bucket_unused": "alarm"},
    )

    # What the account as a whole blocks has no effect in its buckets.
    opened = "ok" if place.is_good else "alarm"
    s3, name, arn = bucket(place, "open-acl")
    s3.put_bucket_acl(Bucket=name, GrantRead=f"uri={PUBLIC}", GrantWrite=f"uri={PUBLIC}")
    place.expect(
        arn,
        s3_bucket_not_public_read=opened, s3_bucket_not_public_write=opened, s3_bucket_unused="skip", s3_objects_old_standard="skip",
    )
    s3, name, arn = bucket(place, "open-policy")
    policy(s3, name, Effect="Allow", Action="s3:GetObject")
    place.expect(arn, s3_bucket_not_public_read=opened, s3_bucket_not_public_write="ok", s3_bucket_tls_only="alarm")


def make(place):
    users(place)
    policies(place)
    account(place)
    buckets(place)
