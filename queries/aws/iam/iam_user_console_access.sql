select arn as resource,
       case when console_access is null then 'skip' when console_access then 'alarm' else 'ok' end as status,
       case when console_access is null then 'Whether ' || name || ' has a console password could not be read.'
            when console_access then name || ' has a console password.'
            else name || ' has no console password.' end as reason,
       account_id, region
from aws_iam_user
