-- Every action: `*` or `*:*`. Every resource: `*`, or an ARN of nothing but wildcards.
-- A policy that is only a permissions boundary grants nothing by itself.
with full_admin as (
  select account_id, region, policy_arn,
         string_agg(coalesce(sid, 'statement ' || statement_index), ', ' order by statement_index) as statements,
         bool_and(condition is not null) as is_conditional
  from aws_iam_policy_statement
  where effect = 'Allow'
    and regexp_like(array_to_string(actions, ' '), '(^| )[*]+(:[*]+)?( |$)')
    and regexp_like(array_to_string(resources, ' '), '(^| )([*]+|arn:(aws[a-z-]*)?[*:]+)( |$)')
  group by account_id, region, policy_arn
)
select p.arn as resource,
       case when f.policy_arn is null then 'ok'
            when p.attachment_count = 0 and p.permissions_boundary_usage_count > 0 then 'skip'
            else 'alarm' end as status,
       coalesce(p.name, p.arn)
       || case when f.policy_arn is null then ' does not allow every action on every resource.'
               when p.attachment_count = 0 and p.permissions_boundary_usage_count > 0
                 then ' allows every action on every resource, but only as a permissions boundary.'
               else ' allows every action on every resource (' || f.statements || ')'
                    || case when f.is_conditional then ' under a condition' else '' end
                    || case when p.attachment_count = 0 then '; it is not attached.'
                            when p.attachment_count > 0 then '; it is attached ' || p.attachment_count
                                 || case when p.attachment_count = 1 then ' time.' else ' times.' end
                            else '.' end
               end as reason,
       p.account_id, p.region
from aws_iam_policy p
left join full_admin f on f.account_id = p.account_id and f.region = p.region and f.policy_arn = p.arn
where not p.is_aws_managed
