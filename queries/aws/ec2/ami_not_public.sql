select arn as resource,
       case when public is null then 'skip' when public then 'alarm' else 'ok' end as status,
       image_id || coalesce(' (' || nullif(name, '') || ')', '')
       || case when public is null then ' does not say whether it is public.'
               when public then ' can be launched by every AWS account.'
               else ' is not public.' end as reason,
       account_id, region
from aws_ec2_ami
where state is distinct from 'deregistered'
