-- A member account whose root credentials were taken away has nothing that MFA could guard.
select 'arn:' || partition || ':iam::' || account_id || ':root' as resource,
       case when account_mfa_enabled or account_password_present = 0 then 'ok'
            when account_mfa_enabled is null then 'skip'
            else 'alarm' end as status,
       case when account_mfa_enabled then 'The root user of account ' || account_id || ' has MFA.'
            when account_password_present = 0 then 'The root user of account ' || account_id || ' has no password to sign in with.'
            when account_mfa_enabled is null
              then 'Whether the root user of account ' || account_id || ' has MFA was not reported.'
            else 'The root user of account ' || account_id || ' has no MFA.' end as reason,
       account_id, region
from aws_iam_account_summary
