with used as (
  select *, greatest(password_last_used, access_key_1_last_used_date, access_key_2_last_used_date) as last_used
  from aws_iam_credential_report
  where user_name = '<root_account>'
)
select arn as resource,
       case when last_used >= now() - cast($days || ' days' as interval) then 'alarm' else 'ok' end as status,
       case when last_used is null then 'No use of the root user of account ' || account_id || ' is on record.'
            when last_used >= now() - cast($days || ' days' as interval)
              then 'The root user of account ' || account_id || ' was used on ' || to_char(last_used, '%Y-%m-%d')
                   || ', less than ' || $days || ' days ago.'
            else 'The root user of account ' || account_id || ' was last used on ' || to_char(last_used, '%Y-%m-%d')
                 || '.' end as reason,
       account_id, region
from used
