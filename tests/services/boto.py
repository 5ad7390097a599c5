"""An independent client of AWS for tests: boto.py ENDPOINT SERVICE CALL JSON prints what the call answers, as JSON.
Runs in the environment that moto was installed into."""

import json
import sys

import boto3

endpoint, service, call, arguments = sys.argv[1:]
client = boto3.client(
    service, region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
)
answer = getattr(client, call)(**json.loads(arguments))
answer.pop("ResponseMetadata", None)
json.dump(answer, sys.stdout, default=str)
