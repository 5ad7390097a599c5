with routes as (
  select account_id, region, route_table_id,
         string_agg(destination || ' to ' || gateway_id, ', ' order by destination, gateway_id) as open
  from aws_vpc_route
  where gateway_id like 'igw-%'
    and (destination_cidr_block like '%/0' or destination_ipv6_cidr_block like '%/0')
    and state is distinct from 'blackhole'
  group by account_id, region, route_table_id
)
select rt.arn as resource,
       case when rt.owner_id <> rt.account_id then 'skip'
            when routes.open is null or array_has($authorised, rt.route_table_id) then 'ok'
            else 'alarm' end as status,
       rt.route_table_id
       || case when rt.owner_id <> rt.account_id then ' is shared by account ' || rt.owner_id || '.'
               when routes.open is null then ' has no route for all addresses to an internet gateway.'
               when array_has($authorised, rt.route_table_id) then ' is authorised to route ' || routes.open || '.'
               else ' routes ' || routes.open || '.' end as reason,
       rt.account_id, rt.region
from aws_vpc_route_table rt
left join routes
  on routes.account_id = rt.account_id and routes.region = rt.region and routes.route_table_id = rt.route_table_id
