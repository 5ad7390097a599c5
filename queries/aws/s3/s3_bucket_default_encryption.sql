with judged as (
  select *,
         coalesce(array_has($algorithms, sse_algorithm), false) as good,
         coalesce(array_has(unread, 'server_side_encryption_configuration'), false) as unknown
  from aws_s3_bucket
)
select arn as resource,
       case when good then 'ok' when unknown then 'skip' else 'alarm' end as status,
       case when sse_algorithm is not null
              then name || ' encrypts new objects with ' || sse_algorithm
                   || case when sse_kms_key_id is null then '' else ' and the key ' || sse_kms_key_id end
                   || case when good then '.' else ', which is not an accepted algorithm.' end
            when unknown then 'The default encryption of ' || name || ' could not be read.'
            else name || ' has no default encryption.' end as reason,
       account_id, region
from judged
