select arn as resource,
       case when coalesce(iam_instance_profile_arn, '') = '' then 'alarm' else 'ok' end as status,
       instance_id
       || coalesce(' has the instance profile ' || nullif(split_part(iam_instance_profile_arn, '/', -1), '') || '.',
                   ' has no instance profile.') as reason,
       account_id, region
from aws_ec2_instance
where coalesce(instance_state, '') not in ('terminated', 'shutting-down')
