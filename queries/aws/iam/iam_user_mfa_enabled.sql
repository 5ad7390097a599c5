select arn as resource,
       case when not console_access then 'skip'
            when console_access is null or mfa_enabled is null then 'skip'
            when mfa_enabled then 'ok'
            else 'alarm' end as status,
       case when not console_access then name || ' has no console password.'
            when console_access is null then 'Whether ' || name || ' has a console password could not be read.'
            when mfa_enabled is null then 'The MFA devices of ' || name || ' could not be read.'
            when mfa_enabled then name || ' has a console password and MFA.'
            else name || ' has a console password and no MFA.' end as reason,
       account_id, region
from aws_iam_user
