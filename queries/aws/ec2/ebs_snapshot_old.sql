select arn as resource,
       case when start_time is null then 'skip'
            when start_time < now() - cast($days || ' days' as interval) then 'alarm'
            else 'ok' end as status,
       snapshot_id || coalesce(' of ' || volume_id, '')
       || coalesce(' was made on ' || to_char(start_time, '%Y-%m-%d') || '.', ' does not say when it was made.') as reason,
       account_id, region
from aws_ebs_snapshot
