select arn as resource,
       case when enabled_state like 'enabled%' then 'alarm' else 'ok' end as status,
       'The unit ' || name || ' is ' || enabled_state || '.' as reason,
       account_id, region, name
from host_systemd_unit
where array_has($units, name)
