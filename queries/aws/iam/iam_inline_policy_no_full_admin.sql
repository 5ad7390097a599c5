-- Users, groups and roles, except service-linked roles, whose policies belong to AWS.
with holders as (
  select 'user' as kind, arn, name, account_id, region from aws_iam_user
  union all
  select 'group' as kind, arn, name, account_id, region from aws_iam_group
  union all
  select 'role' as kind, arn, name, account_id, region from aws_iam_role
  where coalesce(path, '/') not like '/aws-service-role/%'
),
statements as (
  select 'user' as kind, user_name as name, account_id, region, policy_name, effect, actions, resources
  from aws_iam_user_inline_statement
  union all
  select 'group' as kind, group_name as name, account_id, region, policy_name, effect, actions, resources
  from aws_iam_group_inline_statement
  union all
  select 'role' as kind, role_name as name, account_id, region, policy_name, effect, actions, resources
  from aws_iam_role_inline_statement
),
full_admin as (
  select kind, name, account_id, region, string_agg(policy_name, ', ' order by policy_name) as policies
  from (
    select distinct kind, name, account_id, region, policy_name
    from statements
    where effect = 'Allow'
      and regexp_like(array_to_string(actions, ' '), '(^| )[*]+(:[*]+)?( |$)')
      and regexp_like(array_to_string(resources, ' '), '(^| )([*]+|arn:(aws[a-z-]*)?[*:]+)( |$)')
  )
  group by kind, name, account_id, region
)
select h.arn as resource,
       case when f.name is null then 'ok' else 'alarm' end as status,
       'The ' || h.kind || ' ' || h.name
       || case when f.name is null then ' has no inline policy that allows every action on every resource.'
               else ' may do everything by its inline policies: ' || f.policies || '.' end as reason,
       h.account_id, h.region
from holders h
left join full_admin f on f.kind = h.kind and f.name = h.name and f.account_id = h.account_id and f.region = h.region
