with authorised as (
  select 'tcp' as protocol, unnest($tcp) as port
  union
  select 'udp' as protocol, unnest($udp) as port
),
world as (
  select distinct account_id, region, group_id,
         coalesce(cidr_ipv4, cidr_ipv6) as cidr,
         case ip_protocol when '6' then 'tcp' when '17' then 'udp' else ip_protocol end as protocol,
         coalesce(nullif(from_port, -1), 0) as first_port,
         coalesce(nullif(to_port, -1), 65535) as last_port
  from aws_vpc_security_group_rule
  where type = 'ingress'
    and (cidr_ipv4 like '%/0' or cidr_ipv6 like '%/0')
    and ip_protocol in ('-1', 'tcp', '6', 'udp', '17')
),
judged as (
  select world.account_id, world.region, world.group_id, world.cidr, world.protocol, world.first_port, world.last_port,
         count(authorised.port) as authorised_ports
  from world
  left join authorised
    on world.protocol = authorised.protocol and authorised.port between world.first_port and world.last_port
  group by world.account_id, world.region, world.group_id, world.cidr, world.protocol, world.first_port, world.last_port
),
groups as (
  select account_id, region, group_id,
         string_agg(cidr || ' in by '
                    || case when protocol = '-1' then 'all protocols'
                            when first_port = last_port then protocol || ' ' || first_port
                            else protocol || ' ' || first_port || '-' || last_port end,
                    '; ' order by cidr, protocol, first_port, last_port)
           filter (where protocol = '-1' or authorised_ports < last_port - first_port + 1) as openings
  from judged
  group by account_id, region, group_id
)
select sg.arn as resource,
       case when sg.owner_id <> sg.account_id then 'skip'
            when groups.openings is not null then 'alarm'
            else 'ok' end as status,
       sg.group_id || coalesce(' (' || sg.group_name || ')', '')
       || case when sg.owner_id <> sg.account_id then ' is shared by account ' || sg.owner_id || '.'
               when groups.openings is not null then ' lets ' || groups.openings || ', which is not authorised.'
               when groups.group_id is not null then ' lets 0.0.0.0/0 or ::/0 in to authorised ports only.'
               else ' does not let 0.0.0.0/0 or ::/0 in.' end as reason,
       sg.account_id, sg.region
from aws_vpc_security_group sg
left join groups
  on groups.account_id = sg.account_id and groups.region = sg.region and groups.group_id = sg.group_id
