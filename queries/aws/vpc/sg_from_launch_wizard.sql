select arn as resource,
       case when owner_id <> account_id or group_name is null then 'skip'
            when group_name like 'launch-wizard-%' then 'alarm'
            else 'ok' end as status,
       group_id || coalesce(' (' || group_name || ')', '')
       || case when owner_id <> account_id then ' is shared by account ' || owner_id || '.'
               when group_name is null then ' has no name that was collected.'
               when group_name like 'launch-wizard-%' then ' was made by the launch wizard of EC2.'
               else ' was not made by the launch wizard of EC2.' end as reason,
       account_id, region
from aws_vpc_security_group
