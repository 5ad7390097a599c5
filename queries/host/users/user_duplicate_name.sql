select arn as resource,
       case when entries > 1 then 'alarm' else 'ok' end as status,
       case when entries > 1 then 'The name ' || name || ' stands in ' || entries || ' lines of /etc/passwd.'
            else 'The name ' || name || ' stands in one line of /etc/passwd.' end as reason,
       account_id, region, name
from host_user
