-- $actions: what must not be open to everybody; $acl_permissions: the same in ACLs; $access: how the reason calls it.
--
-- Whether a policy is public is what S3 says of it, where that was read; which of its statements make it so is found here.
-- A statement is `narrow` where a condition holds everybody to known networks, accounts or organisations.
with permissions as (select unnest($acl_permissions) as permission),
-- What stands in for S3 may write one grant with several permissions; these are in `raw` only.
granted as (
  select account_id, region, bucket_name, string_agg(what, ' and ' order by what) as grants
  from (
    select distinct g.account_id, g.region, g.bucket_name,
           p.permission || case when g.grantee like '%/global/AllUsers' then ' to everybody' else ' to every AWS account' end as what
    from aws_s3_bucket_grant g
    cross join permissions p
    where (g.grantee like '%/groups/global/AllUsers' or g.grantee like '%/groups/global/AuthenticatedUsers')
      and (g.permission = p.permission or (g.permission = '' and g.raw like '%"' || p.permission || '"%'))
  )
  group by account_id, region, bucket_name
),
wanted as (select unnest($actions) as action),
-- Lists of actions as regular expressions: `s3:get*` and `s3:listbucket` are ^(s3:get.*|s3:listbucket)$.
everybody as (
  select account_id, region, bucket_name, statement_index,
         coalesce(sid, 'statement ' || statement_index) as statement,
         coalesce(array_length(actions), 0) = 0 as is_complement,
         '^(' || replace(replace(regexp_replace(
           coalesce(nullif(array_to_string(actions, '|'), ''), array_to_string(not_actions, '|'), ''),
           '[^a-z0-9:*?|-]', '', 'g'), '*', '.*'), '?', '.') || ')$' as pattern,
         coalesce(
           regexp_like(condition, '"(ForAnyValue:)?(StringEquals|StringEqualsIgnoreCase|StringLike|ArnEquals|ArnLike|IpAddress)":[{][^{}]*"(aws:sourceip|aws:vpcsourceip|aws:sourcevpc|aws:sourcevpce|aws:sourcearn|aws:sourceaccount|aws:sourceowner|aws:sourceorgid|aws:sourceorgpaths|aws:principalorgid|aws:principalorgpaths|aws:principalaccount|aws:principalarn|aws:userid|aws:username|s3:dataaccesspointarn|s3:dataaccesspointaccount|s3:x-amz-server-side-encryption-aws-kms-key-id)":')
           and not regexp_like(condition, '"([*]|[0-9.]+/[0-7]|[0-9a-f:]+/([0-9]|[12][0-9]|3[01]))"'),
           false) as narrow
  from aws_s3_bucket_policy_statement
  where effect = 'Allow'
    and (array_has(principals, '*') or coalesce(array_length(not_principals), 0) > 0)
),
wide as (
  select account_id, region, bucket_name, bool_or(not narrow) as is_wide
  from everybody
  group by account_id, region, bucket_name
),
opening as (
  select account_id, region, bucket_name,
         string_agg(statement, ', ' order by statement_index) as statements,
         string_agg(statement, ', ' order by statement_index) filter (where not narrow) as wide_statements
  from (
    select distinct e.account_id, e.region, e.bucket_name, e.statement_index, e.statement, e.narrow
    from everybody e
    cross join wanted w
    where regexp_like(w.action, e.pattern) <> e.is_complement
  )
  group by account_id, region, bucket_name
),
facts as (
  select b.arn, b.name, b.account_id, b.region, g.grants,
         case when not b.bucket_policy_is_public then null
              when o.wide_statements is not null then o.wide_statements
              when b.bucket_policy_is_public and not coalesce(w.is_wide, false) then o.statements end as statements,
         coalesce(b.object_ownership = 'BucketOwnerEnforced', false) or coalesce(b.ignore_public_acls, false)
           or coalesce(a.ignore_public_acls, false) as acl_is_void,
         coalesce(b.restrict_public_buckets, false) or coalesce(a.restrict_public_buckets, false) as policy_is_void,
         coalesce(array_has(b.unread, 'acl'), false) as acl_unread,
         coalesce(array_has(b.unread, 'policy'), false) and coalesce(b.bucket_policy_is_public, true) as policy_unread,
         coalesce(array_has(b.unread, 'object_ownership_controls'), false) as ownership_unread,
         b.ignore_public_acls is null or b.restrict_public_buckets is null as bucket_block_unread,
         a.ignore_public_acls is null or a.restrict_public_buckets is null as account_block_unread
  from aws_s3_bucket b
  left join aws_s3_account_settings a on a.account_id = b.account_id
  left join granted g on g.account_id = b.account_id and g.region = b.region and g.bucket_name = b.name
  left join opening o on o.account_id = b.account_id and o.region = b.region and o.bucket_name = b.name
  left join wide w on w.account_id = b.account_id and w.region = b.region and w.bucket_name = b.name
),
judged as (
  select *,
         case when acl_is_void then 'closed'
              when acl_unread then 'unknown'
              when grants is null then 'closed'
              when ownership_unread or bucket_block_unread or account_block_unread then 'unknown'
              else 'open' end as acl,
         case when policy_is_void then 'closed'
              when policy_unread then 'unknown'
              when statements is null then 'closed'
              when bucket_block_unread or account_block_unread then 'unknown'
              else 'open' end as policy
  from facts
)
select arn as resource,
       case when acl = 'open' or policy = 'open' then 'alarm'
            when acl = 'unknown' or policy = 'unknown' then 'skip'
            else 'ok' end as status,
       case when acl = 'open' or policy = 'open'
              then name || ' is publicly ' || $access || ': '
                   || concat_ws(', and ', case when acl = 'open' then 'its ACL grants ' || grants end,
                                          case when policy = 'open' then 'its policy allows it to everybody (' || statements || ')' end)
                   || '.'
            when acl = 'unknown' or policy = 'unknown'
              then 'Whether ' || name || ' is publicly ' || $access || ' cannot be told: what could not be read is '
                   || concat_ws(', ', case when acl_unread and not acl_is_void then 'its ACL' end,
                                      case when policy_unread and not policy_is_void then 'its policy' end,
                                      case when ownership_unread and acl = 'unknown' then 'its object ownership' end,
                                      case when bucket_block_unread then 'its public access block' end,
                                      case when account_block_unread then 'the public access block of its account' end)
                   || '.'
            when grants is not null or statements is not null
              then name || ' is not publicly ' || $access || ': what '
                   || concat_ws(' and ', case when grants is not null then 'its ACL' end,
                                         case when statements is not null then 'its policy' end)
                   || case when grants is not null and statements is not null then ' open' else ' opens' end
                   || ' has no effect.'
            else 'Neither ACL nor policy makes ' || name || ' publicly ' || $access || '.' end as reason,
       account_id, region
from judged
