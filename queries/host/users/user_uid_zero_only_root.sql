select arn as resource,
       case when name = 'root' then 'ok' else 'alarm' end as status,
       case when name = 'root' then 'root has uid 0, as it should.'
            else 'The account ' || name || ' has uid 0 and with it every right of root.' end as reason,
       account_id, region, name
from host_user
where uid = 0
