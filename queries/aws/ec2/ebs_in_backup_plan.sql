-- A volume is backed up by itself, or with an instance that it is attached to.
with ways as (
  select account_id, region, volume_id, arn as resource_arn
  from aws_ebs_volume
  union all
  select v.account_id, v.region, v.volume_id,
         replace(v.arn, ':volume/' || v.volume_id, ':instance/' || a.instance_id) as resource_arn
  from aws_ebs_volume v
  join aws_ebs_volume_attachment a
    on a.account_id = v.account_id and a.region = v.region and a.volume_id = v.volume_id
  where a.instance_id <> ''
),
newest as (
  select w.account_id, w.region, w.volume_id, count(*) as backups, max(b.last_backup_time) as last_backup_time
  from ways w
  join aws_backup_protected_resource b
    on b.account_id = w.account_id and b.region = w.region and b.resource_arn = w.resource_arn
  group by w.account_id, w.region, w.volume_id
)
select v.arn as resource,
       case when v.state is distinct from 'in-use' then 'skip'
            when n.backups is null and v.create_time > now() - cast($min_days || ' days' as interval) then 'skip'
            when n.backups is null then 'alarm'
            when n.last_backup_time is null then 'skip'
            when n.last_backup_time < now() - cast($days || ' days' as interval) then 'alarm'
            else 'ok' end as status,
       v.volume_id
       || case when v.state is distinct from 'in-use'
               then ' is not attached; its state is ' || coalesce(v.state, 'unknown') || '.'
               when n.backups is null and v.create_time > now() - cast($min_days || ' days' as interval)
               then ' was not backed up by AWS Backup yet; it was made on ' || to_char(v.create_time, '%Y-%m-%d') || '.'
               when n.backups is null then ' has never been backed up by AWS Backup.'
               when n.last_backup_time is null then ' was backed up by AWS Backup, but not when was collected.'
               else ' was last backed up by AWS Backup on ' || to_char(n.last_backup_time, '%Y-%m-%d') || '.' end as reason,
       v.account_id, v.region
from aws_ebs_volume v
left join newest n on n.account_id = v.account_id and n.region = v.region and n.volume_id = v.volume_id
