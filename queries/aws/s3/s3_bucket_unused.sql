with judged as (
  select *, last_modified <= now() - cast($days || ' days' as interval) as old
  from aws_s3_bucket_content
)
select arn as resource,
       case when objects_listed is null or last_modified is null then 'skip'
            when not old then 'ok'
            when coalesce(is_truncated, false) then 'skip'
            else 'alarm' end as status,
       case when objects_listed is null then 'The objects of ' || bucket_name || ' could not be listed.'
            when last_modified is null then bucket_name || ' has no objects.'
            when not old then bucket_name || ' was written to within ' || $days || ' days, on ' || to_char(last_modified, '%Y-%m-%d') || '.'
            when coalesce(is_truncated, false)
              then 'The newest of the first ' || objects_listed || ' objects of ' || bucket_name || ' is of '
                   || to_char(last_modified, '%Y-%m-%d') || '; the others were not listed.'
            else bucket_name || ' was last written to on ' || to_char(last_modified, '%Y-%m-%d') || ', more than '
                 || $days || ' days ago.' end as reason,
       account_id, region
from judged
