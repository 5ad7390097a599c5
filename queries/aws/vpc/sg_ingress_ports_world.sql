with wanted as (
  select 'tcp' as protocol, unnest($tcp) as port
  union
  select 'udp' as protocol, unnest($udp) as port
),
world as (
  select account_id, region, group_id,
         coalesce(cidr_ipv4, cidr_ipv6) as cidr,
         case ip_protocol when '6' then 'tcp' when '17' then 'udp' else ip_protocol end as protocol,
         coalesce(nullif(from_port, -1), 0) as first_port,
         coalesce(nullif(to_port, -1), 65535) as last_port
  from aws_vpc_security_group_rule
  where type = 'ingress'
    and ((array_has($families, 'ipv4') and cidr_ipv4 like '%/0')
      or (array_has($families, 'ipv6') and cidr_ipv6 like '%/0'))
),
opened as (
  select distinct world.account_id, world.region, world.group_id, world.cidr, wanted.port,
         case when world.protocol = '-1' then 'all protocols'
              when world.first_port = world.last_port then world.protocol || ' ' || world.first_port
              else world.protocol || ' ' || world.first_port || '-' || world.last_port end as rule
  from world
  join wanted
    on world.protocol = '-1'
    or (world.protocol = wanted.protocol and wanted.port between world.first_port and world.last_port)
),
rules as (
  select account_id, region, group_id, cidr, rule,
         case when count(*) = 1 then 'port ' else 'ports ' end
         || string_agg(cast(port as varchar), ', ' order by port) as ports
  from opened
  group by account_id, region, group_id, cidr, rule
),
groups as (
  select account_id, region, group_id,
         string_agg(cidr || ' in to ' || ports || ' by ' || rule, '; ' order by cidr, rule) as openings
  from rules
  group by account_id, region, group_id
)
select sg.arn as resource,
       case when sg.owner_id <> sg.account_id then 'skip'
            when groups.openings is not null then 'alarm'
            else 'ok' end as status,
       sg.group_id || coalesce(' (' || sg.group_name || ')', '')
       || case when sg.owner_id <> sg.account_id then ' is shared by account ' || sg.owner_id || '.'
               when groups.openings is not null then ' lets ' || groups.openings || '.'
               else ' does not let '
                    || case when not array_has($families, 'ipv6') then '0.0.0.0/0'
                            when not array_has($families, 'ipv4') then '::/0'
                            else '0.0.0.0/0 or ::/0' end
                    || ' in to '
                    || coalesce((select case when count(*) = 1 then 'port ' else 'any of the ports ' end
                                        || string_agg(cast(port as varchar), ', ' order by port)
                                 from (select distinct port from wanted)), 'any port') || '.' end as reason,
       sg.account_id, sg.region
from aws_vpc_security_group sg
left join groups
  on groups.account_id = sg.account_id and groups.region = sg.region and groups.group_id = sg.group_id
