-- An instance itself only says the address of its first interface.
with addresses as (
  select account_id, region, instance_id, string_agg(public_ip, ', ' order by public_ip) as public_ips
  from aws_ec2_instance_network_interface
  where public_ip is not null and public_ip <> ''
  group by account_id, region, instance_id
),
instances as (
  select i.arn, i.instance_id, i.account_id, i.region,
         coalesce(a.public_ips, nullif(i.public_ip_address, '')) as public_ips
  from aws_ec2_instance i
  left join addresses a on a.account_id = i.account_id and a.region = i.region and a.instance_id = i.instance_id
  where coalesce(i.instance_state, '') not in ('terminated', 'shutting-down')
)
select arn as resource,
       case when public_ips is null then 'ok' else 'alarm' end as status,
       instance_id || coalesce(' has the public address ' || public_ips || '.', ' has no public address.') as reason,
       account_id, region
from instances
