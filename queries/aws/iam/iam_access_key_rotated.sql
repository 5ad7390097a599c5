with dated as (
  select *,
         coalesce(access_key_1_active, false) as active_1,
         coalesce(access_key_2_active, false) as active_2,
         now() - cast($days || ' days' as interval) as oldest
  from aws_iam_credential_report
  where user_name <> '<root_account>'
),
judged as (
  select *,
         concat_ws(' and ',
           case when active_1 and access_key_1_last_rotated < oldest
                then 'its first access key was last rotated on ' || to_char(access_key_1_last_rotated, '%Y-%m-%d') end,
           case when active_2 and access_key_2_last_rotated < oldest
                then 'its second access key was last rotated on ' || to_char(access_key_2_last_rotated, '%Y-%m-%d') end) as overdue,
         (active_1 and access_key_1_last_rotated is null) or (active_2 and access_key_2_last_rotated is null) as undated
  from dated
)
select arn as resource,
       case when overdue <> '' then 'alarm'
            when undated or not (active_1 or active_2) then 'skip'
            else 'ok' end as status,
       case when overdue <> '' then user_name || ': ' || overdue || ', more than ' || $days || ' days ago.'
            when undated then 'The report does not say when an active access key of ' || user_name || ' was made.'
            when access_key_1_active is null and access_key_2_active is null
              then 'The report says nothing of access keys of ' || user_name || '.'
            when not (active_1 or active_2) then user_name || ' has no active access key.'
            else 'Every active access key of ' || user_name || ' was rotated within ' || $days || ' days.' end as reason,
       account_id, region
from judged
