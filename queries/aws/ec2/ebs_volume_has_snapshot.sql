with newest as (
  select account_id, region, volume_id, max(start_time) as start_time
  from aws_ebs_snapshot
  where state = 'completed'
  group by account_id, region, volume_id
)
select v.arn as resource,
       case when v.state is distinct from 'in-use' then 'skip'
            when s.start_time >= now() - cast($days || ' days' as interval) then 'ok'
            when s.start_time is null and v.create_time > now() - cast($min_days || ' days' as interval) then 'skip'
            else 'alarm' end as status,
       v.volume_id
       || case when v.state is distinct from 'in-use'
               then ' is not attached; its state is ' || coalesce(v.state, 'unknown') || '.'
               when s.start_time is null and v.create_time > now() - cast($min_days || ' days' as interval)
               then ' has no completed snapshot yet; it was made on ' || to_char(v.create_time, '%Y-%m-%d') || '.'
               when s.start_time is null then ' has no completed snapshot.'
               else ' was last snapshotted on ' || to_char(s.start_time, '%Y-%m-%d') || '.' end as reason,
       v.account_id, v.region
from aws_ebs_volume v
left join newest s on s.account_id = v.account_id and s.region = v.region and s.volume_id = v.volume_id
