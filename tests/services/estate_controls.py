"""An estate for the controls of the pack `aws`: estate_controls.py ENDPOINT makes, in moto, what must alarm and what must
be ok for each of them, in two regions of an account (and users and buckets in a second one), and prints as JSON what is
expected:

  now      control -> ARN -> status, on the day of the making (`absent`: no finding at all)
  later    the same, 200 days later: what was made new is old then
  then     the time 200 days later
  excused  control -> status that moto cannot bring about -> why
"""

import datetime
import json
import sys
import urllib.request

import boto3
import estate_controls_accounts
import estate_controls_machines
import estate_controls_networks
import estate_controls_services

ACCOUNT, SECOND = "123456789012", "222222222222"
# What there is once in a region, or once in an account, is bad in the first one and good in the second.
REGIONS = ["us-east-1", "eu-west-1"]

NO_SSM = "moto has no DescribeInstanceInformation"
NO_BACKUP = "moto has no ListProtectedResources"
NO_TUNNELS = "moto says nothing of the tunnels of VPN connections"
NO_ROOT = "the credential report of moto has no root user"
NO_BLOCK = "moto has no GetSnapshotBlockPublicAccessState"
EXCUSED = {
    "ebs_in_backup_plan": {"alarm": NO_BACKUP, "ok": NO_BACKUP},
    "ebs_snapshot_bpa": {"alarm": NO_BLOCK, "ok": NO_BLOCK},
    "ec2_in_vpc": {"alarm": "moto puts every instance into a VPC"},
    "ec2_managed_by_ssm": {"alarm": NO_SSM, "ok": NO_SSM},
    "iam_root_hardware_mfa": {"ok": "the root user of moto never has MFA"},
    "iam_root_mfa": {"ok": "the root user of moto never has MFA"},
    "iam_root_no_access_keys": {"alarm": "the root user of moto never has access keys"},
    "iam_root_not_used": {"alarm": NO_ROOT, "ok": NO_ROOT},
    "s3_bucket_mfa_delete": {"ok": "moto does not keep MFADelete"},
    "s3_storage_class_usage": {"alarm": "it gives information only", "ok": "it gives information only"},
    "vpn_tunnels_up": {"alarm": NO_TUNNELS, "ok": NO_TUNNELS},
}


class Place:
    """A region of an account, and what is expected of the things made there. `is_good`: whether what there is once is good."""

    def __init__(self, endpoint, account, region, is_good, expected):
        self.endpoint, self.account, self.region, self.is_good, self.expected = endpoint, account, region, is_good, expected
        sts = boto3.client(
            "sts", endpoint_url=endpoint, region_name=region, aws_access_key_id="test", aws_secret_access_key="test"
        )
        keys = sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/audit", RoleSessionName="seed")["Credentials"]
        self.session = boto3.Session(
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    def client(self, service):
        return self.session.client(service, endpoint_url=self.endpoint, region_name=self.region)

    def arn(self, kind, name):
        """Of something of EC2."""
        return f"arn:aws:ec2:{self.region}:{self.account}:{kind}/{name}"

    def shared(self, kind, name):
        """Of what EC2 names without the account."""
        return f"arn:aws:ec2:{self.region}::{kind}/{name}"

    def expect(self, arn, later=None, **statuses):
        """What controls say of a resource: `control="alarm"`. `later` has those that say something else when all is old."""
        for control, status in statuses.items():
            self.expected["now"].setdefault(control, {})[arn] = status
        for control, status in (later or {}).items():
            self.expected["later"].setdefault(control, {})[arn] = status


def main(endpoint):
    # The same ids in every run.
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/seed?a=42", method="POST")).close()
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=200)
    expected = {"now": {}, "later": {}, "then": then.strftime("%Y-%m-%dT%H:%M:%SZ"), "excused": EXCUSED}
    for account in (ACCOUNT, SECOND):
        estate_controls_accounts.make(Place(endpoint, account, REGIONS[0], account == SECOND, expected))
    for region in REGIONS:
        place = Place(endpoint, ACCOUNT, region, region == REGIONS[1], expected)
        network = estate_controls_networks.make(place)
        instances = estate_controls_machines.make(place, network)
        estate_controls_networks.use(place, network, instances)
        estate_controls_services.make(place, network, instances)
        estate_controls_machines.stop(place, instances)
    estate_controls_services.names(Place(endpoint, ACCOUNT, REGIONS[0], False, expected))
    json.dump(expected, sys.stdout, indent=1, sort_keys=True)


main(sys.argv[1])
