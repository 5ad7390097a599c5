with addresses as (
  select *,
         coalesce(nullif(network_interface_id, ''), nullif(instance_id, ''), nullif(association_id, '')) as leads_to,
         nullif(service_managed, '') as service
  from aws_vpc_eip
)
select arn as resource,
       case when leads_to is not null then 'ok' when service is not null then 'skip' else 'alarm' end as status,
       coalesce(public_ip || coalesce(' (' || nullif(allocation_id, '') || ')', ''), allocation_id)
       || case when leads_to is not null then ' leads to ' || leads_to || '.'
               when service is not null then ' leads to nothing, but is managed by ' || service || '.'
               else ' leads to nothing.' end as reason,
       account_id, region
from addresses
