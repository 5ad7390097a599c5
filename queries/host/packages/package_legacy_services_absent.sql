with found as (
  select account_id, count(*) as packages, string_agg(name, ', ' order by name) as names
  from host_package
  where installed and array_has($names, name)
  group by account_id
)
select s.arn as resource,
       case when f.packages is null then 'ok' else 'alarm' end as status,
       case when f.packages is null then 'No package of a legacy service is installed.'
            else 'Packages of legacy services are installed: ' || f.names || '.' end as reason,
       s.account_id, s.region
from host_system s
left join found f on f.account_id = s.account_id
