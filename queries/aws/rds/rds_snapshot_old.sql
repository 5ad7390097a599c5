with snapshots as (
  select arn, db_snapshot_identifier as name, db_instance_identifier as source, type, create_time, account_id, region
  from aws_rds_db_snapshot
  union all
  select arn, db_cluster_snapshot_identifier, db_cluster_identifier, type, create_time, account_id, region
  from aws_rds_db_cluster_snapshot
)
select arn as resource,
       case when type = 'automated' or create_time is null then 'skip'
            when create_time < now() - cast($days || ' days' as interval) then 'alarm'
            else 'ok' end as status,
       name || coalesce(' of ' || source, '')
       || case when type = 'automated' then ' is automated: RDS deletes it after the retention period.'
               when create_time is null then ' does not say when it was made.'
               else ' was made on ' || to_char(create_time, '%Y-%m-%d') || '.' end as reason,
       account_id, region
from snapshots
