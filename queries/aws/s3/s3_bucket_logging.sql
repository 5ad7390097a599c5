-- A bucket that receives the logs of others is not asked for logs of its own: each would be logged in turn.
with receivers as (
  select distinct account_id, region, logging_target_bucket as name
  from aws_s3_bucket
  where logging_target_bucket is not null and logging_target_bucket <> name
),
judged as (
  select b.*, r.name is not null as receives, coalesce(array_has(b.unread, 'logging'), false) as unknown
  from aws_s3_bucket b
  left join receivers r on r.account_id = b.account_id and r.region = b.region and r.name = b.name
)
select arn as resource,
       case when logging is not null or logging_target_bucket is not null then 'ok'
            when unknown or receives then 'skip'
            else 'alarm' end as status,
       case when logging is not null or logging_target_bucket is not null
              then 'Requests to ' || name || ' are logged to ' || coalesce(logging_target_bucket, 'another bucket') || '.'
            when unknown then 'Whether requests to ' || name || ' are logged could not be read.'
            when receives then name || ' receives the logs of other buckets, and is not asked for logs of its own.'
            else 'Requests to ' || name || ' are not logged.' end as reason,
       account_id, region
from judged
