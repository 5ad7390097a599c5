select arn as resource,
       case when user_name = 'root' or array_has($authorised, user_name) then 'ok' else 'alarm' end as status,
       'The account ' || user_name || ' is a member of ' || group_name
       || case when user_name = 'root' or array_has($authorised, user_name) then ' and is authorised to be.'
               else ', which amounts to being root.' end as reason,
       account_id, region, group_name, user_name
from host_group_member
where array_has($groups, group_name)
