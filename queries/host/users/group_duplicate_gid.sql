with shared as (
  select account_id, gid, count(*) as groups, string_agg(name, ', ' order by name) as names
  from host_group
  group by account_id, gid
)
select g.arn as resource,
       case when s.groups > 1 then 'alarm' else 'ok' end as status,
       case when s.groups > 1 then 'The gid ' || g.gid || ' is shared by ' || s.names || '.'
            else 'The gid ' || g.gid || ' belongs to ' || g.name || ' alone.' end as reason,
       g.account_id, g.region, g.name
from host_group g
join shared s on s.account_id = g.account_id and s.gid = g.gid
