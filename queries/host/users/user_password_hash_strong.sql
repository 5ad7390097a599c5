select arn as resource,
       case when has_password is null then 'skip'
            when password_algorithm in ('des', 'md5') then 'alarm'
            else 'ok' end as status,
       case when has_password is null then 'The password of ' || name || ' cannot be read by this user.'
            else 'The password of ' || name || ' is hashed with '
                 || coalesce(password_algorithm, 'an unknown function') || '.' end as reason,
       account_id, region, name
from host_user
where has_password is null or has_password
