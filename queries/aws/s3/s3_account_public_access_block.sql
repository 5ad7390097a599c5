with judged as (
  select *,
         concat_ws(', ',
           case when block_public_acls is null then 'BlockPublicAcls' end,
           case when ignore_public_acls is null then 'IgnorePublicAcls' end,
           case when block_public_policy is null then 'BlockPublicPolicy' end,
           case when restrict_public_buckets is null then 'RestrictPublicBuckets' end) as unknown,
         concat_ws(', ',
           case when not block_public_acls then 'BlockPublicAcls' end,
           case when not ignore_public_acls then 'IgnorePublicAcls' end,
           case when not block_public_policy then 'BlockPublicPolicy' end,
           case when not restrict_public_buckets then 'RestrictPublicBuckets' end) as missing
  from aws_s3_account_settings
)
select arn as resource,
       case when missing <> '' then 'alarm' when unknown <> '' then 'skip' else 'ok' end as status,
       case when missing <> '' then 'Account ' || account_id || ' does not have ' || missing || ' on for all its buckets.'
            when unknown <> '' then unknown || ' of account ' || account_id || ' could not be read.'
            else 'Account ' || account_id || ' blocks public access to all its buckets.' end as reason,
       account_id, region
from judged
