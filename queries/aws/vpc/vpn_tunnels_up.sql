with tunnels as (
  select account_id, region, vpn_connection_id,
         count(*) filter (where status = 'UP') as up,
         count(*) filter (where status is null) as unknown,
         string_agg(outside_ip_address || coalesce(' (' || nullif(status_message, '') || ')', ''), ', '
                    order by outside_ip_address) filter (where status <> 'UP') as down
  from aws_vpc_vpn_tunnel
  group by account_id, region, vpn_connection_id
)
select vpn.arn as resource,
       case when vpn.state <> 'available' then 'skip'
            when tunnels.down is not null then 'alarm'
            when tunnels.up is null or tunnels.unknown > 0 then 'skip'
            when tunnels.up < 2 then 'alarm'
            else 'ok' end as status,
       vpn.vpn_connection_id
       || case when vpn.state <> 'available' then ' is ' || vpn.state || '.'
               when tunnels.down is not null and tunnels.up = 0 then ' has no tunnel up; down: ' || tunnels.down || '.'
               when tunnels.down is not null then ' has a tunnel down: ' || tunnels.down || '.'
               when tunnels.up is null or tunnels.unknown > 0 then ': the state of its tunnels was not collected.'
               when tunnels.up < 2 then ' has one tunnel only, which is up.'
               else ' has ' || tunnels.up || ' tunnels up.' end as reason,
       vpn.account_id, vpn.region
from aws_vpc_vpn_connection vpn
left join tunnels
  on tunnels.account_id = vpn.account_id and tunnels.region = vpn.region
 and tunnels.vpn_connection_id = vpn.vpn_connection_id
where vpn.state is null or vpn.state not in ('deleting', 'deleted')
