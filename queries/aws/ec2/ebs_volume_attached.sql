-- `creating`, `deleting` and `deleted` pass by themselves; `error` stays until somebody deletes the volume.
select arn as resource,
       case when state = 'in-use' then 'ok'
            when state in ('available', 'error') then 'alarm'
            else 'skip' end as status,
       volume_id
       || case when state = 'in-use' then ' is attached.'
               when state = 'available' then coalesce(' (' || size || ' GiB)', '') || ' is attached to nothing.'
               when state = 'error' then ' is in error.'
               else ' is in transition; its state is ' || coalesce(state, 'unknown') || '.' end as reason,
       account_id, region
from aws_ebs_volume
