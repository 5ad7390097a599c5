select arn as resource,
       case when password_empty is null then 'skip' when password_empty then 'alarm' else 'ok' end as status,
       case when password_empty is null then 'The password of ' || name || ' cannot be read by this user.'
            when password_empty then 'The account ' || name || ' can log in without a password.'
            else 'The account ' || name || ' cannot log in without a password.' end as reason,
       account_id, region, name
from host_user
