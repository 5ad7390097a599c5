select i.arn as resource,
       case when i.instance_state is distinct from 'running' then 'skip'
            when m.ping_status = 'Online' then 'ok'
            when m.instance_id is not null and m.ping_status is null then 'skip'
            when m.instance_id is null and i.launch_time > now() - cast($min_minutes || ' minutes' as interval) then 'skip'
            else 'alarm' end as status,
       case when i.instance_state is distinct from 'running'
            then i.instance_id || ' is not running; its state is ' || coalesce(i.instance_state, 'unknown') || '.'
            when m.ping_status = 'Online' then i.instance_id || ' is managed by Systems Manager.'
            when m.instance_id is null and i.launch_time > now() - cast($min_minutes || ' minutes' as interval)
            then i.instance_id || ' was just started and is not known to Systems Manager yet.'
            when m.instance_id is null then i.instance_id || ' is not known to Systems Manager.'
            else i.instance_id || ' is known to Systems Manager, but its agent is '
                 || case m.ping_status when 'ConnectionLost' then 'not heard of any more.'
                                       when 'Inactive' then 'inactive.'
                                       else 'in a state that was not collected.' end end as reason,
       i.account_id, i.region
from aws_ec2_instance i
left join aws_ssm_managed_instance m
  on m.account_id = i.account_id and m.region = i.region and m.instance_id = i.instance_id
where coalesce(i.instance_state, '') not in ('terminated', 'shutting-down')
