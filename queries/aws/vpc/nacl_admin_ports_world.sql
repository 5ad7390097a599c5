-- Of the rules that match a packet the one with the lowest number decides. A rule for a narrower range decides about
-- some addresses only, so what matters is which rule for all addresses comes first, for each port and each family.
with wanted as (
  select distinct port from (select unnest($ports) as port) as listed
),
entries as (
  select account_id, region, network_acl_id, rule_number, action,
         coalesce(nullif(from_port, -1), 0) as first_port,
         coalesce(nullif(to_port, -1), 65535) as last_port,
         case when cidr_block like '%/0' then '0.0.0.0/0' else '::/0' end as everything
  from aws_vpc_network_acl_entry
  where not egress
    and protocol in ('-1', '6', 'tcp')
    and (cidr_block like '%/0' or ipv6_cidr_block like '%/0')
),
ports as (
  select entries.account_id, entries.region, entries.network_acl_id, entries.everything, wanted.port,
         min(case when entries.action = 'allow' then entries.rule_number end) as allowed_by,
         min(case when entries.action = 'deny' then entries.rule_number end) as denied_by
  from entries
  join wanted on wanted.port between entries.first_port and entries.last_port
  group by entries.account_id, entries.region, entries.network_acl_id, entries.everything, wanted.port
),
rules as (
  select account_id, region, network_acl_id, everything, allowed_by,
         case when count(*) = 1 then 'port ' else 'ports ' end
         || string_agg(cast(port as varchar), ', ' order by port) as ports
  from ports
  where allowed_by < denied_by or (allowed_by is not null and denied_by is null)
  group by account_id, region, network_acl_id, everything, allowed_by
),
acls as (
  select account_id, region, network_acl_id,
         string_agg(everything || ' in to ' || ports || ' by rule ' || allowed_by, '; '
                    order by everything, allowed_by) as openings
  from rules
  group by account_id, region, network_acl_id
)
select acl.arn as resource,
       case when acl.owner_id <> acl.account_id then 'skip'
            when acls.openings is not null then 'alarm'
            else 'ok' end as status,
       acl.network_acl_id
       || case when acl.owner_id <> acl.account_id then ' is shared by account ' || acl.owner_id || '.'
               when acls.openings is not null then ' lets ' || acls.openings || '.'
               else ' does not let 0.0.0.0/0 or ::/0 in to '
                    || coalesce((select case when count(*) = 1 then 'tcp port ' else 'any of the tcp ports ' end
                                        || string_agg(cast(port as varchar), ', ' order by port)
                                 from wanted), 'any port') || '.' end as reason,
       acl.account_id, acl.region
from aws_vpc_network_acl acl
left join acls
  on acls.account_id = acl.account_id and acls.region = acl.region and acls.network_acl_id = acl.network_acl_id
