with shared as (
  select account_id, uid, count(*) as accounts, string_agg(name, ', ' order by name) as names
  from host_user
  group by account_id, uid
)
select u.arn as resource,
       case when s.accounts > 1 then 'alarm' else 'ok' end as status,
       case when s.accounts > 1 then 'The uid ' || u.uid || ' is shared by ' || s.names || '.'
            else 'The uid ' || u.uid || ' belongs to ' || u.name || ' alone.' end as reason,
       u.account_id, u.region, u.name
from host_user u
join shared s on s.account_id = u.account_id and s.uid = u.uid
