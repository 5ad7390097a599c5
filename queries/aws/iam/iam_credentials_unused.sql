-- What was never used counts from when it was made. A password that was never used and has no date of change counts from
-- when the user was made.
with dated as (
  select *,
         coalesce(password_enabled, false) as has_password,
         coalesce(access_key_1_active, false) as active_1,
         coalesce(access_key_2_active, false) as active_2,
         coalesce(password_last_used, password_last_changed, user_creation_time) as password_seen,
         coalesce(access_key_1_last_used_date, access_key_1_last_rotated) as key_1_seen,
         coalesce(access_key_2_last_used_date, access_key_2_last_rotated) as key_2_seen,
         now() - cast($days || ' days' as interval) as oldest
  from aws_iam_credential_report
  where user_name <> '<root_account>'
),
judged as (
  select *,
         concat_ws(', ',
           case when has_password and password_seen < oldest
                then case when password_last_used is null then 'its password was never used and is of '
                          else 'its password was last used on ' end || to_char(password_seen, '%Y-%m-%d') end,
           case when active_1 and key_1_seen < oldest
                then case when access_key_1_last_used_date is null then 'its first access key was never used and is of '
                          else 'its first access key was last used on ' end || to_char(key_1_seen, '%Y-%m-%d') end,
           case when active_2 and key_2_seen < oldest
                then case when access_key_2_last_used_date is null then 'its second access key was never used and is of '
                          else 'its second access key was last used on ' end || to_char(key_2_seen, '%Y-%m-%d') end) as unused,
         (has_password and password_seen is null) or (active_1 and key_1_seen is null)
           or (active_2 and key_2_seen is null) as undated
  from dated
)
select arn as resource,
       case when unused <> '' then 'alarm'
            when undated or not (has_password or active_1 or active_2) then 'skip'
            else 'ok' end as status,
       case when unused <> '' then user_name || ': ' || unused || ', more than ' || $days || ' days ago.'
            when undated then 'The report does not say when a credential of ' || user_name || ' was made or used.'
            when password_enabled is null and access_key_1_active is null and access_key_2_active is null
              then 'The report says nothing of credentials of ' || user_name || '.'
            when not (has_password or active_1 or active_2) then user_name || ' has neither a password nor an active access key.'
            else 'Every credential of ' || user_name || ' was used or made within ' || $days || ' days.' end as reason,
       account_id, region
from judged
