select arn as resource,
       case when monitoring_state is null then 'skip'
            when monitoring_state in ('enabled', 'pending') then 'ok'
            else 'alarm' end as status,
       case when monitoring_state is null then 'The monitoring of ' || instance_id || ' was not collected.'
            when monitoring_state in ('enabled', 'pending') then instance_id || ' has detailed monitoring.'
            else instance_id || ' has basic monitoring only.' end as reason,
       account_id, region
from aws_ec2_instance
where coalesce(instance_state, '') not in ('terminated', 'shutting-down')
