"""What estate.py makes once in an account, of IAM and S3 Control, and of S3 in each region."""

import json
import urllib.request

WORLD = "http://acs.amazonaws.com/groups/global/AllUsers"


def document(actions, principal=None, **more):
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*", **more}
    if principal:
        statement = {"Effect": "Allow", "Action": actions, "Principal": {"Service": principal}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def people(iam):
    """A user who has everything that a user can have, and one who has nothing."""
    iam.create_policy(PolicyName="everything", PolicyDocument=document("*"), Tags=[{"Key": "env", "Value": "test"}])
    iam.create_group(GroupName="ops")
    iam.put_group_policy(GroupName="ops", PolicyName="look", PolicyDocument=document("ec2:Describe*"))
    iam.create_user(UserName="ann", Tags=[{"Key": "team", "Value": "blue"}])
    iam.create_user(UserName="bob")
    iam.add_user_to_group(GroupName="ops", UserName="ann")
    iam.put_user_policy(UserName="ann", PolicyName="own", PolicyDocument=document(["S3:GetObject", "s3:ListBucket"]))
    iam.create_login_profile(UserName="ann", Password="Of-no-account-1")
    iam.create_access_key(UserName="ann")
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="ann")["VirtualMFADevice"]["SerialNumber"]
    iam.enable_mfa_device(UserName="ann", SerialNumber=device, AuthenticationCode1="123456", AuthenticationCode2="654321")


def block_public_access(endpoint, number, settings):
    """What S3 Control blocks in an account. boto3 would look for a host of its own for each account."""
    body = "".join(f"<{name}>{str(value).lower()}</{name}>" for name, value in settings.items())
    credential = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, Signature=x"
    headers = {"content-type": "application/xml", "authorization": credential, "x-amz-account-id": number, "x-moto-account-id": number}
    url = f"{endpoint}/v20180820/configuration/publicAccessBlock"
    body = f"<PublicAccessBlockConfiguration>{body}</PublicAccessBlockConfiguration>".encode()
    urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT")).close()


def account(client, number):
    """What an account has once."""
    iam = client("iam")
    people(iam)
    everything = f"arn:aws:iam::{number}:policy/everything"
    iam.attach_user_policy(UserName="ann", PolicyArn=everything)
    iam.attach_group_policy(GroupName="ops", PolicyArn=everything)
    iam.create_role(RoleName="app", AssumeRolePolicyDocument=document("sts:AssumeRole", "ec2.amazonaws.com"))
    iam.put_role_policy(RoleName="app", PolicyName="write", PolicyDocument=document("s3:PutObject"))
    iam.create_instance_profile(InstanceProfileName="app")
    iam.add_role_to_instance_profile(InstanceProfileName="app", RoleName="app")
    iam.update_account_password_policy(MinimumPasswordLength=14, PasswordReusePrevention=24, RequireSymbols=True)
    iam.upload_server_certificate(ServerCertificateName="web", CertificateBody="-----BEGIN", PrivateKey="of no account")
    settings = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
    block_public_access(iam.meta.endpoint_url, number, settings)


def buckets(client, number, region):
    """A bucket with most settings and some objects, and one with nothing. (moto would log each look at it.)"""
    s3 = client("s3")
    data, bare = f"{number}-{region}-data", f"{number}-{region}-bare"
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=data, **place)
    s3.create_bucket(Bucket=bare, **place)
    for name, kind in [("a b&c", "STANDARD"), ("old", "GLACIER"), ("tmp/x", "STANDARD")]:
        s3.put_object(Bucket=data, Key=name, Body=b"0123456789", StorageClass=kind)
    tls = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{data}", f"arn:aws:s3:::{data}/*"]}
    tls["Condition"] = {"Bool": {"aws:SecureTransport": "false"}}
    s3.put_bucket_policy(Bucket=data, Policy=json.dumps({"Version": "2012-10-17", "Statement": tls}))
    s3.put_bucket_acl(Bucket=data, GrantRead=f"uri={WORLD}")
    key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/data"}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": key, "BucketKeyEnabled": True}]}
    s3.put_bucket_encryption(Bucket=data, ServerSideEncryptionConfiguration=rules)
    s3.put_bucket_versioning(Bucket=data, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_tagging(Bucket=data, Tagging={"TagSet": [{"Key": "env", "Value": "test"}]})
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 30}}
    s3.put_bucket_lifecycle_configuration(Bucket=data, LifecycleConfiguration={"Rules": [rule]})
    s3.put_bucket_ownership_controls(Bucket=data, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]})
    block = {"BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": True, "RestrictPublicBuckets": False}
    s3.put_public_access_block(Bucket=data, PublicAccessBlockConfiguration=block)
