with ranges as (
  select account_id, region, id, requester_cidr_block as range from aws_vpc_peering_connection
  union
  select account_id, region, id, unnest(requester_cidr_blocks) from aws_vpc_peering_connection
  union
  select account_id, region, id, unnest(requester_ipv6_cidr_blocks) from aws_vpc_peering_connection
  union
  select account_id, region, id, accepter_cidr_block from aws_vpc_peering_connection
  union
  select account_id, region, id, unnest(accepter_cidr_blocks) from aws_vpc_peering_connection
  union
  select account_id, region, id, unnest(accepter_ipv6_cidr_blocks) from aws_vpc_peering_connection
),
-- An IPv4 range as a number and a length; both are NULL for IPv6.
numbered_ranges as (
  select account_id, region, id, range,
         try_cast(split_part(range, '.', 1) as bigint) * 16777216
           + try_cast(split_part(range, '.', 2) as bigint) * 65536
           + try_cast(split_part(range, '.', 3) as bigint) * 256
           + try_cast(split_part(split_part(range, '/', 1), '.', 4) as bigint) as number,
         try_cast(split_part(range, '/', 2) as bigint) as length
  from ranges
  where range <> ''
),
routes as (
  select account_id, region, vpc_peering_connection_id as id, route_table_id, destination,
         coalesce(destination_cidr_block like '%/0' or destination_ipv6_cidr_block like '%/0', false) as is_everything,
         try_cast(split_part(destination_cidr_block, '.', 1) as bigint) * 16777216
           + try_cast(split_part(destination_cidr_block, '.', 2) as bigint) * 65536
           + try_cast(split_part(destination_cidr_block, '.', 3) as bigint) * 256
           + try_cast(split_part(split_part(destination_cidr_block, '/', 1), '.', 4) as bigint) as number,
         try_cast(split_part(destination_cidr_block, '/', 2) as bigint) as length
  from aws_vpc_route
  where vpc_peering_connection_id <> '' and state is distinct from 'blackhole'
),
judged as (
  select routes.account_id, routes.region, routes.id, routes.route_table_id, routes.destination,
         bool_or(routes.is_everything
                 or coalesce(ranges.range = routes.destination, false)
                 or coalesce(routes.length <= ranges.length
                             and (routes.number >> (32 - routes.length)) = (ranges.number >> (32 - routes.length)),
                             false)) as is_wide
  from routes
  left join numbered_ranges ranges
    on ranges.account_id = routes.account_id and ranges.region = routes.region and ranges.id = routes.id
  group by routes.account_id, routes.region, routes.id, routes.route_table_id, routes.destination
),
peerings as (
  select account_id, region, id, count(*) as routes,
         string_agg(destination || ' in ' || route_table_id, ', ' order by destination, route_table_id)
           filter (where is_wide) as wide
  from judged
  group by account_id, region, id
),
connections as (
  select *,
         coalesce(requester_cidr_block, requester_cidr_blocks[1]) is null
         or coalesce(accepter_cidr_block, accepter_cidr_blocks[1]) is null as is_unknown
  from aws_vpc_peering_connection
  where status_code is null or status_code not in ('deleting', 'deleted')
)
select pcx.arn as resource,
       case when pcx.status_code <> 'active' then 'skip'
            when peerings.wide is not null then 'alarm'
            when peerings.routes > 0 and pcx.is_unknown then 'skip'
            else 'ok' end as status,
       pcx.id
       || case when pcx.status_code <> 'active' then ' is not active but ' || pcx.status_code || '.'
               when peerings.wide is not null then ' has routes for the whole of a VPC: ' || peerings.wide || '.'
               when peerings.routes > 0 and pcx.is_unknown then ': the ranges of its VPCs were not collected.'
               when peerings.routes > 0 then ' has routes for parts of a VPC only.'
               else ' has no routes.' end as reason,
       pcx.account_id, pcx.region
from connections pcx
left join peerings
  on peerings.account_id = pcx.account_id and peerings.region = pcx.region and peerings.id = pcx.id
