with counted as (
  select account_id,
         min(partition) as partition,
         count(*) as buckets,
         count(*) filter (where storage_class in ('GLACIER', 'STANDARD_IA')) as cold,
         count(*) filter (where storage_class = 'MIXED') as mixed,
         count(*) filter (where last_modified < now() - cast($days || ' days' as interval)) as stale,
         count(*) filter (where is_truncated) as truncated
  from aws_s3_bucket_content
  where objects_listed > 0
  group by account_id
)
select 'arn:' || coalesce(partition, 'aws') || ':s3::' || account_id || ':account-settings' as resource,
       'info' as status,
       'Of ' || buckets || ' buckets with objects in account ' || account_id || ', '
       || cold || ' (' || cast(round(100.0 * cold / buckets) as bigint) || ' %) hold GLACIER or STANDARD_IA only, '
       || mixed || ' (' || cast(round(100.0 * mixed / buckets) as bigint) || ' %) mix storage classes, and '
       || stale || ' (' || cast(round(100.0 * stale / buckets) as bigint) || ' %) were not written to for ' || $days || ' days'
       || case when truncated = 0 then '.' else '; ' || truncated || ' were not listed to the end.' end as reason,
       account_id, 'global' as region
from counted
