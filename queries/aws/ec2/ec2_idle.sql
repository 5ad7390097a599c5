select arn as resource,
       case when (instance_state is distinct from 'running') or avg_cpu_utilization is null
                 or coalesce(cpu_datapoints, 0) < $min_datapoints then 'skip'
            when avg_cpu_utilization < $cpu then 'alarm'
            else 'ok' end as status,
       instance_id
       || case when instance_state is distinct from 'running'
               then ' is not running; its state is ' || coalesce(instance_state, 'unknown') || '.'
               when cpu_datapoints is null then ': its CPU utilisation was not collected.'
               when avg_cpu_utilization is null then ' has no datapoints of CPU utilisation.'
               when cpu_datapoints < $min_datapoints
               then ' has too few datapoints of CPU utilisation: ' || cpu_datapoints || ' of ' || $min_datapoints || '.'
               else coalesce(' (' || instance_type || ')', '') || ' used ' || avg_cpu_utilization
                    || ' % of its CPU in the last seven days.' end as reason,
       account_id, region
from aws_ec2_instance
where coalesce(instance_state, '') not in ('terminated', 'shutting-down')
