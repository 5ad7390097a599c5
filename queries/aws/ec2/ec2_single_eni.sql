with interfaces as (
  select account_id, region, instance_id, count(*) as number,
         string_agg(network_interface_id, ', ' order by network_interface_id) as ids
  from aws_ec2_instance_network_interface
  group by account_id, region, instance_id
)
select i.arn as resource,
       case when coalesce(n.number, 0) > $most then 'alarm' else 'ok' end as status,
       i.instance_id
       || case coalesce(n.number, 0) when 0 then ' has no network interface.'
                                     when 1 then ' has one network interface.'
                                     else ' has ' || n.number || ' network interfaces: ' || n.ids || '.' end as reason,
       i.account_id, i.region
from aws_ec2_instance i
left join interfaces n on n.account_id = i.account_id and n.region = i.region and n.instance_id = i.instance_id
where coalesce(i.instance_state, '') not in ('terminated', 'shutting-down')
