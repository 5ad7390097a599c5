-- A further condition beside aws:SecureTransport would let some requests without TLS through, so the condition has to be
-- this one alone. Bucket and objects may be covered by different statements.
with denied as (
  select b.account_id, b.region, b.name,
         bool_or(array_has(s.resources, b.arn) or array_has(s.resources, b.arn || '*')
                 or array_has(s.resources, '*') or array_has(s.resources, 'arn:' || b.partition || ':s3:::*')) as bucket,
         bool_or(array_has(s.resources, b.arn || '/*') or array_has(s.resources, b.arn || '*')
                 or array_has(s.resources, '*') or array_has(s.resources, 'arn:' || b.partition || ':s3:::*')) as objects
  from aws_s3_bucket b
  join aws_s3_bucket_policy_statement s
    on s.account_id = b.account_id and s.region = b.region and s.bucket_name = b.name
  where s.effect = 'Deny'
    and array_has(s.principals, '*')
    and (array_has(s.actions, 's3:*') or array_has(s.actions, '*'))
    and lower(s.condition) in ('{"bool":{"aws:securetransport":["false"]}}', '{"boolifexists":{"aws:securetransport":["false"]}}')
  group by b.account_id, b.region, b.name
),
judged as (
  select b.*, coalesce(d.bucket, false) as bucket, coalesce(d.objects, false) as objects,
         coalesce(array_has(b.unread, 'policy'), false) as unknown
  from aws_s3_bucket b
  left join denied d on d.account_id = b.account_id and d.region = b.region and d.name = b.name
)
select arn as resource,
       case when bucket and objects then 'ok' when unknown then 'skip' else 'alarm' end as status,
       case when bucket and objects then name || ' denies every request without TLS.'
            when unknown then 'The policy of ' || name || ' could not be read.'
            when bucket then name || ' denies requests without TLS to the bucket, but not to its objects.'
            when objects then name || ' denies requests without TLS to its objects, but not to the bucket.'
            else name || ' has no statement that denies everybody requests without TLS.' end as reason,
       account_id, region
from judged
