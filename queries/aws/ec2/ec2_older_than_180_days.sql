select arn as resource,
       case when (instance_state is distinct from 'running') or launch_time is null then 'skip'
            when launch_time < now() - cast($days || ' days' as interval) then 'alarm'
            else 'ok' end as status,
       instance_id
       || case when instance_state is distinct from 'running'
               then ' is not running; its state is ' || coalesce(instance_state, 'unknown') || '.'
               when launch_time is null then ' does not say when it was started.'
               else ' was last started on ' || to_char(launch_time, '%Y-%m-%d') || '.' end as reason,
       account_id, region
from aws_ec2_instance
where coalesce(instance_state, '') not in ('terminated', 'shutting-down')
