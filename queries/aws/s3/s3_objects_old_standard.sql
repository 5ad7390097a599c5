with listed as (
  select account_id, region, bucket_name, count(*) as total,
         count(*) filter (where storage_class = 'STANDARD'
                            and last_modified < now() - cast($days || ' days' as interval)) as old
  from aws_s3_object
  group by account_id, region, bucket_name
),
judged as (
  select c.*, coalesce(l.total, 0) as total, coalesce(l.old, 0) as old,
         100.0 * l.old / nullif(l.total, 0) as percentage
  from aws_s3_bucket_content c
  left join listed l on l.account_id = c.account_id and l.region = c.region and l.bucket_name = c.bucket_name
)
select arn as resource,
       case when objects_listed is null or percentage is null then 'skip'
            when percentage > $percent then 'alarm'
            else 'ok' end as status,
       case when objects_listed is null then 'The objects of ' || bucket_name || ' could not be listed.'
            when percentage is null then bucket_name || ' has no objects.'
            else old || ' of ' || case when is_truncated then 'the first ' else '' end || total || ' objects of '
                 || bucket_name || ' (' || cast(round(percentage) as bigint) || ' %) are STANDARD and were last written more than '
                 || $days || ' days ago.' end as reason,
       account_id, region
from judged
