select arn as resource,
       case when array_has($authorised, path) then 'ok' else 'alarm' end as status,
       path || ' runs with the rights of '
       || case when setuid then 'its owner ' || coalesce(owner, cast(uid as text), 'unknown')
               else 'its group ' || coalesce(group_name, cast(gid as text), 'unknown') end
       || case when array_has($authorised, path) then ' and is authorised to.'
               else ' and is not authorised to.' end as reason,
       account_id, region, path
from host_file
where category = 'set_id_program'
