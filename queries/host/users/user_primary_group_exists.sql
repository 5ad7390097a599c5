with known as (select distinct account_id, gid from host_group)
select u.arn as resource,
       case when g.gid is null then 'alarm' else 'ok' end as status,
       case when g.gid is null then 'The primary group ' || u.gid || ' of ' || u.name || ' does not exist.'
            else 'The primary group of ' || u.name || ' exists.' end as reason,
       u.account_id, u.region, u.name
from host_user u
left join known g on g.account_id = u.account_id and g.gid = u.gid
