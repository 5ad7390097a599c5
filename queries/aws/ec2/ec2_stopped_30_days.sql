select arn as resource,
       case when instance_state is distinct from 'stopped' then 'ok'
            when state_transition_time is null then 'skip'
            when state_transition_time < now() - cast($days || ' days' as interval) then 'alarm'
            else 'ok' end as status,
       instance_id
       || case when instance_state is distinct from 'stopped'
               then ' is not stopped; its state is ' || coalesce(instance_state, 'unknown') || '.'
               when state_transition_time is null then ' is stopped, and does not say since when.'
               else ' has been stopped since ' || to_char(state_transition_time, '%Y-%m-%d') || '.' end as reason,
       account_id, region
from aws_ec2_instance
where coalesce(instance_state, '') not in ('terminated', 'shutting-down')
