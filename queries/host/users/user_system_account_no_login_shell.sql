select arn as resource,
       case when array_has($no_login_shells, shell) or array_has($allowed, name) then 'ok' else 'alarm' end as status,
       case when array_has($no_login_shells, shell) then 'The system account ' || name || ' has no login shell.'
            when array_has($allowed, name) then 'The system account ' || name || ' may have a login shell.'
            else 'The system account ' || name || ' has the login shell '
                 || case when shell = '' then '/bin/sh' else shell end || '.' end as reason,
       account_id, region, name
from host_user
where is_system and uid <> 0
