with world as (
  select account_id, region, group_id,
         coalesce(cidr_ipv4, cidr_ipv6) as cidr,
         case ip_protocol when '6' then 'tcp' when '17' then 'udp' else ip_protocol end as protocol,
         coalesce(nullif(from_port, -1), 0) as first_port,
         coalesce(nullif(to_port, -1), 65535) as last_port
  from aws_vpc_security_group_rule
  where type = 'ingress' and (cidr_ipv4 like '%/0' or cidr_ipv6 like '%/0')
),
groups as (
  select account_id, region, group_id,
         string_agg(cidr || ' in to ' || case protocol when '-1' then 'every port of every protocol'
                                                       else 'every ' || protocol || ' port' end,
                    '; ' order by cidr, protocol) as openings
  from (select distinct account_id, region, group_id, cidr, protocol
        from world
        where protocol = '-1' or (protocol in ('tcp', 'udp') and first_port <= 1 and last_port >= 65535)) as open
  group by account_id, region, group_id
)
select sg.arn as resource,
       case when sg.owner_id <> sg.account_id then 'skip'
            when groups.openings is not null then 'alarm'
            else 'ok' end as status,
       sg.group_id || coalesce(' (' || sg.group_name || ')', '')
       || case when sg.owner_id <> sg.account_id then ' is shared by account ' || sg.owner_id || '.'
               when groups.openings is not null then ' lets ' || groups.openings || '.'
               else ' does not let 0.0.0.0/0 or ::/0 in to every port.' end as reason,
       sg.account_id, sg.region
from aws_vpc_security_group sg
left join groups
  on groups.account_id = sg.account_id and groups.region = sg.region and groups.group_id = sg.group_id
