-- Shared by rds_idle and rds_oversized, which differ by the threshold.
select arn as resource,
       case when (status is distinct from 'available') or avg_cpu_utilization is null
                 or coalesce(cpu_datapoints, 0) < $min_datapoints then 'skip'
            when avg_cpu_utilization < $cpu then 'alarm'
            else 'ok' end as status,
       db_instance_identifier
       || case when status is distinct from 'available'
               then ' is not available; its state is ' || coalesce(status, 'unknown') || '.'
               when cpu_datapoints is null then ': its CPU utilisation was not collected.'
               when avg_cpu_utilization is null then ' has no datapoints of CPU utilisation.'
               when cpu_datapoints < $min_datapoints
               then ' has too few datapoints of CPU utilisation: ' || cpu_datapoints || ' of ' || $min_datapoints || '.'
               else coalesce(' (' || class || ')', '') || ' used ' || avg_cpu_utilization
                    || ' % of its CPU in the last seven days.' end as reason,
       account_id, region
from aws_rds_db_instance
where coalesce(status, '') <> 'deleting'
