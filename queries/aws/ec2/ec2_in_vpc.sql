select arn as resource,
       case when coalesce(vpc_id, '') = '' then 'alarm' else 'ok' end as status,
       instance_id || coalesce(' is in ' || nullif(vpc_id, '') || '.', ' is in no VPC.') as reason,
       account_id, region
from aws_ec2_instance
where coalesce(instance_state, '') not in ('terminated', 'shutting-down')
